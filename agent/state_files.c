/* State files: found by glob, checked by size and tail, ordered by step. Only names and a few bytes
 * at the end are looked at here; what a file holds is checked by hash when it is committed. */
#include "agent/state_files.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tail.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

struct scan {
    const Ebb__ProfileState *spec;
    bool has_step;
    regex_t step;
    struct ebb_state_set *set;
};

void ebb_state_set_clean_up(struct ebb_state_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->files[i].path);
    free(s->files);
    *s = (struct ebb_state_set){0};
}

static bool match_glob(const Ebb__ProfileState *spec, const char *relative, size_t *ret)
{
    for (size_t i = 0; i < spec->n_exclude; i++)
        if (ebb_glob_match(spec->exclude[i], relative))
            return false;
    for (size_t i = 0; i < spec->n_files; i++)
        if (ebb_glob_match(spec->files[i], relative)) {
            *ret = i;
            return true;
        }
    return false;
}

bool ebb_state_matches(const Ebb__ProfileState *spec, const char *relative)
{
    size_t glob;
    return spec != NULL && match_glob(spec, relative, &glob);
}

static bool tail_is_right(const char *path, const char *tail_hex)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer end = {0};
    size_t len = strlen(tail_hex) / 2;
    if (len == 0)
        return true;
    EBB_AUTO_FREE uint8_t *tail = ebb_alloc(len);
    return ebb_unhex(tail_hex, tail, len) && ebb_tail_read(path, len, &end, NULL) == 0 &&
           end.len == len && memcmp(end.data, tail, len) == 0;
}

static int64_t step_of(const struct scan *s, const char *relative)
{
    const char *name = strrchr(relative, '/');
    name = name != NULL ? name + 1 : relative;
    regmatch_t m[2];
    if (!s->has_step || regexec(&s->step, name, 2, m, 0) != 0 || m[1].rm_so < 0)
        return -1;
    char digits[24];
    size_t len = (size_t)(m[1].rm_eo - m[1].rm_so);
    if (len == 0 || len >= sizeof digits)
        return -1;
    memcpy(digits, name + m[1].rm_so, len);
    digits[len] = '\0';
    int64_t step;
    return ebb_parse_int(digits, 0, INT64_MAX, &step, NULL) == 0 ? step : -1;
}

static int consider(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    (void)err;
    struct scan *s = ctx;
    struct stat st;
    size_t glob = 0;
    if (!match_glob(s->spec, relative, &glob) || lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if ((uint64_t)st.st_size < s->spec->min_bytes || !tail_is_right(path, s->spec->tail))
        return 0;
    struct ebb_state_set *set = s->set;
    set->files = ebb_realloc_array(set->files, set->count + 1, sizeof *set->files);
    set->files[set->count++] = (struct ebb_state_file){
        .path = ebb_strdup(relative),
        .step = step_of(s, relative),
        .size_bytes = (uint64_t)st.st_size,
        .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        .inode = st.st_ino,
        .glob = glob,
    };
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct ebb_state_file *x = a, *y = b;
    if (x->step != y->step)
        return x->step > y->step ? -1 : 1;
    if (x->glob != y->glob && x->step >= 0)
        return x->glob < y->glob ? -1 : 1;
    if (x->mtime_ns != y->mtime_ns)
        return x->mtime_ns > y->mtime_ns ? -1 : 1;
    return strcmp(x->path, y->path);
}

int ebb_state_scan(const char *directory, const Ebb__ProfileState *spec, struct ebb_state_set *ret,
                   struct ebb_error *err)
{
    struct ebb_state_set set = {0};
    struct scan s = {.spec = spec, .set = &set};
    if (spec != NULL && spec->n_files > 0) {
        if (spec->step_pattern[0] != '\0') {
            if (regcomp(&s.step, spec->step_pattern, REG_EXTENDED) != 0)
                return ebb_error_set(err, EBB_ERR_INPUT,
                                     "the profile's step pattern '%s' is no regular expression",
                                     spec->step_pattern);
            s.has_step = true;
        }
        int r = ebb_walk(directory, consider, &s, err);
        if (s.has_step)
            regfree(&s.step);
        if (r < 0) {
            ebb_state_set_clean_up(&set);
            return r;
        }
    }
    if (set.count > 1)
        qsort(set.files, set.count, sizeof *set.files, newest_first);
    *ret = set;
    return 0;
}

static bool in_newest(const struct ebb_state_set *s, size_t i)
{
    if (s->files[0].step >= 0)
        return s->files[i].step == s->files[0].step;
    for (size_t k = 0; k < i; k++)
        if (s->files[k].glob == s->files[i].glob)
            return false;
    return true;
}

/* Keeps those that are of the step, or of the newest generation where `newest`. */
static void keep(struct ebb_state_set *s, bool newest, int64_t step)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (newest ? in_newest(s, i) : s->files[i].step == step) {
            struct ebb_state_file f = s->files[i];
            s->files[i].path = NULL;
            s->files[kept++] = f;
        } else {
            free(s->files[i].path);
            s->files[i].path = NULL;
        }
    }
    s->count = kept;
}

void ebb_state_keep_newest(struct ebb_state_set *s)
{
    keep(s, true, 0);
}

void ebb_state_keep_step(struct ebb_state_set *s, int64_t step)
{
    keep(s, false, step);
}

bool ebb_state_equal(const struct ebb_state_set *a, const struct ebb_state_set *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct ebb_state_file *x = &a->files[i], *y = &b->files[i];
        if (strcmp(x->path, y->path) != 0 || x->size_bytes != y->size_bytes ||
            x->mtime_ns != y->mtime_ns || x->inode != y->inode)
            return false;
    }
    return true;
}

int64_t ebb_state_step(const struct ebb_state_set *s)
{
    return s->count > 0 ? s->files[0].step : -1;
}

int64_t ebb_state_mtime_ns(const struct ebb_state_set *s)
{
    int64_t newest = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->files[i].mtime_ns > newest)
            newest = s->files[i].mtime_ns;
    return newest;
}

/* Generations newer than file i among the files before it in the order. */
static unsigned generation_of(const struct ebb_state_set *s, size_t i)
{
    unsigned generation = 0;
    for (size_t k = 0; k < i; k++) {
        bool same_line = s->files[i].step >= 0 || s->files[k].glob == s->files[i].glob;
        bool first_of_step = k == 0 || s->files[k].step != s->files[k - 1].step;
        if (s->files[i].step >= 0 ? first_of_step && s->files[k].step != s->files[i].step
                                  : same_line)
            generation++;
    }
    return generation;
}

int ebb_state_prune(const char *directory, const Ebb__ProfileState *spec, unsigned keep,
                    struct ebb_error *err)
{
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set set = {0};
    if (keep == 0)
        return 0;
    int r = ebb_state_scan(directory, spec, &set, err);
    if (r < 0)
        return r;
    int removed = 0;
    for (size_t i = 0; i < set.count; i++) {
        if (generation_of(&set, i) < keep)
            continue;
        EBB_AUTO_FREE char *path = ebb_path_join(directory, set.files[i].path);
        if (unlink(path) < 0 && errno != ENOENT)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", path);
        removed++;
    }
    return removed;
}
