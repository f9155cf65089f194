/* Which rows are left out together: whole days of launch, in turn by date. */
#include "scheduler/core/fit_compare.h"

static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The different days, ascending; malloc'ed. */
static int32_t *days_of(const struct ebb_lifetimes *l, size_t *ret_count)
{
    int32_t *days = ebb_alloc_array(l->count + 1, sizeof *days);
    size_t known = 0, count = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (l->rows[i].day != EBB_DAY_UNKNOWN)
            days[known++] = l->rows[i].day;
    }
    qsort(days, known, sizeof *days, by_value);
    for (size_t i = 0; i < known; i++) {
        if (count == 0 || days[count - 1] != days[i])
            days[count++] = days[i];
    }
    *ret_count = count;
    return days;
}

size_t ebb_fit_folds(const struct ebb_lifetimes *l, size_t *ret_fold, bool *ret_by_day,
                     size_t *ret_days)
{
    size_t count;
    EBB_AUTO_FREE int32_t *days = days_of(l, &count);
    bool by_day = count >= 2;
    size_t units = by_day ? count : 0;
    for (size_t i = 0; i < l->count; i++) {
        if (by_day && l->rows[i].day != EBB_DAY_UNKNOWN) {
            const int32_t *at = bsearch(&l->rows[i].day, days, count, sizeof *days, by_value);
            ret_fold[i] = (size_t)(at - days) % EBB_FIT_FOLDS;
        } else {
            ret_fold[i] = units++ % EBB_FIT_FOLDS;
        }
    }
    *ret_by_day = by_day;
    *ret_days = count;
    return units < EBB_FIT_FOLDS ? units : EBB_FIT_FOLDS;
}
