/* Judgement over an ended engine: done, or why not. Pure but for reading the files it is asked to
 * look at, each no more than its last 64 KiB. */
#include "agent/outcome.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/tail.h"
#include "base/memory.h"

static bool found(const char *pattern, const char *text)
{
    regex_t re;
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB) != 0)
        return false;
    bool match = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return match;
}

/* Reads the end of a file as text: bytes 0 become line ends, so that nothing hides behind them. */
static bool tail_text(const char *path, struct ebb_buffer *out)
{
    if (ebb_tail_read(path, EBB_TAIL_BYTES, out, NULL) < 0)
        return false;
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\0')
            out->data[i] = '\n';
    return true;
}

static bool has_match(const char *work, const char *glob)
{
    EBB_AUTO_FREE char *path = ebb_newest_match(work, glob);
    return path != NULL;
}

static bool log_test(const char *work, const char *log, const Ebb__ProfileDone *done,
                     struct ebb_buffer *why)
{
    if (done->log_pattern[0] == '\0')
        return true;
    bool own = done->log_file[0] == '\0' || strcmp(done->log_file, "stdout") == 0;
    EBB_AUTO_FREE char *path = own ? ebb_strdup(log) : ebb_newest_match(work, done->log_file);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    const char *name = own ? "its output" : done->log_file;
    if (path == NULL || !tail_text(path, &text)) {
        ebb_buffer_printf(why, "%s is not there", name);
        return false;
    }
    if (!found(done->log_pattern, ebb_buffer_text(&text))) {
        ebb_buffer_printf(why, "%s does not end with '%s'", name, done->log_pattern);
        return false;
    }
    return true;
}

static bool outputs_test(const char *work, const Ebb__JobGroup *group, struct ebb_buffer *why)
{
    for (size_t i = 0; group != NULL && i < group->n_outputs; i++)
        if (!group->outputs[i]->optional && !has_match(work, group->outputs[i]->pattern)) {
            ebb_buffer_printf(why, "output %s was not written", group->outputs[i]->pattern);
            return false;
        }
    return true;
}

bool ebb_done_test(const struct ebb_end_facts *facts, const Ebb__ProfileDone *done,
                   const Ebb__JobGroup *group, struct ebb_buffer *why)
{
    bool silent = done == NULL || (done->n_files == 0 && done->log_pattern[0] == '\0');
    bool need_zero = silent || done->exit_zero;
    int status = facts->wait_status;
    if (need_zero && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        ebb_exit_describe(status, why);
        return false;
    }
    if (done == NULL)
        return outputs_test(facts->work, group, why);
    if (done->all_steps && facts->step >= 0 && facts->step < facts->total_steps) {
        ebb_buffer_printf(why, "it ended at step %lld of %lld", (long long)facts->step,
                          (long long)facts->total_steps);
        return false;
    }
    for (size_t i = 0; i < done->n_files; i++)
        if (!has_match(facts->work, done->files[i])) {
            ebb_buffer_printf(why, "no file matches %s", done->files[i]);
            return false;
        }
    return log_test(facts->work, facts->log, done, why) && outputs_test(facts->work, group, why);
}

static int code_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static bool rule_fits(const Ebb__ProfileExit *rule, int code, const char *log_tail)
{
    bool code_fits = rule->n_codes == 0;
    for (size_t i = 0; i < rule->n_codes; i++)
        code_fits |= rule->codes[i] == code;
    if (!code_fits || (rule->n_codes == 0 && rule->pattern[0] == '\0'))
        return false;
    return rule->pattern[0] == '\0' || found(rule->pattern, log_tail);
}

enum ebb_exit_kind ebb_exit_classify(const Ebb__Profile *profile, int wait_status,
                                     const char *log_tail, const char **ret_message)
{
    int code = code_of(wait_status);
    for (size_t i = 0; i < profile->n_exit; i++) {
        const Ebb__ProfileExit *rule = profile->exit[i];
        if (!rule_fits(rule, code, log_tail))
            continue;
        *ret_message = rule->message;
        if (strcmp(rule->kind, "retry") == 0)
            return EBB_EXIT_RETRY;
        if (strcmp(rule->kind, "preempted") == 0)
            return EBB_EXIT_PREEMPTED;
        return EBB_EXIT_FATAL;
    }
    return EBB_EXIT_UNKNOWN;
}

void ebb_exit_describe(int wait_status, struct ebb_buffer *out)
{
    if (WIFSIGNALED(wait_status))
        ebb_buffer_printf(out, "killed by signal %d (%s)", WTERMSIG(wait_status),
                          strsignal(WTERMSIG(wait_status)));
    else
        ebb_buffer_printf(out, "exit status %d", WEXITSTATUS(wait_status));
}

bool ebb_log_says_disk_full(const char *log_tail)
{
    return strstr(log_tail, "No space left on device") != NULL ||
           strstr(log_tail, "Disk quota exceeded") != NULL;
}

void ebb_log_last_lines(const char *log_tail, unsigned lines, size_t max_bytes,
                        struct ebb_buffer *out)
{
    size_t end = strlen(log_tail);
    while (end > 0 && (log_tail[end - 1] == '\n' || log_tail[end - 1] == '\r'))
        end--;
    size_t from = end;
    for (unsigned seen = 0; from > 0 && end - from < max_bytes; from--)
        if (log_tail[from - 1] == '\n' && ++seen == lines)
            break;
    while (from < end && ((unsigned char)log_tail[from] & 0xc0) == 0x80)
        from++; /* not into the middle of a character */
    for (size_t i = from; i < end; i++) {
        unsigned char c = (unsigned char)log_tail[i];
        if (c == '\n')
            ebb_buffer_append_text(out, " | ");
        else if (c >= ' ' && c != 0x7f)
            ebb_buffer_append(out, &c, 1);
    }
}
