/* CRC-32/ISO-HDLC (zlib's): reflected 0xEDB88320, init and xorout all ones. */
#ifndef TLEP_CRC32_H
#define TLEP_CRC32_H

#include <stdint.h>

uint32_t tlep_crc32(const uint8_t *data, uint32_t bytes);

#endif
