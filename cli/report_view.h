/* A report as text and as comma-separated values. */
#ifndef EBB_CLI_REPORT_VIEW_H
#define EBB_CLI_REPORT_VIEW_H

#include <stdbool.h>

#include "base/buffer.h"
#include "proto/wire.pb-c.h"

void ebb_report_text(const Ebb__Report *r, bool with_rows, struct ebb_buffer *out);
/* One row for the bag (job empty), then one a job. Seconds and dollars as decimal numbers. */
void ebb_report_csv(const Ebb__Report *r, struct ebb_buffer *out);
/* One row a VM in the columns of FOCUS 1.0 (FinOps Open Cost and Usage Specification) that a VM
 * has values for. */
void ebb_report_focus(const Ebb__Report *r, struct ebb_buffer *out);

#endif
