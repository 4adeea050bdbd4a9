#include "board.h"

#include <setjmp.h>
#include <string.h>

#include "device/device.h"
#include "host.h"

enum {
    SRAM_BYTES = 8 << 10,
    PSRAM_BYTES = 32 << 10,
    TX_RING_BYTES = 1500,
    RX_WINDOW_BYTES = 2048,
    BOOT_US = 1000,
    IDLE_US = 50000,
};

static uint8_t sram[SRAM_BYTES] __attribute__((aligned(64)));
static uint8_t psram[PSRAM_BYTES] __attribute__((aligned(64)));
static uint8_t flash[TLEP_SLOT_HEADER_BYTES + FUZZ_SLOT_MAX_BYTES] __attribute__((aligned(64)));
static const uint32_t bauds[] = {115200, 921600, 0};
static const tlep_board board = {
    .platform = "fuzz",
    .toolchain = "clang " __VERSION__,
    .timer_name = "looks",
    .timer_hz = 1000000,
    .bauds = bauds,
    .rx_window = RX_WINDOW_BYTES,
    .uid = {1, 2, 3},
    .uid_bytes = 3,
    .emulated = true,
    .led = true,
    .regions = {{"sram", TLEP_REGION_RAM, sram, SRAM_BYTES, SRAM_BYTES + 1024},
                {"psram", TLEP_REGION_RAM, psram, PSRAM_BYTES, PSRAM_BYTES},
                {"flash", TLEP_REGION_FLASH, flash, sizeof flash, sizeof flash}},
    .n_regions = 3,
};

static tlep_device device;
static jmp_buf reset;
static uint64_t now_us;
static uint32_t boots;
static const uint8_t *line;
static uint32_t line_bytes;
static uint32_t tx_queued;

static void start(void)
{
    memset(sram, 0xA5, sizeof sram); /* whatever an earlier input left is not to be relied on */
    memset(psram, 0xA5, sizeof psram);
    line_bytes = 0;
    tx_queued = 0;
    boots++;
    tlep_device_init(&device, hal_init());
}

void fuzz_power_on(const uint8_t *model, uint32_t bytes)
{
    static const char magic[8] = {'T', 'L', 'E', 'P', 'M', 'D', 'L', '1'};
    memset(flash, 0xFF, sizeof flash);
    if (bytes != 0) {
        memcpy(flash, magic, sizeof magic);
        for (uint32_t i = 0; i < 8; i++) {
            flash[8 + i] = i < 4 ? (uint8_t)(bytes >> (8 * i)) : 0;
        }
        tlep_sha256(model, bytes, flash + 16);
        memcpy(flash + TLEP_SLOT_HEADER_BYTES, model, bytes);
    }
    now_us = BOOT_US;
    boots = 0;
    start();
    while (tlep_slot_check(&device.model.slot)) { /* as a host waits; after a reset it does not */
    }
}

/* As main() does. */
static void turn(void)
{
    if (setjmp(reset) != 0) {
        start();
        return;
    }
    bool any = tlep_device_poll(&device);
    if (tlep_run_active(&device.run)) {
        tlep_device_step(&device);
    } else if (!tlep_slot_check(&device.model.slot) && !any) {
        hal_idle();
        device.idle_us += IDLE_US;
    }
}

void fuzz_line(const uint8_t *bytes, uint32_t n)
{
    line = bytes;
    line_bytes = n;
    turn();
    fuzz_check(line_bytes == 0); /* a turn reads all there is */
}

void fuzz_silence(uint32_t us)
{
    now_us += us;
    turn();
}

void fuzz_finish(void)
{
    for (uint32_t tokens = 0; tlep_run_active(&device.run); tokens++) {
        fuzz_check(tokens < TLEP_N_CTX_MAX);
        turn();
    }
}

/* --- hal.h --- */

const tlep_board *hal_init(void)
{
    return &board;
}

uint64_t hal_ticks(void)
{
    return now_us++;
}

void hal_align(void)
{
}

uint32_t hal_uart_read(uint8_t *to, uint32_t n)
{
    n = n < line_bytes ? n : line_bytes;
    if (n != 0) {
        memcpy(to, line, n);
        line += n;
        line_bytes -= n;
    }
    return n;
}

uint32_t hal_uart_rx_free(void)
{
    return RX_WINDOW_BYTES;
}

uint32_t hal_uart_rx_overruns(void)
{
    return 0;
}

bool hal_uart_write(const uint8_t *from, uint32_t n)
{
    if (n > TX_RING_BYTES - tx_queued) {
        return false;
    }
    tx_queued += n;
    fuzz_host_receive(from, n);
    return true;
}

void hal_uart_drain(void)
{
    tx_queued = 0;
}

bool hal_uart_set_baud(uint32_t baud)
{
    fuzz_check(baud == bauds[0] || baud == bauds[1]);
    return true;
}

void hal_idle(void)
{
    tx_queued = 0;
    now_us += IDLE_US;
}

void hal_reset(void)
{
    longjmp(reset, 1);
}

uint32_t hal_boot_id(void)
{
    return boots;
}

void hal_led(bool on)
{
    (void)on;
}

void hal_stack(uintptr_t *low, uintptr_t *high)
{
    *low = *high = 0;
}

bool hal_temperature(uint32_t index, const char **location, int32_t *millidegrees)
{
    *location = "die";
    *millidegrees = -1000;
    return index == 0;
}
