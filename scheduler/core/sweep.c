/* Sweeps: job i of a group has its parameters computed from i.
 *
 * A grid is read as a number in mixed radix, the last axis fastest; a zip takes row i of each
 * axis. Job names carry the percent-encoded values, so that a name leads back to its index without
 * a table. Range values are printed with 12 digits: 0.1 + 2 * 0.1 reads "0.3", and the check of a
 * bag refuses steps so small that two values would read the same. */
#include "scheduler/core/sweep.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

#define MOST_JOBS 10000000u

static const char *const own_names[] = {"job", "group", "index"};

uint64_t ebb_axis_count(const Ebb__Axis *axis)
{
    if (!axis->is_range)
        return axis->n_values;
    double steps = (axis->to - axis->from) / axis->step;
    if (!(steps >= 0))
        return 0;
    if (steps > 1e12)
        return 1000000000000u;
    return (uint64_t)floor(steps + 1e-9) + 1;
}

int ebb_sweep_count(const Ebb__Sweep *sweep, uint64_t *ret, struct ebb_error *err)
{
    if (sweep == NULL || sweep->n_axes == 0) {
        *ret = 1;
        return 0;
    }
    uint64_t total = 1;
    for (size_t a = 0; a < sweep->n_axes; a++) {
        const Ebb__Axis *axis = sweep->axes[a];
        uint64_t count = ebb_axis_count(axis);
        if (count == 0)
            return ebb_error_set(err, EBB_ERR_INPUT, "sweep parameter '%s' has no value",
                                 axis->name);
        if (sweep->mode == EBB__SWEEP__MODE__ZIP) {
            if (a > 0 && count != total)
                return ebb_error_set(err, EBB_ERR_INPUT,
                                     "zip: '%s' has %llu values, '%s' has %llu; give each the same "
                                     "number",
                                     axis->name, (unsigned long long)count, sweep->axes[0]->name,
                                     (unsigned long long)total);
            total = count;
        } else if (count > MOST_JOBS) {
            total = count;
        } else {
            total *= count;
        }
        if (total > MOST_JOBS)
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "the sweep has over %u jobs; give fewer values or split the bag",
                                 MOST_JOBS);
    }
    *ret = total;
    return 0;
}

void ebb_axis_value(const Ebb__Axis *axis, uint64_t i, struct ebb_buffer *out)
{
    if (!axis->is_range) {
        if (i < axis->n_values)
            ebb_buffer_append_text(out, axis->values[i]);
        return;
    }
    double v = axis->from + (double)i * axis->step;
    if (axis->is_integer)
        ebb_buffer_printf(out, "%lld", (long long)v);
    else
        ebb_buffer_printf(out, "%.12g", fabs(v) < fabs(axis->step) * 1e-9 ? 0.0 : v);
}

/* A parser looks at sweeps whose faults it has yet to tell. */
static uint64_t at_least_one(uint64_t count)
{
    return count > 0 ? count : 1;
}

uint64_t ebb_sweep_index(const Ebb__Sweep *sweep, size_t axis, uint64_t i)
{
    if (sweep->mode == EBB__SWEEP__MODE__ZIP)
        return i;
    for (size_t a = sweep->n_axes - 1; a > axis; a--)
        i /= at_least_one(ebb_axis_count(sweep->axes[a]));
    return i % at_least_one(ebb_axis_count(sweep->axes[axis]));
}

void ebb_job_name(const Ebb__JobGroup *group, uint64_t i, struct ebb_buffer *out)
{
    ebb_buffer_append_text(out, group->name);
    if (group->sweep == NULL)
        return;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer value = {0};
    for (size_t a = 0; a < group->sweep->n_axes; a++) {
        const Ebb__Axis *axis = group->sweep->axes[a];
        ebb_buffer_reset(&value);
        ebb_axis_value(axis, ebb_sweep_index(group->sweep, a, i), &value);
        ebb_buffer_append(out, ",", 1);
        ebb_buffer_append_text(out, axis->name);
        ebb_buffer_append(out, "=", 1);
        ebb_percent_encode(out, ebb_buffer_text(&value), value.len, false);
    }
}

