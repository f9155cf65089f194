/* The live view of a bag. */
#ifndef EBB_CLI_WATCH_H
#define EBB_CLI_WATCH_H

#include "base/buffer.h"
#include "cli/client.h"

/* Follows the bag until it ends: one screen, redrawn in place, on a terminal, else a line an event.
 * Returns the exit status: 0 done, 1 failed or cancelled, 3 when the scheduler is gone; 130 after
 * Ctrl-C, which leaves the bag running. */
int ebb_watch_bag(struct ebb_client *client, const char *bag);
/* The VMs of an answer that live, as a table of at most `max_rows` (a line counts the rest);
 * nothing when none lives. */
void ebb_vm_table(const Ebb__BagsAnswer *a, unsigned width, size_t max_rows,
                  struct ebb_buffer *out);

#endif
