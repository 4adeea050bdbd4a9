# add_xtensa_firmware(CPU cpu [ABI call0] SCRIPT script.ld N_CTX_MAX n)
# adds the target of an Xtensa port: its hal.c, and what Xtensa ports share. Calls move the register
# window unless the ABI is call0.
function(add_xtensa_firmware)
  cmake_parse_arguments(PORT "" "CPU;ABI;SCRIPT;N_CTX_MAX" "" ${ARGN})
  set(common ${CMAKE_SOURCE_DIR}/ports/common)
  set(machine -mcpu=${PORT_CPU})
  if(PORT_ABI)
    list(APPEND machine -mabi=${PORT_ABI})
  endif()
  target_compile_options(core PUBLIC ${machine})
  target_compile_definitions(core PUBLIC TLEP_N_CTX_MAX=${PORT_N_CTX_MAX})
  target_include_directories(core PUBLIC ${common}/xtensa/include)
  set(runtime ${common}/xtensa/memory.c ${common}/xtensa/soft_float.c ${common}/xtensa/soft_int.c)
  # Else Clang would see memcpy in memcpy's loop, and call it.
  set_source_files_properties(${runtime} PROPERTIES COMPILE_OPTIONS -fno-builtin)
  add_executable(firmware
    ${CORE_MAIN} hal.c ${common}/uart.c ${common}/xtensa/start.S ${common}/xtensa/xtensa.c ${runtime})
  target_include_directories(firmware PRIVATE ${common} ${common}/xtensa)
  set(script ${CMAKE_CURRENT_SOURCE_DIR}/${PORT_SCRIPT})
  target_link_options(firmware PRIVATE -L${common}/xtensa -T${script})
  set_target_properties(firmware PROPERTIES
    SUFFIX .elf LINK_DEPENDS "${script};${common}/xtensa/sections.ld")
endfunction()
