# What the RP2040 and the RP2350 share, added to the target of add_cortex_m_firmware.
target_sources(firmware PRIVATE ${CMAKE_CURRENT_LIST_DIR}/rp2.c)
target_include_directories(firmware PRIVATE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
