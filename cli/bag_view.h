/* How a bag is shown: the few lines that status, wait and the live view have in common. */
#ifndef EBB_CLI_BAG_VIEW_H
#define EBB_CLI_BAG_VIEW_H

#include <stdbool.h>

#include "base/buffer.h"
#include "proto/wire.pb-c.h"

bool ebb_bag_is_over(const Ebb__BagStatus *b);
/* Exit status of a command that waited for it: 0 done, 1 failed or cancelled. */
int ebb_bag_exit_status(const Ebb__BagStatus *b);
uint64_t ebb_bag_count(const Ebb__BagStatus *b, const char *state);

/* "demo-1f3a: running for 2m10s" with the deadline, if any. */
void ebb_bag_view_title(const Ebb__BagStatus *b, int64_t now_wall_ns, struct ebb_buffer *out);
/* "6 done, 3 running, 4 waiting" in the order of a job's life. */
void ebb_bag_view_counts(const Ebb__BagStatus *b, struct ebb_buffer *out);
/* "[#####...........]", `width` characters between the brackets. */
void ebb_bag_view_bar(const Ebb__BagStatus *b, unsigned width, struct ebb_buffer *out);
/* "spent $0.12, on demand $0.40 (70 % saved), 3 revocations" */
void ebb_bag_view_money(const Ebb__BagStatus *b, struct ebb_buffer *out);
/* "expected to finish in 4m10s"; nothing when over or unknown. */
void ebb_bag_view_finish(const Ebb__BagStatus *b, int64_t now_wall_ns, struct ebb_buffer *out);

#endif
