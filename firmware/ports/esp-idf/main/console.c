/* UART0, on the pins that boards wire to their USB bridge, and the chip's own USB serial port where
 * it has one: both are listened to, and answered is the one that spoke last. ESP-IDF's drivers keep
 * the rings, filled by interrupts. */
#include "console.h"

#include <stddef.h>

#include "driver/uart.h"
#include "driver/usb_serial_jtag.h"
#include "driver/usb_serial_jtag_select.h"
#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"
#include "platform/hal.h"
#include "soc/soc_caps.h"
#include "soc/uart_pins.h"
#include "uart.h"

enum {
    PORT = UART_NUM_0,
    TX_RING_BYTES = 4096, /* the driver's own words between the frames included */
    N_EVENTS = 64,        /* more than a full ring's, so that none is lost while a token is made */
    TX_EMPTY_AT = 32,     /* bytes in the FIFO under which it is filled; an emulated ROM leaves 0: never */
    USB_DRAIN_MS = 1000,  /* a host that does not read is not waited for */
};

const uint32_t console_bauds[] = {115200, 230400, 460800, 921600, 1500000, 2000000, 0};
static QueueHandle_t events; /* the UART driver's; a byte over USB is announced there, too */
static uint32_t overruns;
static bool answer_by_usb;

static void note(const uart_event_t *event)
{
    if (event->type == UART_FIFO_OVF) {
        overruns++;
    }
}

#if SOC_USB_SERIAL_JTAG_SUPPORTED
static void wake(usj_select_notif_t what, BaseType_t *task_woken)
{
    static const uart_event_t received = {.type = UART_DATA};
    if (what == USJ_SELECT_READ_NOTIF) {
        (void)xQueueSendFromISR(events, &received, task_woken);
    }
}

static void start_usb(void)
{
    usb_serial_jtag_driver_config_t rings = {.tx_buffer_size = TLEP_TX_RING,
                                             .rx_buffer_size = TLEP_RX_RING};
    ESP_ERROR_CHECK(usb_serial_jtag_driver_install(&rings));
    usb_serial_jtag_set_select_notif_callback(wake);
}
#endif

void console_start(void)
{
    uart_config_t line = {.baud_rate = (int)console_bauds[0],
                          .data_bits = UART_DATA_8_BITS,
                          .parity = UART_PARITY_DISABLE,
                          .stop_bits = UART_STOP_BITS_1,
                          .flow_ctrl = UART_HW_FLOWCTRL_DISABLE,
                          .source_clk = UART_SCLK_DEFAULT};
    ESP_ERROR_CHECK(
        uart_driver_install(PORT, TLEP_RX_RING, TX_RING_BYTES, N_EVENTS, &events, 0));
    ESP_ERROR_CHECK(uart_param_config(PORT, &line));
    ESP_ERROR_CHECK(uart_set_pin(PORT, U0TXD_GPIO_NUM, U0RXD_GPIO_NUM, UART_PIN_NO_CHANGE,
                                 UART_PIN_NO_CHANGE));
    ESP_ERROR_CHECK(uart_enable_tx_intr(PORT, 1, TX_EMPTY_AT));
#if SOC_USB_SERIAL_JTAG_SUPPORTED
    start_usb();
#endif
}

uint32_t hal_uart_read(uint8_t *to, uint32_t n)
{
    uart_event_t event;
    while (xQueueReceive(events, &event, 0) == pdTRUE) {
        note(&event);
    }
    int got = uart_read_bytes(PORT, to, n, 0);
    if (got > 0) {
        answer_by_usb = false;
        return (uint32_t)got;
    }
#if SOC_USB_SERIAL_JTAG_SUPPORTED
    got = usb_serial_jtag_read_bytes(to, n, 0);
    if (got > 0) {
        answer_by_usb = true;
        return (uint32_t)got;
    }
#endif
    return 0;
}

uint32_t hal_uart_rx_free(void)
{
    size_t used = 0;
#if SOC_USB_SERIAL_JTAG_SUPPORTED
    if (answer_by_usb) {
        used = usb_serial_jtag_get_read_bytes_available();
        return used < TLEP_RX_RING ? TLEP_RX_RING - (uint32_t)used : 0;
    }
#endif
    (void)uart_get_buffered_data_len(PORT, &used);
    return used < TLEP_RX_RING ? TLEP_RX_RING - (uint32_t)used : 0;
}

uint32_t hal_uart_rx_overruns(void)
{
    return overruns;
}

bool hal_uart_write(const uint8_t *from, uint32_t n)
{
#if SOC_USB_SERIAL_JTAG_SUPPORTED
    if (answer_by_usb) { /* nobody waits for what is said to a host that was pulled */
        return !usb_serial_jtag_is_connected() ||
               usb_serial_jtag_write_bytes(from, n, 0) == (int)n;
    }
#endif
    size_t room = 0;
    return uart_get_tx_buffer_free_size(PORT, &room) == ESP_OK && room >= n &&
           uart_write_bytes(PORT, from, n) == (int)n;
}

void hal_uart_drain(void)
{
#if SOC_USB_SERIAL_JTAG_SUPPORTED
    if (answer_by_usb) {
        (void)usb_serial_jtag_wait_tx_done(pdMS_TO_TICKS(USB_DRAIN_MS));
        return;
    }
#endif
    (void)uart_wait_tx_done(PORT, portMAX_DELAY);
}

bool hal_uart_set_baud(uint32_t baud)
{
    return uart_set_baudrate(PORT, baud) == ESP_OK;
}

/* For a tick at most: room for what is to be sent comes without an event. */
void hal_idle(void)
{
    uart_event_t event;
    if (xQueueReceive(events, &event, 1) == pdTRUE) {
        note(&event);
    }
}
