/* Reading lifetimes is strict: a row that is not understood is an error with file and line, because
 * a row left out in silence shifts every estimate made from the rest. */
#include "scheduler/core/fit_data.h"

#include <math.h>
#include <string.h>

#include "base/csv.h"
#include "base/text.h"

#define MOST_H (100.0 * 365 * 24)

struct columns {
    int lifetime, end, type, zone, launched;
};

static void names_clean_up(struct ebb_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
    free(n->names);
    *n = (struct ebb_names){0};
}

void ebb_lifetimes_clean_up(struct ebb_lifetimes *l)
{
    names_clean_up(&l->types);
    names_clean_up(&l->zones);
    free(l->rows);
    *l = (struct ebb_lifetimes){0};
}

int32_t ebb_names_find(const struct ebb_names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->names[i], name) == 0)
            return (int32_t)i;
    }
    return -1;
}

int32_t ebb_names_add(struct ebb_names *n, const char *name)
{
    int32_t found = ebb_names_find(n, name);
    if (found >= 0)
        return found;
    /* Capacity is the power of two above the count. */
    if ((n->count & (n->count + 1)) == 0)
        n->names = ebb_realloc_array(n->names, 2 * n->count + 2, sizeof *n->names);
    n->names[n->count] = ebb_strdup(name);
    return (int32_t)n->count++;
}

static int read_end(const struct ebb_csv *c, int column, enum ebb_lifetime_end *ret,
                    struct ebb_error *err)
{
    static const char *const names[] = {"revoked", "cap", "stopped"};
    const char *text = ebb_csv_cell(c, column);
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum ebb_lifetime_end)i;
            return 0;
        }
    }
    return ebb_csv_fault(c, err, "end '%.60s' is not one of revoked, cap, stopped", text);
}

static int read_age(const struct ebb_csv *c, int column, double *ret_h, struct ebb_error *err)
{
    const char *text = ebb_csv_cell(c, column);
    double s = 0;
    if (*text == '\0')
        return ebb_csv_fault(c, err, "lifetime_s is empty");
    if (ebb_parse_double(text, &s, NULL) < 0)
        return ebb_csv_fault(c, err, "lifetime_s '%.60s' is no finite number of seconds", text);
    if (s < 0)
        return ebb_csv_fault(c, err, "lifetime_s %.60s is negative", text);
    if (s / 3600 > MOST_H)
        return ebb_csv_fault(c, err, "lifetime_s %.60s is over 100 years", text);
    *ret_h = fmax(s / 3600, EBB_LIFETIME_LEAST_H);
    return 0;
}

/* Digits as a number within bounds; -1 otherwise. */
static int digits(const char *s, int count, int least, int most)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        value = value * 10 + (s[i] - '0');
    }
    return value >= least && value <= most ? value : -1;
}

/* Days since 1970-01-01: whole years, their leap days, whole months (March first, so that the leap
 * day is the last of a year). */
static int32_t days_since_1970(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1, m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* What may follow a date: nothing, or a time of day in UTC. */
static bool is_time_of_day(const char *s)
{
    if (*s == '\0')
        return true;
    if ((*s != 'T' && *s != ' ') || digits(s + 1, 2, 0, 23) < 0 || s[3] != ':' ||
        digits(s + 4, 2, 0, 59) < 0)
        return false;
    s += 6;
    if (*s == ':') {
        if (digits(s + 1, 2, 0, 60) < 0)
            return false;
        s += 3;
        s += *s == '.' ? 1 + strspn(s + 1, "0123456789") : 0;
    }
    return *s == '\0' || strcmp(s, "Z") == 0 || strcmp(s, "+00:00") == 0 ||
           strcmp(s, " UTC") == 0 || strcmp(s, " GMT") == 0;
}

/* The UTC day of "2019-02-18T16:57:39Z", of "2019-02-18 16:57:39" and of "2019-02-18". */
static int read_day(const struct ebb_csv *c, int column, int32_t *ret, struct ebb_error *err)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *text = ebb_csv_cell(c, column);
    if (*text == '\0')
        return 0;
    size_t len = strlen(text);
    int year = len >= 10 ? digits(text, 4, 1970, 2200) : -1;
    int month = len >= 10 ? digits(text + 5, 2, 1, 12) : -1;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    int most = month < 1 ? 0 : lengths[month - 1] + (month == 2 && leap);
    int day = len >= 10 ? digits(text + 8, 2, 1, most) : -1;
    if (year < 0 || day < 0 || text[4] != '-' || text[7] != '-' || !is_time_of_day(text + 10))
        return ebb_csv_fault(
            c, err, "launched '%.60s' is no UTC time: write it as 2019-02-18T16:57:39Z", text);
    *ret = days_since_1970(year, month, day);
    return 0;
}

