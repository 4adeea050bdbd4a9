/* Telling the host how a run goes (docs/link-protocol.md, section 7). */
#ifndef TLEP_RUN_EVENTS_H
#define TLEP_RUN_EVENTS_H

#include "link/link.h"
#include "model/run.h"

/* Send the events of the step that the run has just done: TOKEN or PREFILL, and DONE when it has
 * ended. */
void tlep_tell_run(tlep_run *r, tlep_link *l);

#endif
