/* The program's own log. Each message is formatted whole and written with one call under the
 * stream's lock, so that lines of several threads never mix. */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"

#define LINE_SIZE 2048

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct {
    char program[64];
    FILE *out; /* borrowed; NULL is stderr */
    atomic_int level;
} logger = {.level = EBB_LOG_INFO};

static void level_from_environment(void)
{
    const char *wanted = getenv("EBB_LOG");
    if (wanted == NULL)
        return;
    for (size_t i = 0; i < EBB_ARRAY_LEN(level_names); i++)
        if (strcasecmp(wanted, level_names[i]) == 0)
            atomic_store(&logger.level, (int)i);
}

void ebb_log_init(const char *program, enum ebb_log_level level, FILE *out)
{
    (void)snprintf(logger.program, sizeof(logger.program), "%s", program == NULL ? "" : program);
    logger.out = out;
    atomic_store(&logger.level, (int)level);
    level_from_environment();
}

void ebb_log_set_level(enum ebb_log_level level)
{
    atomic_store(&logger.level, (int)level);
}

/* One message is one line: control bytes (an attacker's or a tool's escape sequences) become
 * spaces. */
static void make_printable(char *text)
{
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

void ebb_log_write(enum ebb_log_level level, const char *fmt, ...)
{
    if ((int)level > atomic_load(&logger.level))
        return;
    int saved_errno = errno;
    char message[LINE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(message, sizeof(message), fmt, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    make_printable(message);
    char when[EBB_TIME_TEXT_SIZE];
    ebb_time_format(ebb_wall_ns(NULL), when);
    FILE *out = logger.out == NULL ? stderr : logger.out;
    const char *space = logger.program[0] == '\0' ? "" : " ";
    flockfile(out);
    (void)fprintf(out, "%s%s%s %s: %s\n", when, space, logger.program, level_names[level], message);
    (void)fflush(out);
    funlockfile(out);
    errno = saved_errno;
}
