/* Quantities with units, read and shown. Reading is strict (the whole text, a known unit, a finite
 * non-negative number) because a mistaken unit costs money; the message names the right form. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

#define MAX_DURATION_S (100.0 * 365 * 86400)
#define MICROS         INT64_C(1000000)

struct unit {
    const char *name;
    double factor;
};

static const struct unit duration_units[] = {
    {"s", 1},         {"sec", 1},        {"second", 1},   {"seconds", 1},  {"m", 60},
    {"min", 60},      {"minute", 60},    {"minutes", 60}, {"h", 3600},     {"hour", 3600},
    {"hours", 3600},  {"d", 86400},      {"day", 86400},  {"days", 86400}, {"w", 604800},
    {"week", 604800}, {"weeks", 604800}, {"ms", 0.001},
};

/* A lone letter is binary, as in Slurm's --mem. */
static const struct unit size_units[] = {
    {"", 1},         {"b", 1},        {"kb", 1e3},     {"mb", 1e6},     {"gb", 1e9},
    {"tb", 1e12},    {"k", 0x1p10},   {"kib", 0x1p10}, {"ki", 0x1p10},  {"m", 0x1p20},
    {"mib", 0x1p20}, {"mi", 0x1p20},  {"g", 0x1p30},   {"gib", 0x1p30}, {"gi", 0x1p30},
    {"t", 0x1p40},   {"tib", 0x1p40}, {"ti", 0x1p40},  {"pb", 1e15},    {"pib", 0x1p50},
};

static const char *skip_spaces(const char *p)
{
    return p + strspn(p, " ");
}

/* Digits with at most one point and at least one digit; no sign, no exponent. */
static bool take_decimal(const char **p, double *ret)
{
    size_t len = strspn(*p, "0123456789.");
    char digits[40];
    if (len == 0 || len >= sizeof(digits))
        return false;
    memcpy(digits, *p, len);
    digits[len] = '\0';
    const char *point = strchr(digits, '.');
    if ((point != NULL && strchr(point + 1, '.') != NULL) || len == (point != NULL ? 1U : 0U))
        return false;
    *ret = strtod(digits, NULL);
    *p += len;
    return true;
}

static const struct unit *take_unit(const char **p, const struct unit *units, size_t count)
{
    size_t len = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    for (size_t i = 0; i < count; i++) {
        if (strlen(units[i].name) == len && strncasecmp(*p, units[i].name, len) == 0) {
            *p += len;
            return &units[i];
        }
    }
    return NULL;
}

static int bad_duration(struct ebb_error *err, const char *text)
{
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "'%s' is no duration: write it as 90s, 10m, 1.5h, 2d or 1h30m", text);
}

int ebb_parse_duration(const char *text, double *ret_s, struct ebb_error *err)
{
    const char *p = skip_spaces(text);
    double total = 0, last_factor = INFINITY;
    do {
        double number;
        if (!take_decimal(&p, &number))
            return bad_duration(err, text);
        p = skip_spaces(p);
        if (*p == '\0' && isinf(last_factor)) {
            total = number; /* a bare number is seconds */
            break;
        }
        const struct unit *unit = take_unit(&p, duration_units, EBB_ARRAY_LEN(duration_units));
        if (unit == NULL || unit->factor >= last_factor)
            return bad_duration(err, text);
        total += number * unit->factor;
        last_factor = unit->factor;
        p = skip_spaces(p);
    } while (*p != '\0');
    if (!(total <= MAX_DURATION_S))
        return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is longer than 100 years", text);
    *ret_s = total;
    return 0;
}

int ebb_parse_size(const char *text, uint64_t *ret_bytes, struct ebb_error *err)
{
    const char *p = skip_spaces(text);
    const char *digits = p;
    double number = 0;
    const struct unit *unit = NULL;
    if (take_decimal(&p, &number)) {
        p = skip_spaces(p);
        unit = take_unit(&p, size_units, EBB_ARRAY_LEN(size_units));
    }
    if (unit == NULL || *skip_spaces(p) != '\0')
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "'%s' is no size: write it as 512 MiB, 2 GiB, 1.5 GB or 4096", text);
    double bytes = number * unit->factor;
    if (!(bytes < 0x1p63))
        return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is too large", text);
    /* Whole numbers stay exact beyond 2^53. */
    bool whole = digits[strspn(digits, "0123456789")] != '.';
    *ret_bytes = whole ? strtoull(digits, NULL, 10) * (uint64_t)unit->factor : (uint64_t)bytes;
    return 0;
}

static int bad_usd(struct ebb_error *err, const char *text)
{
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "'%s' is no amount of money: write it as 25 USD, $0.35 or 25", text);
}

/* By digits, not through a double: a ledger is exact. */
int ebb_parse_usd(const char *text, int64_t *ret_usd_micros, struct ebb_error *err)
{
    const char *p = skip_spaces(text);
    bool dollar = *p == '$';
    if (dollar)
        p = skip_spaces(p + 1);
    size_t whole_len = strspn(p, "0123456789");
    int64_t whole = 0;
    if (whole_len > 12)
        return bad_usd(err, text);
    for (size_t i = 0; i < whole_len; i++)
        whole = whole * 10 + (p[i] - '0');
    p += whole_len;
    int64_t micros = 0, unit = MICROS / 10;
    size_t fraction_len = 0;
    if (*p == '.') {
        fraction_len = strspn(++p, "0123456789");
        for (size_t i = 0; i < fraction_len; i++, unit /= 10) {
            if (unit == 0 && p[i] != '0')
                return ebb_error_set(err, EBB_ERR_INPUT,
                                     "'%s' is finer than a millionth of a dollar", text);
            micros += (p[i] - '0') * unit;
        }
        p += fraction_len;
    }
    p = skip_spaces(p);
    if (!dollar && strncasecmp(p, "usd", 3) == 0)
        p = skip_spaces(p + 3);
    if (*p != '\0' || whole_len + fraction_len == 0)
        return bad_usd(err, text);
    *ret_usd_micros = whole * MICROS + micros;
    return 0;
}

