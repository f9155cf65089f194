/* Progress from log files. A poll costs one stat while nothing changes; when something did, windows
 * from the end of the file, 2 KiB first, are searched until one matches, so that an undisturbed job
 * costs microseconds and a long log no more than 64 KiB. A window begins at a line start and ends
 * at a line end: half a number is never read as a whole one. */
#include "agent/progress.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/tail.h"
#include "base/buffer.h"
#include "base/memory.h"

#define FIRST_WINDOW_BYTES 2048u
#define TOTAL_FILE_BYTES   (1u << 20)

struct ebb_progress {
    char *work;
    char *log;
    char *file;
    char *total_file;
    bool has_step, has_total;
    regex_t step_regex, total_regex;
    int64_t step, total;
    int64_t seen_mtime_ns;
    off_t seen_size;
};

static bool parse_count(const char *text, size_t len, int64_t *ret)
{
    char number[64];
    if (len == 0 || len >= sizeof number)
        return false;
    memcpy(number, text, len);
    number[len] = '\0';
    char *end = NULL;
    double value = strtod(number, &end);
    while (end != NULL && isspace((unsigned char)*end))
        end++;
    if (end == NULL || end == number || *end != '\0' || !(value >= 0) || !(value < 9.0e18))
        return false;
    *ret = (int64_t)value;
    return true;
}

static bool last_match(const char *text, const regex_t *re, int64_t *ret)
{
    bool found = false;
    regmatch_t m[2];
    for (const char *p = text; regexec(re, p, 2, m, p == text ? 0 : REG_NOTBOL) == 0;) {
        int64_t value;
        if (m[1].rm_so >= 0 &&
            parse_count(p + m[1].rm_so, (size_t)(m[1].rm_eo - m[1].rm_so), &value)) {
            *ret = value;
            found = true;
        }
        if (p[m[0].rm_eo] == '\0')
            break;
        p += m[0].rm_eo > 0 ? m[0].rm_eo : 1;
    }
    return found;
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* Cuts the unfinished last line off. */
static size_t complete_len(const char *text, size_t len)
{
    while (len > 0 && !is_line_end(text[len - 1]))
        len--;
    return len;
}

static bool search_windows(const char *text, size_t len, const regex_t *re, int64_t *ret)
{
    len = complete_len(text, len);
    for (size_t window = FIRST_WINDOW_BYTES;; window *= 4) {
        size_t from = window < len ? len - window : 0;
        while (from > 0 && from < len && !is_line_end(text[from - 1]))
            from++;
        EBB_AUTO_FREE char *part = ebb_alloc(len - from + 1);
        memcpy(part, text + from, len - from);
        for (size_t i = 0; i < len - from; i++)
            if (part[i] == '\0' || part[i] == '\r')
                part[i] = '\n';
        if (last_match(part, re, ret))
            return true;
        if (window >= len)
            return false;
    }
}

bool ebb_progress_last(const char *text, size_t len, const char *pattern, int64_t *ret)
{
    regex_t re;
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE) != 0)
        return false;
    bool found = search_windows(text, len, &re, ret);
    regfree(&re);
    return found;
}

static int compile(const char *pattern, regex_t *re, bool *ret_has, struct ebb_error *err)
{
    if (pattern == NULL || pattern[0] == '\0')
        return 0;
    if (regcomp(re, pattern, REG_EXTENDED | REG_NEWLINE) != 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "progress pattern '%s' is no regular expression",
                             pattern);
    *ret_has = true;
    return 0;
}

int ebb_progress_new(const Ebb__ProfileProgress *spec, const char *work, const char *log,
                     struct ebb_progress **ret, struct ebb_error *err)
{
    struct ebb_progress *p = ebb_alloc(sizeof *p);
    p->work = ebb_strdup(work);
    p->log = ebb_strdup(log);
    p->step = p->total = -1;
    p->seen_size = -1;
    if (spec != NULL) {
        p->file = ebb_strdup(spec->file);
        p->total_file = ebb_strdup(spec->total_file);
        int r = compile(spec->pattern, &p->step_regex, &p->has_step, err);
        if (r == 0)
            r = compile(spec->total_pattern, &p->total_regex, &p->has_total, err);
        if (r < 0) {
            ebb_progress_destroy(p);
            return r;
        }
    }
    *ret = p;
    return 0;
}

void ebb_progress_destroy(struct ebb_progress *p)
{
    if (p == NULL)
        return;
    if (p->has_step)
        regfree(&p->step_regex);
    if (p->has_total)
        regfree(&p->total_regex);
    free(p->work);
    free(p->log);
    free(p->file);
    free(p->total_file);
    free(p);
}

static bool log_is_source(const char *file)
{
    return file == NULL || file[0] == '\0' || strcmp(file, "stdout") == 0;
}

void ebb_progress_poll(struct ebb_progress *p)
{
    if (!p->has_step)
        return;
    EBB_AUTO_FREE char *path =
        log_is_source(p->file) ? ebb_strdup(p->log) : ebb_newest_match(p->work, p->file);
    struct stat st;
    if (path == NULL || stat(path, &st) < 0)
        return;
    int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (st.st_size == p->seen_size && mtime_ns == p->seen_mtime_ns)
        return;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    if (ebb_tail_read(path, EBB_TAIL_BYTES, &text, NULL) < 0)
        return;
    p->seen_size = st.st_size;
    p->seen_mtime_ns = mtime_ns;
    search_windows(ebb_buffer_text(&text), text.len, &p->step_regex, &p->step);
}

void ebb_progress_find_total(struct ebb_progress *p, const char *command)
{
    if (!p->has_total)
        return;
    if (p->total_file == NULL || p->total_file[0] == '\0') {
        last_match(command, &p->total_regex, &p->total);
        return;
    }
    EBB_AUTO_FREE char *path = strcmp(p->total_file, "stdout") == 0
                                   ? ebb_strdup(p->log)
                                   : ebb_newest_match(p->work, p->total_file);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    if (path == NULL || ebb_tail_read(path, TOTAL_FILE_BYTES, &text, NULL) < 0)
        return;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0')
            text.data[i] = '\n';
    last_match(ebb_buffer_text(&text), &p->total_regex, &p->total);
}

int64_t ebb_progress_step(const struct ebb_progress *p)
{
    return p->step;
}

int64_t ebb_progress_total(const struct ebb_progress *p)
{
    return p->total;
}
