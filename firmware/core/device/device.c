#include "device/device.h"

#include <string.h>

#include "device/ops.h"
#include "device/run_events.h"
#include "link/keys.h"
#include "platform/timer.h"

static int carry_out(void *device, const tlep_request *request, tlep_cbor_writer *w,
                     tlep_error *err)
{
    return tlep_op(device, request, w, err);
}

static bool take_data(void *device, const tlep_frame *frame)
{
    tlep_device *d = device;
    return !tlep_run_active(&d->run) &&
           tlep_intake_take(&d->intake, &d->link, &d->model, frame, d->board->rx_window / 2);
}

static void tell_boot(tlep_device *d)
{
    tlep_cbor_writer w;
    tlep_link_begin_event(&d->link, &w, EVENT_BOOT);
    tlep_cbor_put(&w, KEY_BOOT_EVENT_BOOT_ID, d->boot_id);
    tlep_link_send_event(&d->link, &w);
}

void tlep_device_init(tlep_device *d, const tlep_board *board)
{
    tlep_link_handler handler = {.device = d, .request = carry_out, .data = take_data};
    memset(d, 0, sizeof *d);
    d->board = board;
    tlep_link_init(&d->link, board, &handler);
    tlep_timer_init(board);
    d->boot_id = hal_boot_id();
    tlep_model_init(&d->model, board);
    d->run.model = &d->model;
    tell_boot(d);
}

bool tlep_device_poll(tlep_device *d)
{
    bool any = tlep_link_poll(&d->link);
    tlep_intake_flush(&d->intake, &d->link, &d->model);
    return any;
}

void tlep_device_step(tlep_device *d)
{
    if (tlep_run_step(&d->run, d->idle_us)) {
        tlep_tell_run(&d->run, &d->link);
    }
}
