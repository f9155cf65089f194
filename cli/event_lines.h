/* The lines that a reader of the event log is shown: bookkeeping left out, and what the cloud
 * refuses many times over in one moment said once. */
#ifndef EBB_CLI_EVENT_LINES_H
#define EBB_CLI_EVENT_LINES_H

#include "cli/event_text.h"

struct ebb_event_line {
    uint64_t sequence;
    int64_t wall_ns;
    enum ebb_event_tone tone;
    const char *text;
};

struct ebb_event_lines;

/* `show` gets each line, in the order of the log but for refused launches, which are held back
 * until something else happens or a second has passed. `names` outlives the lines. */
struct ebb_event_lines *ebb_event_lines_new(struct ebb_event_names *names,
                                            void (*show)(void *ctx, const struct ebb_event_line *l),
                                            void *ctx);
void ebb_event_lines_destroy(struct ebb_event_lines *l);
EBB_DEFINE_AUTO_PTR(ebb_event_lines_auto, struct ebb_event_lines, ebb_event_lines_destroy)
void ebb_event_lines_add(struct ebb_event_lines *l, const Ebb__Event *e);
/* Shows what is held back: at the end of each batch of events. */
void ebb_event_lines_flush(struct ebb_event_lines *l);

#endif
