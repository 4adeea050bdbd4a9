/* The native port: the same firmware as a POSIX process, whose UART is a file descriptor (one end
 * of a pty, or a socket).
 *
 * It is not silicon, and HELLO reports that (`emulated`). Its RAM is a static array, its flash
 * a mapped file, its clock CLOCK_MONOTONIC. `--line-rate` paces what it receives, so
 * that an upload takes as long as on a real serial line. */
#include "platform/hal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/fault.h"

enum {
    RAM_MAX_BYTES = 64 << 20,
    RAM_DEFAULT_BYTES = 16 << 20,
    FLASH_MAX_BYTES = 64 << 20,
    RX_WINDOW_BYTES = 8192,
    BITS_PER_BYTE = 10, /* 8N1 */
    IDLE_MAX_MS = 50,
    NS_PER_S = 1000000000,
};

static struct {
    int fd;
    uint32_t line_rate; /* bits/s; 0: as fast as the descriptor */
    uint64_t started_ns;
    uint64_t rx_allowed_us; /* when the next byte would have arrived at the line rate */
    int32_t temperature_millidegrees;
    bool has_temperature;
    char **argv;
} port;

static uint8_t ram[RAM_MAX_BYTES] __attribute__((aligned(64)));
static const uint32_t bauds[] = {115200, 230400, 460800, 921600, 0};
static tlep_board board;

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t monotonic_us(void)
{
    return monotonic_ns() / 1000U;
}

uint64_t hal_ticks(void)
{
    return monotonic_ns() - port.started_ns;
}

void hal_align(void)
{
}

static void usage(const char *problem)
{
    (void)fprintf(stderr,
                  "tlep-native: %s\n"
                  "usage: tlep-native [--fd N] [--uid HEX] [--ram BYTES] [--slot FILE] "
                  "[--temperature MILLIDEGREES]\n"
                  "                   [--line-rate BAUD] [--fault KIND:PARAMETER]...\n",
                  problem);
    exit(2);
}

static uint64_t number(const char *text, const char *option)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0') {
        usage(option);
    }
    return value;
}

static void parse_uid(const char *hex)
{
    size_t n = strlen(hex);
    if (n == 0 || n % 2 != 0 || n / 2 > TLEP_UID_MAX) {
        usage("--uid wants 1 to 16 bytes of hex");
    }
    for (size_t i = 0; i < n / 2; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;
        board.uid[i] = (uint8_t)strtoul(pair, &end, 16);
        if (*end != '\0') {
            usage("--uid wants hex");
        }
    }
    board.uid_bytes = (uint8_t)(n / 2);
}

static void map_slot(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0 || info.st_size <= 0 || info.st_size > FLASH_MAX_BYTES) {
        usage("--slot: cannot read that file, or it is empty or over 64 MiB");
    }
    void *flash = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (flash == MAP_FAILED) {
        usage("--slot: cannot map that file");
    }
    tlep_region *region = &board.regions[board.n_regions++];
    region->name = "flash";
    region->kind = TLEP_REGION_FLASH;
    region->base = flash;
    region->size = (uint32_t)info.st_size;
    region->total = (uint32_t)info.st_size;
}

static void parse_fault(const char *text)
{
    char *end;
    unsigned long kind = strtoul(text, &end, 10);
    if (*end != ':' ||
        !tlep_fault_set((uint32_t)kind,
                        (uint32_t)number(end + 1, "--fault wants KIND:PARAMETER"))) {
        usage("--fault wants KIND:PARAMETER");
    }
}

static void parse_arguments(char **argv)
{
    tlep_region *sram = &board.regions[0];
    for (char **option = argv + 1; *option != NULL; option += 2) {
        const char *value = option[1];
        if (value == NULL) {
            usage("an option is without its value");
        } else if (strcmp(*option, "--fd") == 0) {
            port.fd = (int)number(value, "--fd wants a number");
        } else if (strcmp(*option, "--uid") == 0) {
            parse_uid(value);
        } else if (strcmp(*option, "--ram") == 0) {
            uint64_t bytes = number(value, "--ram wants bytes");
            if (bytes > RAM_MAX_BYTES) {
                usage("--ram: at most 64 MiB");
            }
            sram->size = sram->total = (uint32_t)bytes;
        } else if (strcmp(*option, "--slot") == 0) {
            map_slot(value);
        } else if (strcmp(*option, "--temperature") == 0) {
            port.temperature_millidegrees =
                (int32_t)number(value, "--temperature wants millidegrees");
            port.has_temperature = true;
        } else if (strcmp(*option, "--line-rate") == 0) {
            port.line_rate = (uint32_t)number(value, "--line-rate wants bits per second");
        } else if (strcmp(*option, "--fault") == 0) {
            parse_fault(value);
        } else {
            usage("unknown option");
        }
    }
}