bool ebb_job_parameter(const Ebb__JobGroup *group, uint64_t i, const char *name,
                       struct ebb_buffer *out)
{
    for (size_t a = 0; group->sweep != NULL && a < group->sweep->n_axes; a++) {
        if (strcmp(group->sweep->axes[a]->name, name) == 0) {
            ebb_axis_value(group->sweep->axes[a], ebb_sweep_index(group->sweep, a, i), out);
            return true;
        }
    }
    if (strcmp(name, "job") == 0)
        ebb_job_name(group, i, out);
    else if (strcmp(name, "group") == 0)
        ebb_buffer_append_text(out, group->name);
    else if (strcmp(name, "index") == 0)
        ebb_buffer_printf(out, "%llu", (unsigned long long)i);
    else
        return false;
    return true;
}

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* Length of "${name}" at `s`, 0 when none stands there. */
static size_t reference_length(const char *s)
{
    if (s[0] != '$' || s[1] != '{')
        return 0;
    size_t n = 2;
    while (is_name_char(s[n], n == 2))
        n++;
    return n > 2 && s[n] == '}' ? n + 1 : 0;
}

static int unknown_name(const Ebb__JobGroup *group, const char *name, struct ebb_error *err)
{
    size_t axes = group->sweep == NULL ? 0 : group->sweep->n_axes;
    EBB_AUTO_FREE const char **names = ebb_alloc_array(axes + 3, sizeof *names);
    for (size_t a = 0; a < axes; a++)
        names[a] = group->sweep->axes[a]->name;
    memcpy(names + axes, own_names, sizeof own_names);
    const char *near = ebb_nearest_name(name, names, axes + 3);
    if (near != NULL)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "${%s} is no parameter of job group '%s'; did you mean ${%s}?", name,
                             group->name, near);
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "${%s} is no parameter of job group '%s'; write $${%s} to leave it to the "
                         "shell",
                         name, group->name, name);
}

int ebb_job_fill(const Ebb__JobGroup *group, uint64_t i, const char *text, bool strict,
                 bool (*more)(void *ctx, const char *name, struct ebb_buffer *out), void *ctx,
                 struct ebb_buffer *out, struct ebb_error *err)
{
    for (const char *s = text; *s != '\0';) {
        if (s[0] == '$' && s[1] == '$' && s[2] == '{') {
            ebb_buffer_append_text(out, "${");
            s += 3;
            continue;
        }
        size_t n = reference_length(s);
        if (n == 0) {
            size_t plain = 1 + strcspn(s + 1, "$");
            ebb_buffer_append(out, s, plain);
            s += plain;
            continue;
        }
        EBB_AUTO_FREE char *name = ebb_strndup(s + 2, n - 3);
        if (!ebb_job_parameter(group, i, name, out) && (more == NULL || !more(ctx, name, out))) {
            if (strict)
                return unknown_name(group, name, err);
            ebb_buffer_append(out, s, n);
        }
        s += n;
    }
    return 0;
}

const Ebb__JobGroup *ebb_bag_group(const Ebb__BagSpec *spec, uint64_t job, uint64_t *ret_index)
{
    size_t low = 0, high = spec->n_groups;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const Ebb__JobGroup *g = spec->groups[mid];
        if (job < g->first_job) {
            high = mid;
        } else if (job - g->first_job >= g->job_count) {
            low = mid + 1;
        } else {
            if (ret_index != NULL)
                *ret_index = job - g->first_job;
            return g;
        }
    }
    return NULL;
}

uint64_t ebb_bag_job_count(const Ebb__BagSpec *spec)
{
    uint64_t total = 0;
    for (size_t g = 0; g < spec->n_groups; g++)
        total += spec->groups[g]->job_count;
    return total;
}

