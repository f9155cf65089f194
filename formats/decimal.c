/* Decimal text of numbers. The fast ways rest on two facts of binary64: an integer below 2^53 and a
 * power of ten up to 10^22 are exact, so that one multiplication or division of them is rounded
 * once (Clinger, "How to read floating point numbers accurately", 1990); and a decimal of at most
 * 15 digits survives the way to binary64 and back. Whatever they do not cover goes to strtod and
 * snprintf. */
#include "formats/decimal.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_EXACT_POWER = 22, MAX_FAST_DIGITS = 15 };
static const uint64_t max_exact_integer = (uint64_t)1 << 53;

static const double powers[MAX_EXACT_POWER + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* integer * 10^exponent, where that is exact up to one rounding. */
static bool scale_exactly(uint64_t integer, int exponent, double *ret)
{
    if (integer > max_exact_integer || exponent < -MAX_EXACT_POWER || exponent > MAX_EXACT_POWER)
        return false;
    *ret = exponent < 0 ? (double)integer / powers[-exponent] : (double)integer * powers[exponent];
    return true;
}

static bool parse_slowly(const char *text, size_t len, double *ret)
{
    char copy[EBB_DECIMAL_MAX_CHARS];
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    char *end;
    double v = strtod(copy, &end);
    if (end != copy + len)
        return false;
    *ret = v;
    return true;
}

bool ebb_decimal_parse(const char *text, size_t len, double *ret)
{
    size_t i = len > 0 && text[0] == '-', first = i;
    uint64_t integer = 0;
    int exponent = 0, digits = 0;
    bool point = false;
    for (; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit <= 9) {
            integer = integer * 10 + digit;
            digits += integer != 0;
            exponent -= point;
        } else if (text[i] == '.' && !point) {
            point = true;
        } else {
            break;
        }
        if (digits > 18)
            return parse_slowly(text, len, ret);
    }
    if (i - first <= point)
        return parse_slowly(text, len, ret); /* inf, nan, or none */
    if (i + 1 < len && (text[i] == 'e' || text[i] == 'E')) {
        bool negative = text[++i] == '-';
        i += negative || text[i] == '+';
        int e = 0;
        size_t start = i;
        for (; i < len && text[i] >= '0' && text[i] <= '9' && e < 1000; i++)
            e = e * 10 + (text[i] - '0');
        if (i == start)
            return false;
        exponent += negative ? -e : e;
    }
    double v;
    if (i != len || !scale_exactly(integer, integer == 0 ? 0 : exponent, &v))
        return parse_slowly(text, len, ret);
    *ret = text[0] == '-' ? -v : v;
    return true;
}

/* ---- writing ---- */

/* |v| as integer * 10^-scale. */
struct decimal {
    uint64_t integer;
    int scale;
};

static bool reads_as(const struct decimal *d, double magnitude, bool narrow)
{
    double back;
    if (!scale_exactly(d->integer, -d->scale, &back))
        return false;
    return narrow ? (float)back == (float)magnitude : back == magnitude;
}

/* floor(log10(v)) for v > 0, or one off. */
static int estimate_exponent(double v)
{
    int binary;
    (void)frexp(v, &binary);
    return (int)floor((binary - 1) * 0.30102999566398120);
}

/* v > 0 to `digits` significant digits. False where the fast way does not reach. */
static bool round_significant(double v, int digits, struct decimal *d)
{
    int exponent = estimate_exponent(v);
    for (int tries = 0; tries < 3; tries++) {
        int scale = digits - 1 - exponent;
        if (scale > MAX_EXACT_POWER || scale < -MAX_EXACT_POWER)
            return false;
        double scaled = scale >= 0 ? v * powers[scale] : v / powers[-scale];
        double rounded = nearbyint(scaled);
        if (rounded >= powers[digits]) {
            exponent++;
        } else if (rounded < powers[digits - 1]) {
            exponent--;
        } else {
            *d = (struct decimal){.integer = (uint64_t)rounded, .scale = scale};
            return true;
        }
    }
    return false;
}

static size_t put_digits(uint64_t v, char *out)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

/* integer * 10^-scale with `scale` >= 0 digits after the point. */
static size_t put_fixed(const struct decimal *d, char *out)
{
    char digits[20];
    size_t n = put_digits(d->integer, digits), at = 0, scale = (size_t)d->scale;
    if (n > scale) {
        memcpy(out, digits, n - scale);
        at = n - scale;
    } else {
        out[at++] = '0';
    }
    if (scale == 0)
        return at;
    out[at++] = '.';
    for (size_t i = n; i < scale; i++)
        out[at++] = '0';
    size_t tail = n < scale ? n : scale;
    memcpy(out + at, digits + n - tail, tail);
    return at + tail;
}

static size_t put_exponent(const struct decimal *d, int exponent, char *out)
{
    char digits[20] = "";
    size_t n = put_digits(d->integer, digits), at = 0;
    out[at++] = digits[0];
    if (n > 1) {
        out[at++] = '.';
        memcpy(out + at, digits + 1, n - 1);
        at += n - 1;
    }
    out[at++] = 'e';
    out[at++] = exponent < 0 ? '-' : '+';
    unsigned e = (unsigned)abs(exponent);
    if (e < 10)
        out[at++] = '0';
    return at + put_digits(e, out + at);
}

