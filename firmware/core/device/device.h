/* The whole device: a line to a host, the model that the host brought, and the run that it asked
 * for.
 *
 * ops.c carries out the host's requests, intake.c takes an upload in, and run_events.c reports the
 * progress of a run. */
#ifndef TLEP_DEVICE_H
#define TLEP_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "device/identify.h"
#include "device/intake.h"
#include "link/link.h"
#include "model/model.h"
#include "model/run.h"
#include "platform/hal.h"

typedef struct {
    const tlep_board *board;
    tlep_link link;
    tlep_model model;
    tlep_run run;
    tlep_intake intake;
    tlep_identify identify;
    uint32_t boot_id;
    uint64_t epoch;   /* the highest lease epoch seen since boot */
    uint64_t idle_us; /* since boot */
} tlep_device;

void tlep_device_init(tlep_device *d, const tlep_board *board);

/* Serve what has come over the link; true when there was anything. */
bool tlep_device_poll(tlep_device *d);

/* Compute one token of the run in progress and send it to the host. */
void tlep_device_step(tlep_device *d);

#endif
