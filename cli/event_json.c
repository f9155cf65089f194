/* The record's own fields stand beside sequence, time and kind. */
#include "cli/event_json.h"

#include "cli/event_text.h"
#include "cli/json_out.h"

json_t *ebb_event_json(const Ebb__Event *e)
{
    json_t *v = ebb_json_new("event");
    (void)json_object_set_new(v, "sequence", json_integer((json_int_t)e->sequence));
    (void)json_object_set_new(v, "at", ebb_json_time(e->wall_ns));
    (void)json_object_set_new(v, "kind", json_string(ebb_event_kind(e)));
    json_t *whole = ebb_json_of_message(&e->base);
    json_t *body = json_object_get(whole, ebb_event_kind(e));
    if (body != NULL)
        (void)json_object_update_missing(v, body);
    json_decref(whole);
    return v;
}
