/* Text: quantities with units, nearest names, shell-like words, percent encoding. */
#ifndef EBB_BASE_TEXT_H
#define EBB_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

bool ebb_starts_with(const char *s, const char *prefix);
bool ebb_ends_with(const char *s, const char *suffix);
/* The candidate nearest to `word` by edit distance (Damerau-Levenshtein), or NULL when none is
 * near (distance over a third of the length, at least 2). `names` has `count` entries. */
const char *ebb_nearest_name(const char *word, const char *const *names, size_t count);
/* Shell glob (fnmatch with FNM_PATHNAME); "**" matches across '/'. */
bool ebb_glob_match(const char *pattern, const char *path);

/* "90", "90s", "10m", "1.5h", "2d", "1h30m" -> seconds. EBB_ERR_INPUT otherwise. */
int ebb_parse_duration(const char *text, double *ret_s, struct ebb_error *err);
/* "512 MiB", "2GiB", "1.5 GB", "4096" -> bytes. */
int ebb_parse_size(const char *text, uint64_t *ret_bytes, struct ebb_error *err);
/* "25", "25 USD", "$0.35" -> millionths of a dollar. */
int ebb_parse_usd(const char *text, int64_t *ret_usd_micros, struct ebb_error *err);
/* "0.0005nm", "0.005 A", "0.5pm", "0.01" -> a positive number and "nm", "A", "pm" or "". */
int ebb_parse_length(const char *text, double *ret, char ret_unit[4], struct ebb_error *err);
int ebb_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret, struct ebb_error *err);
int ebb_parse_double(const char *text, double *ret, struct ebb_error *err); /* finite only */

/* "1h05m", "42s", "0.3s" and "3.2 GiB", "$12.34", "$0.0012"; out holds EBB_QUANTITY_TEXT_SIZE. */
#define EBB_QUANTITY_TEXT_SIZE 40
char *ebb_format_duration(double s, char *out);
char *ebb_format_size(uint64_t bytes, char *out);
char *ebb_format_usd(int64_t usd_micros, char *out);

/* RFC 3986: everything but unreserved becomes %XX (upper case); '/' stays when keep_slash. */
void ebb_percent_encode(struct ebb_buffer *out, const char *s, size_t len, bool keep_slash);
/* Decodes %XX (and '+' as space when form); malloc'ed, NUL-terminated; NULL on a bad escape. */
char *ebb_percent_decode(const char *s, size_t len, bool form, size_t *ret_len);
/* Quote for /bin/sh. */
void ebb_shell_quote(struct ebb_buffer *out, const char *word);

#endif
