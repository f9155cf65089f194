/* Lines of the event log. A burst of refused launches is one line for each text, with a count: the
 * held lines stay until a line of another kind comes, so that cause and effect stay in order. */
#include "cli/event_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define MOST_HELD 16

struct held {
    uint64_t sequence;
    int64_t wall_ns;
    enum ebb_event_tone tone;
    char *text;
    size_t count;
};

struct ebb_event_lines {
    struct ebb_event_names *names;
    void (*show)(void *ctx, const struct ebb_event_line *l);
    void *ctx;
    struct held held[MOST_HELD];
    size_t held_count;
};

struct ebb_event_lines *ebb_event_lines_new(struct ebb_event_names *names,
                                            void (*show)(void *ctx, const struct ebb_event_line *l),
                                            void *ctx)
{
    struct ebb_event_lines *l = ebb_alloc(sizeof(*l));
    l->names = names;
    l->show = show;
    l->ctx = ctx;
    return l;
}

void ebb_event_lines_destroy(struct ebb_event_lines *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->held_count; i++)
        free(l->held[i].text);
    free(l);
}

void ebb_event_lines_flush(struct ebb_event_lines *l)
{
    for (size_t i = 0; i < l->held_count; i++) {
        struct held *h = &l->held[i];
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
        ebb_buffer_append_text(&text, h->text);
        if (h->count > 1)
            ebb_buffer_printf(&text, " (%zu launches)", h->count);
        const struct ebb_event_line line = {h->sequence, h->wall_ns, h->tone,
                                            ebb_buffer_text(&text)};
        l->show(l->ctx, &line);
        free(h->text);
    }
    l->held_count = 0;
}

static void hold(struct ebb_event_lines *l, const Ebb__Event *e, enum ebb_event_tone tone,
                 const char *text)
{
    if (l->held_count > 0 && e->wall_ns - l->held[0].wall_ns >= EBB_NS_PER_S)
        ebb_event_lines_flush(l);
    for (size_t i = 0; i < l->held_count; i++) {
        if (strcmp(l->held[i].text, text) == 0) {
            l->held[i].count++;
            return;
        }
    }
    if (l->held_count == MOST_HELD)
        ebb_event_lines_flush(l);
    l->held[l->held_count++] = (struct held){e->sequence, e->wall_ns, tone, ebb_strdup(text), 1};
}

void ebb_event_lines_add(struct ebb_event_lines *l, const Ebb__Event *e)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    enum ebb_event_tone tone = ebb_event_text(l->names, e, &text);
    if (tone == EBB_TONE_QUIET)
        return;
    if (e->kind_case == EBB__EVENT__KIND_VM_LAUNCH_FAILED) {
        hold(l, e, tone, ebb_buffer_text(&text));
        return;
    }
    ebb_event_lines_flush(l);
    const struct ebb_event_line line = {e->sequence, e->wall_ns, tone, ebb_buffer_text(&text)};
    l->show(l->ctx, &line);
}