/* Index of the value that reads `text`, from `start` on; the axis' count when there is none. */
static uint64_t find_value(const Ebb__Axis *axis, const char *text, uint64_t start)
{
    uint64_t count = ebb_axis_count(axis);
    if (!axis->is_range) {
        uint64_t i = start;
        while (i < count && strcmp(axis->values[i], text) != 0)
            i++;
        return i;
    }
    double v, at;
    if (ebb_parse_double(text, &v, NULL) < 0 || !((at = (v - axis->from) / axis->step) > -0.5) ||
        !(at < (double)count - 0.5))
        return count;
    uint64_t i = (uint64_t)(at + 0.5);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer value = {0};
    ebb_axis_value(axis, i, &value);
    return i >= start && strcmp(ebb_buffer_text(&value), text) == 0 ? i : count;
}

/* The decoded value of ",<axis>=<value>" at *at, and *at moved behind it. NULL: it is not that. */
static char *take_value(const Ebb__Axis *axis, const char **at)
{
    size_t len = strlen(axis->name);
    const char *s = *at;
    if (s[0] != ',' || strncmp(s + 1, axis->name, len) != 0 || s[1 + len] != '=')
        return NULL;
    s += len + 2;
    size_t n = strcspn(s, ",");
    *at = s + n;
    return ebb_percent_decode(s, n, false, NULL);
}

static bool find_in_grid(const Ebb__Sweep *sweep, const char *rest, uint64_t *ret)
{
    uint64_t index = 0;
    for (size_t a = 0; a < sweep->n_axes; a++) {
        uint64_t count = ebb_axis_count(sweep->axes[a]);
        EBB_AUTO_FREE char *text = take_value(sweep->axes[a], &rest);
        uint64_t i = text == NULL ? count : find_value(sweep->axes[a], text, 0);
        if (i >= count)
            return false;
        index = index * count + i;
    }
    *ret = index;
    return *rest == '\0';
}

static bool zip_row_is(const Ebb__JobGroup *group, uint64_t i, const char *name,
                       struct ebb_buffer *scratch)
{
    ebb_buffer_reset(scratch);
    ebb_job_name(group, i, scratch);
    return strcmp(ebb_buffer_text(scratch), name) == 0;
}

static bool find_in_zip(const Ebb__JobGroup *group, const char *name, const char *rest,
                        uint64_t *ret)
{
    const Ebb__Axis *first = group->sweep->axes[0];
    EBB_AUTO_FREE char *text = take_value(first, &rest);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer scratch = {0};
    uint64_t count = ebb_axis_count(first);
    uint64_t i = text == NULL ? count : find_value(first, text, 0);
    while (i < count && !zip_row_is(group, i, name, &scratch))
        i = find_value(first, text, i + 1);
    *ret = i;
    return i < count;
}

bool ebb_bag_find_job(const Ebb__BagSpec *spec, const char *name, uint64_t *ret_job)
{
    size_t len = strcspn(name, ",");
    for (size_t g = 0; g < spec->n_groups; g++) {
        const Ebb__JobGroup *group = spec->groups[g];
        if (strlen(group->name) != len || strncmp(group->name, name, len) != 0)
            continue;
        uint64_t i = 0;
        const Ebb__Sweep *sweep = group->sweep;
        bool found;
        if (sweep == NULL || sweep->n_axes == 0)
            found = name[len] == '\0';
        else if (sweep->mode == EBB__SWEEP__MODE__ZIP)
            found = find_in_zip(group, name, name + len, &i);
        else
            found = find_in_grid(sweep, name + len, &i);
        if (!found || i >= group->job_count)
            return false;
        *ret_job = group->first_job + i;
        return true;
    }
    return false;
}

void ebb_job_store_root(const char *bag, const Ebb__BagSpec *spec, uint64_t job,
                        struct ebb_buffer *out)
{
    uint64_t i = 0;
    const Ebb__JobGroup *group = ebb_bag_group(spec, job, &i);
    ebb_buffer_printf(out, "bags/%s/jobs/", bag);
    if (group != NULL)
        ebb_job_name(group, i, out);
}
