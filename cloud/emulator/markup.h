/* XML as the clouds' protocols use it: writing answers, and reading the small bodies that S3
 * requests carry. */
#ifndef EBB_CLOUD_EMULATOR_MARKUP_H
#define EBB_CLOUD_EMULATOR_MARKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

void ebb_markup_open(struct ebb_buffer *out, const char *name);
void ebb_markup_close(struct ebb_buffer *out, const char *name);
void ebb_markup_escape(struct ebb_buffer *out, const char *text);
/* <name>escaped text</name> */
void ebb_markup_text(struct ebb_buffer *out, const char *name, const char *text);
void ebb_markup_format(struct ebb_buffer *out, const char *name, const char *fmt, ...)
    EBB_PRINTF(3, 4);

/* Reads a document element by element: each call gives one end tag, with the text directly before
 * it when the element held only text. No DTD, no processing instructions beyond the declaration. */
struct ebb_markup_scan {
    const char *at;
    const char *end;
    char name[64];          /* of the element that ended, without namespace prefix */
    struct ebb_buffer text; /* decoded; empty when it held elements */
    bool leaf;
    int depth;
    bool malformed;
};

void ebb_markup_scan_init(struct ebb_markup_scan *s, const char *text, size_t len);
void ebb_markup_scan_clean_up(struct ebb_markup_scan *s);
bool ebb_markup_scan_next(struct ebb_markup_scan *s); /* false: over, or malformed */

#endif
