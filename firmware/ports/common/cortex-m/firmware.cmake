# add_cortex_m_firmware(CPU cpu [FPU fpu] SCRIPT script.ld N_CTX_MAX n)
# adds the target of a Cortex-M port: its hal.c, and what Cortex-M ports share.
function(add_cortex_m_firmware)
  cmake_parse_arguments(PORT "" "CPU;FPU;SCRIPT;N_CTX_MAX" "" ${ARGN})
  set(common ${CMAKE_SOURCE_DIR}/ports/common)
  set(machine -mcpu=${PORT_CPU} -mthumb)
  if(PORT_FPU)
    list(APPEND machine -mfpu=${PORT_FPU} -mfloat-abi=hard)
  else()
    list(APPEND machine -mfloat-abi=soft)
    target_link_libraries(core PUBLIC m) # sqrtf, which is no instruction here
    set(soft_float ${common}/cortex-m/soft_float.S)
    set(wrapped -Wl,--wrap=__aeabi_fmul,--wrap=__aeabi_fadd,--wrap=__aeabi_fsub)
  endif()
  target_compile_options(core PUBLIC ${machine})
  target_compile_definitions(core PUBLIC TLEP_N_CTX_MAX=${PORT_N_CTX_MAX})
  add_executable(firmware ${CORE_MAIN} hal.c ${common}/uart.c ${common}/cortex-m/start.c
    ${soft_float})
  target_include_directories(firmware PRIVATE ${common} ${common}/cortex-m)
  target_compile_options(firmware PRIVATE -Wno-pedantic)
  set(script ${CMAKE_CURRENT_SOURCE_DIR}/${PORT_SCRIPT})
  target_link_options(firmware PRIVATE
    ${machine} ${wrapped} --specs=nano.specs --specs=nosys.specs -nostartfiles
    -L${common}/cortex-m -T${script} -Wl,--print-memory-usage)
  set_target_properties(firmware PROPERTIES
    SUFFIX .elf LINK_DEPENDS "${script};${common}/cortex-m/sections.ld")
endfunction()
