/* An event of the log as one line for people. */
#ifndef EBB_CLI_EVENT_TEXT_H
#define EBB_CLI_EVENT_TEXT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "proto/event.pb-c.h"

/* What the lines need to know and events leave out: names of jobs, where a VM is, which VM
 * runs a job. It learns from the events it is shown (show it all of them, in order) and asks for
 * the rest. */
struct ebb_event_names;

/* `spec` returns the bag's spec, owned by the callee for the names' life, or NULL. */
struct ebb_event_names *ebb_event_names_new(const Ebb__BagSpec *(*spec)(void *ctx, const char *bag),
                                            void *ctx);
void ebb_event_names_destroy(struct ebb_event_names *n);
EBB_DEFINE_AUTO_PTR(ebb_event_names_auto, struct ebb_event_names, ebb_event_names_destroy)
void ebb_event_names_learn(struct ebb_event_names *n, const Ebb__Event *e);
/* "nvt,temperature=290,seed=1", or "job 3" when the bag is not known. */
void ebb_event_job_name(struct ebb_event_names *n, const char *bag, uint64_t job,
                        struct ebb_buffer *out);

enum ebb_event_tone { EBB_TONE_QUIET, EBB_TONE_PLAIN, EBB_TONE_GOOD, EBB_TONE_WARN, EBB_TONE_BAD };

/* Appends the line, without a line break. QUIET: bookkeeping that a live view leaves out. */
enum ebb_event_tone ebb_event_text(struct ebb_event_names *n, const Ebb__Event *e,
                                   struct ebb_buffer *out);
/* The bag that the event is about, or NULL when it is about a VM or the cloud. */
const char *ebb_event_bag(const Ebb__Event *e);
/* "attempt_started": the name of its kind in the log and in --json. */
const char *ebb_event_kind(const Ebb__Event *e);

#endif
