# add_riscv_firmware(ARCH arch ABI abi SCRIPT script.ld N_CTX_MAX n SOURCES file...)
# adds the target of a RISC-V port: its own sources, and what RISC-V ports share.
function(add_riscv_firmware)
  cmake_parse_arguments(PORT "" "ARCH;ABI;SCRIPT;N_CTX_MAX" "SOURCES" ${ARGN})
  set(common ${CMAKE_SOURCE_DIR}/ports/common)
  # Debian's multilibs predate Zicsr as an extension of its own: hence the old ISA spec.
  set(machine -misa-spec=2.2 -march=${PORT_ARCH} -mabi=${PORT_ABI} -mcmodel=medany)
  target_compile_options(core PUBLIC ${machine} --specs=picolibc.specs)
  target_compile_definitions(core PUBLIC TLEP_N_CTX_MAX=${PORT_N_CTX_MAX})
  add_executable(firmware
    ${CORE_MAIN} ${PORT_SOURCES} ${common}/uart.c ${common}/riscv/start.S ${common}/riscv/fault.c)
  target_include_directories(firmware PRIVATE ${common} ${common}/riscv)
  set(script ${CMAKE_CURRENT_SOURCE_DIR}/${PORT_SCRIPT})
  target_link_options(firmware PRIVATE
    ${machine} --specs=picolibc.specs -nostartfiles
    -L${common}/riscv -T${script} -Wl,--print-memory-usage)
  if(PORT_ABI STREQUAL "ilp32") # no FPU: core/kernels/softfloat.c comes before libgcc
    target_link_options(firmware PRIVATE
      -Wl,--wrap=__addsf3 -Wl,--wrap=__subsf3 -Wl,--wrap=__mulsf3
      -Wl,--wrap=__floatsisf)
  endif()
  set_target_properties(firmware PROPERTIES
    SUFFIX .elf LINK_DEPENDS "${script};${common}/riscv/sections.ld")
endfunction()