static const tlep_board *init(char **argv)
{
    port.argv = argv;
    port.fd = STDIN_FILENO;
    port.started_ns = monotonic_ns();
    board.platform = "native";
    board.toolchain = "gcc " __VERSION__;
    board.timer_name = "CLOCK_MONOTONIC";
    board.timer_hz = NS_PER_S;
    board.bauds = bauds;
    board.rx_window = RX_WINDOW_BYTES;
    board.emulated = true;
    board.temperature_emulated = true;
    board.led = true;
    board.n_regions = 1;
    board.regions[0] = (tlep_region){.name = "ram",
                                     .kind = TLEP_REGION_RAM,
                                     .base = ram,
                                     .size = RAM_DEFAULT_BYTES,
                                     .total = RAM_DEFAULT_BYTES};
    parse_uid("00");
    parse_arguments(argv);
    int flags = fcntl(port.fd, F_GETFL);
    if (flags < 0 || fcntl(port.fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        usage("the descriptor is not open");
    }
    return &board;
}

/* main() takes no arguments, as on a chip. So this constructor keeps those that glibc passes. */
static char **arguments;
__attribute__((constructor)) static void keep_arguments(int argc, char **argv)
{
    (void)argc;
    arguments = argv;
}

const tlep_board *hal_init(void)
{
    return init(arguments);
}

uint32_t hal_uart_read(uint8_t *to, uint32_t n)
{
    uint64_t now = monotonic_us();
    if (port.line_rate != 0 && now < port.rx_allowed_us) {
        return 0;
    }
    ssize_t got = read(port.fd, to, n);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        exit(0); /* the other end has closed: a board without a host has nothing to do */
    }
    if (got < 0) {
        return 0;
    }
    if (port.line_rate != 0) {
        uint64_t from = now > port.rx_allowed_us + 1000 ? now : port.rx_allowed_us;
        port.rx_allowed_us = from + (uint64_t)got * BITS_PER_BYTE * 1000000U / port.line_rate;
    }
    return (uint32_t)got;
}

uint32_t hal_uart_rx_free(void)
{
    return RX_WINDOW_BYTES; /* the kernel's buffer holds more than the window */
}

uint32_t hal_uart_rx_overruns(void)
{
    return 0;
}

static void wait_for(short events, int timeout_ms)
{
    struct pollfd waiting = {.fd = port.fd, .events = events};
    if (poll(&waiting, 1, timeout_ms) == 1 && (waiting.revents & (POLLHUP | POLLERR)) != 0) {
        /* the host has closed the line, or was killed: leave no orphan, even while hanging on
         * purpose */
        exit(0);
    }
}

bool hal_uart_write(const uint8_t *from, uint32_t n)
{
    struct pollfd ready = {.fd = port.fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1) {
        return false;
    }
    while (n > 0) { /* all or none: what has begun is finished */
        ssize_t wrote = write(port.fd, from, n);
        if (wrote > 0) {
            from += wrote;
            n -= (uint32_t)wrote;
        } else if (errno == EAGAIN || errno == EINTR) {
            wait_for(POLLOUT, IDLE_MAX_MS);
        } else {
            exit(0);
        }
    }
    return true;
}

void hal_uart_drain(void)
{
}

/* A descriptor has no baud rate. Under --line-rate, the new rate replaces the old one. */
bool hal_uart_set_baud(uint32_t baud)
{
    if (port.line_rate != 0) {
        port.line_rate = baud;
    }
    return true;
}

void hal_idle(void)
{
    uint64_t now = monotonic_us();
    if (port.line_rate != 0 && now < port.rx_allowed_us) {
        const long pause_us = (long)(port.rx_allowed_us - now) % 1000000000L;
        const struct timespec pause = {.tv_nsec = pause_us * 1000L};
        (void)nanosleep(&pause, NULL);
        return;
    }
    wait_for(POLLIN, IDLE_MAX_MS);
}

void hal_reset(void)
{
    (void)execv("/proc/self/exe", port.argv);
    _exit(1);
}

uint32_t hal_boot_id(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint32_t)now.tv_nsec * 2654435761U ^ (uint32_t)now.tv_sec ^ (uint32_t)getpid() << 16;
}

void hal_stack(uintptr_t *low, uintptr_t *high)
{
    *low = *high = 0; /* the process' stack grows on demand: there is no honest total to show */
}

/* A process has no LED. It prints the LED's state on standard error instead. */
void hal_led(bool on)
{
    (void)fputs("tlep-native ", stderr);
    for (uint32_t i = 0; i < board.uid_bytes; i++) {
        (void)fprintf(stderr, "%02x", board.uid[i]);
    }
    (void)fprintf(stderr, ": LED %s\n", on ? "on" : "off");
}

bool hal_temperature(uint32_t index, const char **location, int32_t *millidegrees)
{
    if (index != 0 || !port.has_temperature) {
        return false;
    }
    *location = "soc";
    *millidegrees = tlep_fault_temperature(port.temperature_millidegrees);
    return true;
}
