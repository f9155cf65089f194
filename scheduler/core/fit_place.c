/* The catalogue knows most types; for others there are GCP's custom of ending a type in its vCPUs,
 * and AWS's of counting them in "xlarge" of four. */
#include "scheduler/core/fit_place.h"

#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/catalogue.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

char *ebb_region_of_zone(const char *zone)
{
    size_t len = strlen(zone);
    if (len > 3 && zone[len - 2] == '-' && is_letter(zone[len - 1]))
        return ebb_strndup(zone, len - 2);
    if (len > 2 && is_digit(zone[len - 2]) && is_letter(zone[len - 1]))
        return ebb_strndup(zone, len - 1);
    return ebb_strdup(zone);
}

/* "4xlarge" -> 16, "xlarge" -> 4, "large" -> 2. */
static unsigned of_size(const char *size)
{
    int64_t times = 1;
    size_t digits = strspn(size, "0123456789");
    if (strcmp(size, "large") == 0)
        return 2;
    if (strcmp(size + digits, "xlarge") != 0 || digits > 3)
        return 0;
    if (digits > 0) {
        char number[4] = {0};
        memcpy(number, size, digits);
        if (ebb_parse_int(number, 1, 999, &times, NULL) < 0)
            return 0;
    }
    return (unsigned)(4 * times);
}

static unsigned of_catalogue(const char *type)
{
    const struct ebb_catalogue *c = ebb_catalogue_builtin();
    const struct ebb_catalogue_offer *o = ebb_catalogue_find_type(c, "aws", type);
    if (o == NULL)
        o = ebb_catalogue_find_type(c, "gcp", type);
    return o == NULL ? 0 : (unsigned)o->cpus;
}

unsigned ebb_cpus_of_type(const char *type)
{
    unsigned known = of_catalogue(type);
    if (known > 0)
        return known;
    const char *dot = strchr(type, '.');
    if (dot != NULL)
        return of_size(dot + 1);
    const char *dash = strrchr(type, '-');
    int64_t cpus = 0;
    if (dash == NULL || ebb_parse_int(dash + 1, 1, 1024, &cpus, NULL) < 0)
        return 0;
    return (unsigned)cpus;
}