/* As printf's %.<digits>g: no zeros at the end, an exponent outside 10^-4..10^digits. */
static size_t put_general(struct decimal d, int digits, char *out)
{
    int exponent = digits - 1 - d.scale;
    while (d.integer % 10 == 0) {
        d.integer /= 10;
        d.scale--;
    }
    if (exponent < -4 || exponent >= digits)
        return put_exponent(&d, exponent, out);
    for (; d.scale < 0; d.scale++)
        d.integer *= 10;
    return put_fixed(&d, out);
}

/* v > 0; 0 when the text would not read back as v, or the fast way does not reach. */
static size_t format_fast(struct ebb_decimal_format format, double v, bool narrow, char *out)
{
    struct decimal d;
    if (format.style == 'f') {
        if (format.digits > MAX_FAST_DIGITS || v >= 1e15 / powers[format.digits])
            return 0;
        double rounded = nearbyint(v * powers[format.digits]);
        d = (struct decimal){.integer = (uint64_t)rounded, .scale = format.digits};
        return reads_as(&d, v, narrow) ? put_fixed(&d, out) : 0;
    }
    int digits = format.style == 'e' ? format.digits + 1 : format.digits == 0 ? 1 : format.digits;
    if (digits > MAX_FAST_DIGITS || !round_significant(v, digits, &d) || !reads_as(&d, v, narrow))
        return 0;
    return format.style == 'e' ? put_exponent(&d, digits - 1 - d.scale, out)
                               : put_general(d, digits, out);
}

static size_t print(struct ebb_decimal_format format, double v, char *out)
{
    int n = format.style == 'f'   ? snprintf(out, EBB_DECIMAL_MAX_CHARS, "%.*f", format.digits, v)
            : format.style == 'e' ? snprintf(out, EBB_DECIMAL_MAX_CHARS, "%.*e", format.digits, v)
                                  : snprintf(out, EBB_DECIMAL_MAX_CHARS, "%.*g", format.digits, v);
    return n > 0 && n < EBB_DECIMAL_MAX_CHARS ? (size_t)n : 0;
}

static bool text_reads_as(const char *text, size_t len, double v, bool narrow)
{
    double back;
    if (!ebb_decimal_parse(text, len, &back))
        return false;
    if (isnan(v))
        return isnan(back);
    return (narrow ? (float)back == (float)v : back == v) && !signbit(back) == !signbit(v);
}

static size_t format_shortest(double v, bool narrow, char *out)
{
    double magnitude = fabs(v);
    size_t sign = 0;
    if (signbit(v) && isfinite(v))
        out[sign++] = '-';
    size_t n;
    for (unsigned digits = 1; isfinite(v) && v != 0 && digits <= MAX_FAST_DIGITS; digits++)
        if ((n = format_fast((struct ebb_decimal_format){'g', (unsigned char)digits}, magnitude,
                             narrow, out + sign)) > 0)
            return sign + n;
    for (unsigned digits = narrow ? 6 : MAX_FAST_DIGITS; digits < EBB_DECIMAL_MAX_DIGITS;
         digits++) {
        n = print((struct ebb_decimal_format){'g', (unsigned char)digits}, v, out);
        if (text_reads_as(out, n, v, narrow))
            return n;
    }
    return print((struct ebb_decimal_format){'g', EBB_DECIMAL_MAX_DIGITS}, v, out);
}

size_t ebb_decimal_format(struct ebb_decimal_format format, double v, bool narrow, char *out)
{
    if (isfinite(v) && v != 0) {
        size_t sign = v < 0;
        out[0] = '-';
        size_t n = format_fast(format, fabs(v), narrow, out + sign);
        if (n > 0)
            return sign + n;
    }
    size_t n = print(format, v, out);
    if (n > 0 && text_reads_as(out, n, v, narrow))
        return n;
    return format_shortest(v, narrow, out);
}

void ebb_decimal_survey_add(struct ebb_decimal_survey *s, const char *text, size_t len)
{
    unsigned decimals = 0, significant = 0;
    bool point = false, exponent = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            decimals += point;
            significant += significant > 0 || text[i] != '0';
        } else if (text[i] == '.') {
            point = true;
        } else if (text[i] == 'e' || text[i] == 'E') {
            exponent = true;
            break;
        }
    }
    s->decimals_differ |= s->any && decimals != s->decimals;
    s->any = true;
    s->decimals = decimals;
    s->significant = significant > s->significant ? significant : s->significant;
    s->with_point |= point;
    s->without_point |= !point;
    s->with_exponent |= exponent;
    s->without_exponent |= !exponent;
}

struct ebb_decimal_format ebb_decimal_survey_format(const struct ebb_decimal_survey *s)
{
    unsigned decimals = s->decimals < EBB_DECIMAL_MAX_DIGITS ? s->decimals : EBB_DECIMAL_MAX_DIGITS;
    bool uniform = s->with_point && !s->without_point && !s->decimals_differ;
    if (uniform && !s->with_exponent)
        return (struct ebb_decimal_format){'f', (unsigned char)decimals};
    if (uniform && !s->without_exponent)
        return (struct ebb_decimal_format){'e', (unsigned char)decimals};
    unsigned digits = s->significant < 6 ? 6 : s->significant; /* plain %g has 6 */
    if (digits > EBB_DECIMAL_MAX_DIGITS)
        digits = EBB_DECIMAL_MAX_DIGITS;
    return (struct ebb_decimal_format){'g', (unsigned char)digits};
}
