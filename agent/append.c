/* Cut rules of growing files. Frames stand in order of their steps, so the place to cut is found
 * from the end: what has to be read is what was written past the restored state, plus one frame,
 * not the whole trajectory. Blocks overlap by the longest possible marker. */
#include "agent/append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#define BLOCK_BYTES      (256u << 10)
#define MAX_STEP_DIGITS  19
#define STEP_PLACEHOLDER "${step}"

struct marker {
    const char *before;
    size_t before_len;
    const char *after;
    size_t after_len;
};

static void close_auto(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int split_marker(const char *text, struct marker *ret, struct ebb_error *err)
{
    const char *place = strstr(text, STEP_PLACEHOLDER);
    if (place == NULL || place == text)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "append marker '%s' needs text and then ${step} in it", text);
    const char *after = place + strlen(STEP_PLACEHOLDER);
    *ret = (struct marker){text, (size_t)(place - text), after, strlen(after)};
    if (ret->before_len + ret->after_len > BLOCK_BYTES / 4)
        return ebb_error_set(err, EBB_ERR_INPUT, "append marker is longer than %u bytes",
                             BLOCK_BYTES / 4);
    return 0;
}

static bool marker_at(const struct marker *m, const uint8_t *p, size_t len, int64_t *ret_step)
{
    if (len < m->before_len || memcmp(p, m->before, m->before_len) != 0)
        return false;
    size_t i = m->before_len, digits = 0;
    int64_t step = 0;
    while (i < len && p[i] >= '0' && p[i] <= '9' && digits < MAX_STEP_DIGITS - 1) {
        step = step * 10 + (p[i++] - '0');
        digits++;
    }
    if (digits == 0 || len - i < m->after_len || memcmp(p + i, m->after, m->after_len) != 0)
        return false;
    *ret_step = step;
    return true;
}

static int read_at(int fd, uint64_t offset, uint8_t *out, size_t len, const char *path,
                   struct ebb_error *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, n < 0 ? errno : EIO, "%s", path);
        done += (size_t)n;
    }
    return 0;
}

/* Looks at the markers that start at a line start in the block. data[0] is the byte before the
 * block's first, which lies at `from`; true when a marker of a lower step ends the search. */
static bool scan_block(const struct marker *m, const uint8_t *data, size_t len, size_t span,
                       uint64_t from, int64_t step, uint64_t *cut)
{
    for (size_t i = span; i-- > 1;) {
        int64_t found;
        if (data[i - 1] != '\n' || !marker_at(m, data + i, len - i, &found))
            continue;
        if (found < step)
            return true;
        *cut = from + i - 1;
    }
    return false;
}

int ebb_append_cut_offset(const char *path, const char *marker, int64_t step, uint64_t *ret,
                          struct ebb_error *err)
{
    struct marker m = {0};
    int r = split_marker(marker, &m, err);
    if (r < 0)
        return r;
    EBB_AUTO(close_auto) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", path);
    uint64_t size = (uint64_t)st.st_size, cut = size, end = size;
    size_t overlap = m.before_len + m.after_len + MAX_STEP_DIGITS;
    EBB_AUTO_FREE uint8_t *block = ebb_alloc(1 + BLOCK_BYTES + overlap);
    while (end > 0) {
        uint64_t from = end > BLOCK_BYTES ? end - BLOCK_BYTES : 0;
        size_t span = (size_t)(end - from);
        size_t len = size - from < span + overlap ? (size_t)(size - from) : span + overlap;
        block[0] = '\n';
        size_t before = from > 0 ? 1 : 0;
        if ((r = read_at(fd, from - before, block + 1 - before, len + before, path, err)) < 0)
            return r;
        if (scan_block(&m, block, len + 1, span + 1, from, step, &cut))
            break;
        end = from;
    }
    *ret = cut;
    return 0;
}

struct cutting {
    const Ebb__ProfileAppend *rule;
    int64_t step;
};

static int cut_file(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    const struct cutting *c = ctx;
    struct stat st;
    uint64_t offset = 0;
    if (!ebb_glob_match(c->rule->glob, relative) || lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (c->step < 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s must be cut at the restored step, which is unknown: the profile "
                             "needs a step pattern or progress",
                             relative);
    int r = ebb_append_cut_offset(path, c->rule->marker, c->step, &offset, err);
    if (r < 0)
        return r;
    if (offset < (uint64_t)st.st_size && truncate(path, (off_t)offset) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cut %s", path);
    return 0;
}

int ebb_append_cut_all(const char *directory, Ebb__ProfileAppend *const *rules, size_t count,
                       int64_t step, struct ebb_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rules[i]->cut, "marker") != 0)
            continue;
        struct cutting c = {rules[i], step};
        int r = ebb_walk(directory, cut_file, &c, err);
        if (r < 0)
            return r;
    }
    return 0;
}
