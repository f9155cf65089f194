/* A record of the event log as JSON (schema ebb.event.v1). */
#ifndef EBB_CLI_EVENT_JSON_H
#define EBB_CLI_EVENT_JSON_H

#include <jansson.h>

#include "proto/event.pb-c.h"

/* The caller owns it. */
json_t *ebb_event_json(const Ebb__Event *e);

#endif
