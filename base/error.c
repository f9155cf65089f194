/* Errors in the caller's stack. Text that does not fit is cut, never overrun; a line break in it
 * becomes a space, so that an error is one line wherever it is printed. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void one_line(char *text)
{
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
}

/* A cut may fall inside a UTF-8 sequence; what is left of it would make the text invalid JSON. */
static void drop_partial_character(char *text)
{
    size_t len = strlen(text);
    size_t back = 0;
    while (back < len && back < 3 && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == len)
        return;
    unsigned char lead = (unsigned char)text[len - 1 - back];
    size_t need = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (need > back)
        text[len - 1 - back] = '\0';
}

static void finish_text(struct ebb_error *err, int wanted)
{
    if (wanted < 0)
        err->text[0] = '\0';
    if (wanted >= (int)sizeof(err->text))
        drop_partial_character(err->text);
    one_line(err->text);
}

int ebb_error_set(struct ebb_error *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    char text[sizeof(err->text)]; /* an argument may be err->text itself */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    memcpy(err->text, text, sizeof(text));
    err->code = code;
    err->sys_errno = 0;
    finish_text(err, n);
    return code;
}

static int code_of_errno(int code, int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
        return EBB_ERR_NO_SPACE;
    case ENOENT:
        return EBB_ERR_NOT_FOUND;
    default:
        return code;
    }
}

int ebb_error_set_errno(struct ebb_error *err, int code, int sys_errno, const char *fmt, ...)
{
    code = code_of_errno(code, sys_errno);
    if (err == NULL)
        return code;
    char text[sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    char reason[128];
    const char *why = strerror_r(sys_errno, reason, sizeof(reason));
    int n = snprintf(err->text, sizeof(err->text), "%s: %s", text, why);
    err->code = code;
    err->sys_errno = sys_errno;
    finish_text(err, n);
    return code;
}

int ebb_error_wrap(struct ebb_error *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    char context[sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);
    char inner[sizeof(err->text)];
    memcpy(inner, err->text, sizeof(inner));
    int n = snprintf(err->text, sizeof(err->text), "%s: %s", context, inner);
    finish_text(err, n);
    return code;
}

void ebb_error_clear(struct ebb_error *err)
{
    if (err == NULL)
        return;
    err->code = EBB_OK;
    err->sys_errno = 0;
    err->text[0] = '\0';
}

void ebb_error_copy(struct ebb_error *to, const struct ebb_error *from)
{
    if (to != NULL && from != NULL && to != from)
        memcpy(to, from, sizeof(*to));
}

enum ebb_class ebb_code_class(int code)
{
    switch (code) {
    case EBB_ERR_CONFLICT:
    case EBB_ERR_UNAVAILABLE:
    case EBB_ERR_TIMEOUT:
        return EBB_CLASS_RETRY;
    case EBB_ERR_THROTTLED:
        return EBB_CLASS_THROTTLED;
    case EBB_ERR_NO_CAPACITY:
    case EBB_ERR_QUOTA:
        return EBB_CLASS_NO_CAPACITY;
    case EBB_ERR_PREEMPTED:
        return EBB_CLASS_PREEMPTED;
    default:
        return EBB_CLASS_PERMANENT;
    }
}

const char *ebb_code_name(int code)
{
    switch (code) {
    case EBB_OK:
        return "ok";
    case EBB_ERR_INPUT:
        return "input";
    case EBB_ERR_NOT_FOUND:
        return "not-found";
    case EBB_ERR_EXISTS:
        return "exists";
    case EBB_ERR_PRECONDITION:
        return "precondition";
    case EBB_ERR_CONFLICT:
        return "conflict";
    case EBB_ERR_FENCED:
        return "fenced";
    case EBB_ERR_CORRUPT:
        return "corrupt";
    case EBB_ERR_UNSUPPORTED:
        return "unsupported";
    case EBB_ERR_DENIED:
        return "denied";
    case EBB_ERR_THROTTLED:
        return "throttled";
    case EBB_ERR_UNAVAILABLE:
        return "unavailable";
    case EBB_ERR_TIMEOUT:
        return "timeout";
    case EBB_ERR_NO_CAPACITY:
        return "no-capacity";
    case EBB_ERR_QUOTA:
        return "quota";
    case EBB_ERR_PREEMPTED:
        return "preempted";
    case EBB_ERR_NO_SPACE:
        return "no-space";
    case EBB_ERR_CANCELLED:
        return "cancelled";
    case EBB_ERR_IO:
        return "io";
    case EBB_ERR_INTERNAL:
        return "internal";
    default:
        return "unknown";
    }
}

int ebb_code_exit_status(int code)
{
    switch (code) {
    case EBB_OK:
        return 0;
    case EBB_ERR_INPUT:
    case EBB_ERR_NOT_FOUND:
    case EBB_ERR_EXISTS:
    case EBB_ERR_UNSUPPORTED:
        return 2;
    case EBB_ERR_PRECONDITION:
    case EBB_ERR_CONFLICT:
    case EBB_ERR_CORRUPT:
    case EBB_ERR_DENIED:
    case EBB_ERR_THROTTLED:
    case EBB_ERR_UNAVAILABLE:
    case EBB_ERR_TIMEOUT:
    case EBB_ERR_NO_CAPACITY:
    case EBB_ERR_QUOTA:
        return 3;
    default:
        return 1;
    }
}

bool ebb_code_is_transient(int code)
{
    enum ebb_class class = ebb_code_class(code);
    return class == EBB_CLASS_RETRY || class == EBB_CLASS_THROTTLED;
}
