/* A job's output, streamed to the store while it runs: <prefix>/<8-digit sequence>, so that logs
 * survive the VM. A segment goes out when 256 KiB are waiting, when something has waited for 5 s,
 * and at the end. What waits stands in the file, not in memory; beyond 16 MiB of it the middle is
 * left out, and a line says so. Loop's thread; the puts run on workers. */
#ifndef EBB_AGENT_LOGS_H
#define EBB_AGENT_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/workers.h"
#include "cloud/object_store.h"

#define EBB_LOG_SEGMENT_BYTES (256u << 10)
#define EBB_LOG_INTERVAL_NS   (INT64_C(5) * 1000000000)
#define EBB_LOG_BACKLOG_BYTES (16u << 20)

struct ebb_log_stream;

/* Everything is borrowed but the texts, which are copied. */
struct ebb_log_stream *ebb_log_stream_new(struct ebb_workers *workers,
                                          struct ebb_object_store *store, const char *prefix,
                                          const char *path);
/* Only when no put is under way (ebb_log_stream_is_idle). */
void ebb_log_stream_destroy(struct ebb_log_stream *s);
bool ebb_log_stream_is_idle(const struct ebb_log_stream *s);
/* Sends a segment if one is due. */
void ebb_log_stream_poll(struct ebb_log_stream *s, int64_t now_ns);
/* Sends all that is left, then calls done (on the loop); a failing store is given up on at
 * `deadline_ns` (monotonic). */
void ebb_log_stream_finish(struct ebb_log_stream *s, int64_t deadline_ns, void (*done)(void *ctx),
                           void *ctx);

/* Whether a segment is due, and where the next one begins when too much waits. Pure. */
struct ebb_log_cut {
    bool due;
    uint64_t skip_to; /* > sent: leave [sent, skip_to) out */
};
struct ebb_log_cut ebb_log_next(uint64_t sent, uint64_t size, int64_t waiting_since_ns,
                                int64_t now_ns, bool finishing);
/* Length of the segment at the start of `text`: up to the last line end in it, all of it when there
 * is none or it is the last. */
uint64_t ebb_log_segment_len(const char *text, uint64_t len, bool last);

#endif