int ebb_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret, struct ebb_error *err)
{
    const char *digits = text + (*text == '-' || *text == '+' ? 1 : 0);
    bool form = *digits != '\0' && digits[strspn(digits, "0123456789")] == '\0';
    errno = 0;
    long long value = form ? strtoll(text, NULL, 10) : 0;
    if (form && errno == 0 && value >= min && value <= max) {
        *ret = value;
        return 0;
    }
    if (max == INT64_MAX && min == INT64_MIN)
        return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is no whole number", text);
    if (max == INT64_MAX)
        return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is no whole number of at least %lld", text,
                             (long long)min);
    return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is no whole number from %lld to %lld", text,
                         (long long)min, (long long)max);
}

int ebb_parse_double(const char *text, double *ret, struct ebb_error *err)
{
    char *end = NULL;
    /* strtod would also take spaces, hexadecimal, "inf" and "nan". */
    bool form = *text != '\0' && text[strspn(text, "0123456789.eE+-")] == '\0';
    double value = form ? strtod(text, &end) : 0;
    if (!form || end == text || *end != '\0' || !isfinite(value))
        return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is no number", text);
    *ret = value;
    return 0;
}

int ebb_parse_length(const char *text, double *ret, char ret_unit[4], struct ebb_error *err)
{
    static const char *const units[] = {"nm", "pm", "A"};
    const char *unit = "";
    size_t len = strlen(text);
    for (size_t i = 0; i < EBB_ARRAY_LEN(units); i++)
        if (ebb_ends_with(text, units[i])) {
            unit = units[i];
            len -= strlen(unit);
            break;
        }
    while (len > 0 && text[len - 1] == ' ')
        len--;
    char number[64] = "";
    double value = 0;
    if (len < sizeof number)
        memcpy(number, text, len);
    if (ebb_parse_double(number, &value, NULL) < 0 || !(value > 0))
        return ebb_error_set(
            err, EBB_ERR_INPUT,
            "'%s' is no positive length: 0.0005nm, 0.005A, 0.5pm, or a bare number "
            "in the file's own unit",
            text);
    *ret = value;
    (void)snprintf(ret_unit, 4, "%s", unit);
    return 0;
}

char *ebb_format_duration(double s, char *out)
{
    const size_t size = EBB_QUANTITY_TEXT_SIZE;
    const char *sign = s < 0 ? "-" : "";
    s = fabs(s);
    if (!(s <= 1e12)) {
        (void)snprintf(out, size, isnan(s) ? "unknown" : "%sforever", sign);
        return out;
    }
    unsigned long long whole = (unsigned long long)(s + 0.5);
    unsigned long long minutes = (whole + 30) / 60, hours = (minutes + 30) / 60;
    if (s == 0)
        (void)snprintf(out, size, "0s");
    else if (s < 0.0995)
        (void)snprintf(out, size, "%s%.0fms", sign, s < 0.0005 ? 1.0 : s * 1000);
    else if (s < 9.95)
        (void)snprintf(out, size, "%s%.1fs", sign, s);
    else if (whole < 60)
        (void)snprintf(out, size, "%s%llus", sign, whole);
    else if (whole < 3600)
        (void)snprintf(out, size, "%s%llum%02llus", sign, whole / 60, whole % 60);
    else if (minutes < UINT64_C(48) * 60)
        (void)snprintf(out, size, "%s%lluh%02llum", sign, minutes / 60, minutes % 60);
    else
        (void)snprintf(out, size, "%s%llud%02lluh", sign, hours / 24, hours % 24);
    return out;
}

char *ebb_format_size(uint64_t bytes, char *out)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(out, EBB_QUANTITY_TEXT_SIZE, "%u B", (unsigned)bytes);
        return out;
    }
    double value = (double)bytes / 1024;
    size_t i = 0;
    while (value >= 1023.95 && i + 1 < EBB_ARRAY_LEN(units)) {
        value /= 1024;
        i++;
    }
    (void)snprintf(out, EBB_QUANTITY_TEXT_SIZE, "%.1f %s", value, units[i]);
    return out;
}

/* Cents; four places below ten cents and six below a tenth of a cent, where cents say nothing. */
char *ebb_format_usd(int64_t usd_micros, char *out)
{
    const char *sign = usd_micros < 0 ? "-" : "";
    uint64_t micros = usd_micros < 0 ? -(uint64_t)usd_micros : (uint64_t)usd_micros;
    int places = micros == 0 || micros >= 100000 ? 2 : micros >= 1000 ? 4 : 6;
    uint64_t step = places == 2 ? 10000 : places == 4 ? 100 : 1;
    uint64_t rounded = (micros + step / 2) / step;
    uint64_t per_dollar = 1000000 / step;
    (void)snprintf(out, EBB_QUANTITY_TEXT_SIZE, "%s$%llu.%0*llu", sign,
                   (unsigned long long)(rounded / per_dollar), places,
                   (unsigned long long)(rounded % per_dollar));
    return out;
}
