/* Decimal text of floating-point numbers, as C's printf writes it and strtod reads it, faster for
 * the numbers that trajectories are full of. */
#ifndef EBB_FORMATS_DECIMAL_H
#define EBB_FORMATS_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

/* How a column of numbers is written: printf's %.<digits><style>. */
struct ebb_decimal_format {
    char style; /* 'f', 'g' or 'e' */
    unsigned char digits;
};

enum { EBB_DECIMAL_MAX_CHARS = 400, EBB_DECIMAL_MAX_DIGITS = 17 };

/* The whole of the text as a number; false when it is none. */
bool ebb_decimal_parse(const char *text, size_t len, double *ret);
/* Writes `v` in the format if that text reads back as the same number (as the same float32 when
 * `narrow`), else in the fewest significant digits that do. `out` has EBB_DECIMAL_MAX_CHARS bytes;
 * no NUL is added. Returns the length. */
size_t ebb_decimal_format(struct ebb_decimal_format format, double v, bool narrow, char *out);

/* What the texts of a column have in common, gathered token by token from a zeroed struct. */
struct ebb_decimal_survey {
    bool any, with_point, without_point, with_exponent, without_exponent, decimals_differ;
    unsigned decimals;    /* digits after the point */
    unsigned significant; /* the most in a token */
};
void ebb_decimal_survey_add(struct ebb_decimal_survey *s, const char *text, size_t len);
/* The format that most likely wrote them. */
struct ebb_decimal_format ebb_decimal_survey_format(const struct ebb_decimal_survey *s);

#endif
