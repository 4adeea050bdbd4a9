/* The ESP32 family as an app of ESP-IDF, which starts chip, caches and PSRAM. The core runs in one
 * task, on the last CPU core; the interrupts of the line are taken by the first.
 *
 * A general-purpose timer is the clock of record: 64 bit, from the PLL that the crystal locks, and
 * it runs on where the CPU's cycle counter stops, in sleep.
 *
 * Not here: hal_align, as a tick of 25 ns is no longer than the reading of it; an LED, as boards
 * have an RGB one or none. */
#include "platform/hal.h"

#include <string.h>

#include "console.h"
#include "driver/gptimer.h"
#include "driver/temperature_sensor.h"
#include "esp_clk_tree.h"
#include "esp_flash.h"
#include "esp_heap_caps.h"
#include "esp_idf_version.h"
#include "esp_mac.h"
#include "esp_partition.h"
#include "esp_random.h"
#include "esp_system.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"
#include "soc/soc.h"
#include "soc/soc_caps.h"
#include "uart.h"

#if ESP_IDF_VERSION < ESP_IDF_VERSION_VAL(6, 0, 0)
#error "this app is written for ESP-IDF 6"
#endif

#define STRING(x) #x
#define NUMBER(x) STRING(x)
#define IDF                                                                                        \
    ", ESP-IDF " NUMBER(ESP_IDF_VERSION_MAJOR) "." NUMBER(ESP_IDF_VERSION_MINOR) "." NUMBER(       \
        ESP_IDF_VERSION_PATCH)

enum {
    TIMER_HZ = 40000000, /* half of what drives it: the smallest divider is 2 */
    STACK_BYTES = 16 * 1024,
    CANARY_BYTES = 64, /* FreeRTOS looks at the stack's last bytes: they are not ours to paint */
    PRIORITY = 5,
    MAC_BYTES = 6,
    ALIGNMENT_BYTES = 32,
    HEAP_BYTES = 8 * 1024, /* stays with ESP-IDF, in each memory */
    REGION_MIN_BYTES = 32 * 1024,
};

int tlep_main(void); /* the core's main() */

static tlep_board board;
static gptimer_handle_t timer;
static StackType_t stack[STACK_BYTES] __attribute__((aligned(16)));
static StaticTask_t task;

static void start_timer(void)
{
    gptimer_config_t how = {.clk_src = GPTIMER_CLK_SRC_DEFAULT,
                            .direction = GPTIMER_COUNT_UP,
                            .resolution_hz = TIMER_HZ};
    ESP_ERROR_CHECK(gptimer_new_timer(&how, &timer));
    ESP_ERROR_CHECK(gptimer_enable(timer));
    ESP_ERROR_CHECK(gptimer_start(timer));
    ESP_ERROR_CHECK(gptimer_get_resolution(timer, &board.timer_hz));
}

/* Every chip has a MAC from the factory; Espressif's QEMU, unless it is given one, has none. */
static void read_mac(void)
{
    static const uint8_t none[MAC_BYTES];
    (void)esp_read_mac(board.uid, ESP_MAC_EFUSE_FACTORY);
    board.uid_bytes = MAC_BYTES;
    board.emulated = memcmp(board.uid, none, MAC_BYTES) == 0;
}

/* The largest free block of a kind of memory. A chip can have two in its SRAM. */
static bool take_ram(const char *name, uint32_t caps)
{
    size_t bytes = heap_caps_get_largest_free_block(caps);
    if (bytes < HEAP_BYTES + REGION_MIN_BYTES) {
        return false;
    }
    bytes = (bytes - HEAP_BYTES) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    uint8_t *base = heap_caps_aligned_alloc(ALIGNMENT_BYTES, bytes, caps);
    if (base == NULL) {
        return false;
    }
    board.regions[board.n_regions++] = (tlep_region){.name = name,
                                                     .kind = TLEP_REGION_RAM,
                                                     .base = base,
                                                     .size = (uint32_t)bytes,
                                                     .total = (uint32_t)bytes};
    return true;
}

