/* What the core uses of a C library, which Debian has none of for Xtensa: memory.c implements it. */
#ifndef TLEP_XTENSA_STRING_H
#define TLEP_XTENSA_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);

#endif
