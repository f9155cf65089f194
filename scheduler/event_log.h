/* The event log: an append-only SQLite table, the only thing the scheduler must not lose
 * (docs/event-log.md).
 *
 *     append, append, ... --> commit (one transaction, synced) --> what depends on it may happen
 *
 * One process writes: a second one is refused at open. Calls block on the disk. */
#ifndef EBB_SCHEDULER_EVENT_LOG_H
#define EBB_SCHEDULER_EVENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/event.pb-c.h"

struct ebb_event_log;

/* Opens or makes <directory>/events.db. EBB_ERR_CONFLICT: another scheduler has it open (its pid is
 * in the text). EBB_ERR_CORRUPT: the database does not pass its check; nothing was changed, the
 * text says how to go on. EBB_ERR_UNSUPPORTED: a later version wrote it. With `read_only` the log
 * must be there (EBB_ERR_NOT_FOUND), several may read, and nothing can be appended. */
int ebb_event_log_open(const char *directory, bool read_only, struct ebb_event_log **ret,
                       struct ebb_error *err);
void ebb_event_log_destroy(struct ebb_event_log *l); /* what was not committed is dropped */

/* The random name of this log: 16 hex digits, the tag of all VMs launched from it. */
const char *ebb_event_log_id(const struct ebb_event_log *l);
uint64_t
ebb_event_log_last(const struct ebb_event_log *l); /* sequence of the last event; 0: none */

/* Calls fn for each event after `after`, in order, at most `limit` (0: all); stops at the first
 * non-zero return and returns it. EBB_ERR_CORRUPT for a record that cannot be read, or a gap. */
int ebb_event_log_read(struct ebb_event_log *l, uint64_t after, uint64_t limit,
                       int (*fn)(void *ctx, const Ebb__Event *e, struct ebb_error *err), void *ctx,
                       struct ebb_error *err);

/* Adds an event to the open batch. Its sequence must be the next one (0 is filled in). */
int ebb_event_log_append(struct ebb_event_log *l, Ebb__Event *e, struct ebb_error *err);
/* Makes the batch durable. On failure the batch is dropped whole (and the caller, whose state has
 * run ahead, must end: a restart replays what is there). Does nothing for an empty batch. */
int ebb_event_log_commit(struct ebb_event_log *l, struct ebb_error *err);
uint64_t ebb_event_log_batch_count(const struct ebb_event_log *l);

/* Notes beside the events: what a restart needs and no fold reads (the boot script of a launch that
 * has no answer yet, the port agents know). Part of the open batch; NULL removes. */
int ebb_event_log_set_note(struct ebb_event_log *l, const char *key, const char *value,
                           struct ebb_error *err);
/* malloc'ed, or NULL when there is none. */
char *ebb_event_log_note(struct ebb_event_log *l, const char *key);

/* "vm_launched": the name of an event's kind as in event.proto. */
const char *ebb_event_kind_name(const Ebb__Event *e);

#endif
