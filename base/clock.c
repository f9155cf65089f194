/* Time: the system clocks, and ISO-8601 in both directions by own arithmetic on the proleptic
 * Gregorian calendar, so that neither the locale nor TZ has a say. */
#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0)
        return 0;
    return (int64_t)ts.tv_sec * EBB_NS_PER_S + ts.tv_nsec;
}

static int64_t system_monotonic(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_REALTIME);
}

const struct ebb_clock ebb_system_clock = {
    .monotonic_ns = system_monotonic, .wall_ns = system_wall, .ctx = NULL};

int64_t ebb_now_ns(const struct ebb_clock *clock)
{
    if (clock == NULL)
        clock = &ebb_system_clock;
    return clock->monotonic_ns(clock->ctx);
}

int64_t ebb_wall_ns(const struct ebb_clock *clock)
{
    if (clock == NULL)
        clock = &ebb_system_clock;
    return clock->wall_ns(clock->ctx);
}

/* Days since 1970-01-01. The year is shifted to begin in March, so that the leap day is its last
 * and the length of the months before it is a line with a fixed slope (153 days each 5 months). */
static int64_t days_of_date(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2 ? 1 : 0));
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

char *ebb_time_format(int64_t wall_ns, char *out)
{
    int64_t day_ns = INT64_C(86400) * EBB_NS_PER_S;
    int64_t days = wall_ns / day_ns;
    int64_t rest = wall_ns % day_ns;
    if (rest < 0) {
        rest += day_ns;
        days--;
    }
    int year, month, day;
    date_of_days(days, &year, &month, &day);
    int seconds = (int)(rest / EBB_NS_PER_S);
    int ms = (int)(rest % EBB_NS_PER_S / EBB_NS_PER_MS);
    /* int64_t nanoseconds end in 2262: four digits always do. */
    (void)snprintf(out, EBB_TIME_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                   (unsigned)year % 10000, (unsigned)month % 100, (unsigned)day % 100,
                   (unsigned)seconds / 3600 % 24, (unsigned)seconds / 60 % 60,
                   (unsigned)seconds % 60, (unsigned)ms % 1000);
    return out;
}

/* Exactly `digits` decimal digits at *p. */
static bool take_number(const char **p, int digits, int min, int max, int *ret)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    if (value < min || value > max)
        return false;
    *p += digits;
    *ret = value;
    return true;
}

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

static bool take_fraction(const char **p, int64_t *ret_ns)
{
    *ret_ns = 0;
    if (!take_char(p, '.'))
        return true;
    int64_t unit = EBB_NS_PER_S / 10;
    int digits = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++, digits++, unit /= 10)
        *ret_ns += (**p - '0') * unit;
    return digits > 0;
}

static bool is_utc_suffix(const char *p, bool with_t)
{
    if (with_t)
        return strcmp(p, "Z") == 0 || strcmp(p, "+00:00") == 0;
    return strcmp(p, " GMT") == 0 || strcmp(p, " UTC") == 0 || strcmp(p, "Z") == 0;
}

int ebb_time_parse(const char *text, int64_t *ret_wall_ns, struct ebb_error *err)
{
    const char *p = text;
    int year, month, day, hour, minute, second;
    int64_t fraction_ns = 0;
    /* 1678 to 2262 is what int64_t nanoseconds hold; 1970 to 2200 is what anything here means. */
    bool ok = take_number(&p, 4, 1970, 2200, &year) && take_char(&p, '-') &&
              take_number(&p, 2, 1, 12, &month) && take_char(&p, '-') &&
              take_number(&p, 2, 1, 31, &day) && day <= days_in_month(year, month);
    bool with_t = ok && *p == 'T';
    ok = ok && (with_t || *p == ' ');
    if (ok)
        p++;
    ok = ok && take_number(&p, 2, 0, 23, &hour) && take_char(&p, ':') &&
         take_number(&p, 2, 0, 59, &minute) && take_char(&p, ':') &&
         take_number(&p, 2, 0, 60, &second) && take_fraction(&p, &fraction_ns) &&
         is_utc_suffix(p, with_t);
    if (!ok)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "'%s' is no UTC time: write it as 2026-11-21T10:04:05Z", text);
    int64_t seconds = days_of_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *ret_wall_ns = seconds * EBB_NS_PER_S + fraction_ns;
    return 0;
}
