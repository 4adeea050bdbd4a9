# What Arm's MPS2 boards share, added to the target of add_cortex_m_firmware.
target_sources(firmware PRIVATE ${CMAKE_CURRENT_LIST_DIR}/mps2.c)
target_include_directories(firmware PRIVATE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