static int32_t read_name(const struct ebb_csv *c, int column, struct ebb_names *names)
{
    const char *text = ebb_csv_cell(c, column);
    return *text == '\0' ? -1 : ebb_names_add(names, text);
}

#define MOST_NAMES 4096 /* distinct types, or zones */

static int read_row(struct ebb_lifetimes *l, const struct ebb_csv *c, const struct columns *at,
                    struct ebb_error *err)
{
    struct ebb_lifetime row = {.day = EBB_DAY_UNKNOWN};
    int rc = read_age(c, at->lifetime, &row.age_h, err);
    if (rc == 0)
        rc = read_end(c, at->end, &row.end, err);
    if (rc == 0)
        rc = read_day(c, at->launched, &row.day, err);
    if (rc < 0)
        return rc;
    row.told_h = row.age_h;
    row.type = read_name(c, at->type, &l->types);
    row.zone = read_name(c, at->zone, &l->zones);
    if (l->types.count > MOST_NAMES || l->zones.count > MOST_NAMES)
        return ebb_csv_fault(c, err, "more than %d different types or zones", MOST_NAMES);
    if ((l->count & (l->count + 1)) == 0)
        l->rows = ebb_realloc_array(l->rows, 2 * l->count + 2, sizeof *l->rows);
    l->rows[l->count++] = row;
    return 0;
}

static int read_rows(struct ebb_lifetimes *l, struct ebb_csv *c, struct ebb_error *err)
{
    const struct columns at = {ebb_csv_column(c, "lifetime_s"), ebb_csv_column(c, "end"),
                               ebb_csv_column(c, "type"), ebb_csv_column(c, "zone"),
                               ebb_csv_column(c, "launched")};
    if (at.lifetime < 0 || at.end < 0)
        return ebb_csv_fault(c, err, "no column '%s': the columns lifetime_s and end are needed",
                             at.lifetime < 0 ? "lifetime_s" : "end");
    int rc;
    while ((rc = ebb_csv_next(c, err)) > 0) {
        rc = read_row(l, c, &at, err);
        if (rc < 0)
            return rc;
    }
    if (rc == 0 && l->count == 0)
        rc = ebb_csv_fault(c, err, "no row below the header");
    return rc;
}

int ebb_lifetimes_read(struct ebb_lifetimes *l, const char *path, const char *text, size_t len,
                       struct ebb_error *err)
{
    struct ebb_csv c;
    int rc = ebb_csv_open(&c, path, text, len, err);
    if (rc < 0)
        return rc;
    struct ebb_lifetimes fresh = {0};
    rc = read_rows(&fresh, &c, err);
    ebb_csv_clean_up(&c);
    if (rc < 0)
        ebb_lifetimes_clean_up(&fresh);
    else
        *l = fresh;
    return rc;
}

void ebb_lifetimes_cap(struct ebb_lifetimes *l, double cap_h)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->rows[i].age_h >= cap_h) {
            l->rows[i].age_h = fmax(cap_h, EBB_LIFETIME_LEAST_H);
            l->rows[i].end = EBB_LIFETIME_CAP;
        }
    }
}

static void names_copy(struct ebb_names *to, const struct ebb_names *from)
{
    to->names =
        ebb_alloc_array(2 * from->count + 2, sizeof *to->names); /* room as ebb_names_add wants */
    for (size_t i = 0; i < from->count; i++)
        to->names[i] = ebb_strdup(from->names[i]);
    to->count = from->count;
}

void ebb_lifetimes_subset(struct ebb_lifetimes *l, const struct ebb_lifetimes *from,
                          bool (*keep)(void *ctx, size_t row), void *ctx)
{
    *l = (struct ebb_lifetimes){.rows = ebb_alloc_array(from->count + 1, sizeof *l->rows)};
    names_copy(&l->types, &from->types);
    names_copy(&l->zones, &from->zones);
    for (size_t i = 0; i < from->count; i++) {
        if (keep(ctx, i))
            l->rows[l->count++] = from->rows[i];
    }
}

size_t ebb_lifetimes_count(const struct ebb_lifetimes *l, enum ebb_lifetime_end end)
{
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++)
        count += l->rows[i].end == end;
    return count;
}

double ebb_lifetimes_exposure_h(const struct ebb_lifetimes *l)
{
    double sum = 0;
    for (size_t i = 0; i < l->count; i++)
        sum += l->rows[i].age_h;
    return sum;
}
