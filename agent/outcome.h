/* What an engine's end means. Exit codes never suffice: engines exit with 0 although unfinished and
 * with 1 after an orderly stop. */
#ifndef EBB_AGENT_OUTCOME_H
#define EBB_AGENT_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "proto/bag.pb-c.h"
#include "proto/profile.pb-c.h"

enum ebb_exit_kind { EBB_EXIT_UNKNOWN, EBB_EXIT_RETRY, EBB_EXIT_FATAL, EBB_EXIT_PREEMPTED };

/* What is known about an engine that has ended. */
struct ebb_end_facts {
    const char *work; /* directory */
    const char *log;  /* path of the job's standard output and error */
    int wait_status;
    int64_t step;        /* progress; -1 unknown */
    int64_t total_steps; /* -1 unknown */
};

/* The profile's done test over the work directory, and the group's outputs that must be there. When
 * false, `why` says what is missing. `group` may be NULL. */
bool ebb_done_test(const struct ebb_end_facts *facts, const Ebb__ProfileDone *done,
                   const Ebb__JobGroup *group, struct ebb_buffer *why);
/* The first rule of the profile that fits the exit status (codes; 128 + n for signal n) and the end
 * of the log. ret_message points into the profile. */
enum ebb_exit_kind ebb_exit_classify(const Ebb__Profile *profile, int wait_status,
                                     const char *log_tail, const char **ret_message);
/* "exit status 3", "killed by signal 9 (Killed)". */
void ebb_exit_describe(int wait_status, struct ebb_buffer *out);
/* The log's end tells of a full disk. */
bool ebb_log_says_disk_full(const char *log_tail);
/* The last `lines` lines of the log on one line, for a reason. */
void ebb_log_last_lines(const char *log_tail, unsigned lines, size_t max_bytes,
                        struct ebb_buffer *out);

#endif