static void take_sram(void)
{
    tlep_region *first = &board.regions[board.n_regions];
    if (take_ram("sram", MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT)) {
        first->total = SOC_DRAM_HIGH - SOC_DRAM_LOW;
        if (take_ram("sram2", MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT)) {
            first->total -= first[1].total;
        }
    }
}

static void take_psram(void)
{
    tlep_region *region = &board.regions[board.n_regions];
    size_t total = heap_caps_get_total_size(MALLOC_CAP_SPIRAM);
    if (take_ram("psram", MALLOC_CAP_SPIRAM)) {
        region->total = (uint32_t)total;
    }
}

static void map_slot(void)
{
    const void *base;
    esp_partition_mmap_handle_t handle;
    uint32_t flash_bytes = 0;
    const esp_partition_t *slot =
        esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, "slot");
    if (slot == NULL || esp_partition_mmap(slot, 0, slot->size, ESP_PARTITION_MMAP_DATA, &base,
                                           &handle) != ESP_OK) {
        return; /* models go to RAM */
    }
    (void)esp_flash_get_size(NULL, &flash_bytes);
    board.regions[board.n_regions++] =
        (tlep_region){.name = "flash",
                      .kind = TLEP_REGION_FLASH,
                      .base = (uint8_t *)base,
                      .size = slot->size,
                      .total = flash_bytes > slot->size ? flash_bytes : slot->size};
}

#if SOC_TEMP_SENSOR_SUPPORTED
static temperature_sensor_handle_t sensor; /* null: there is none */

static void start_sensor(void)
{
    temperature_sensor_config_t range = TEMPERATURE_SENSOR_CONFIG_DEFAULT(-10, 80);
    if (temperature_sensor_install(&range, &sensor) != ESP_OK) {
        sensor = NULL;
    } else if (temperature_sensor_enable(sensor) != ESP_OK) {
        (void)temperature_sensor_uninstall(sensor);
        sensor = NULL;
    }
}

bool hal_temperature(uint32_t index, const char **location, int32_t *millidegrees)
{
    float degrees;
    if (index > 0 || sensor == NULL ||
        temperature_sensor_get_celsius(sensor, &degrees) != ESP_OK) {
        return false;
    }
    *location = "soc";
    *millidegrees = (int32_t)(degrees * 1000.0f);
    return true;
}
#endif

const tlep_board *hal_init(void)
{
    read_mac();
    start_timer();
    (void)esp_clk_tree_src_get_freq_hz(SOC_MOD_CLK_CPU, ESP_CLK_TREE_SRC_FREQ_PRECISION_CACHED,
                                       &board.clock_hz);
    board.platform = CONFIG_IDF_TARGET "-idf"; /* other figures than a bare port on the same chip */
#if CONFIG_IDF_TARGET_ARCH_XTENSA
    board.toolchain = "xtensa-esp-elf-gcc " __VERSION__ IDF;
#else
    board.toolchain = "riscv32-esp-elf-gcc " __VERSION__ IDF;
#endif
    board.timer_name = "GPTIMER";
    board.bauds = console_bauds;
    board.rx_window = TLEP_RX_WINDOW;
    take_sram();
    take_psram();
    map_slot();
#if SOC_TEMP_SENSOR_SUPPORTED
    if (!board.emulated) {
        start_sensor();
    }
#endif
    return &board;
}

uint64_t hal_ticks(void)
{
    uint64_t ticks = 0;
    (void)gptimer_get_raw_count(timer, &ticks);
    return ticks;
}

uint32_t hal_boot_id(void)
{
    return esp_random();
}

void hal_reset(void)
{
    esp_restart();
}

void hal_stack(uintptr_t *low, uintptr_t *high)
{
    *low = (uintptr_t)stack + CANARY_BYTES;
    *high = (uintptr_t)stack + STACK_BYTES;
}

static void run(void *unused)
{
    (void)unused;
    (void)tlep_main();
}

void app_main(void)
{
    console_start();
    (void)xTaskCreateStaticPinnedToCore(run, "tlep", STACK_BYTES, NULL, PRIORITY, stack, &task,
                                        CONFIG_FREERTOS_NUMBER_OF_CORES - 1);
}
