/* The reader is a scanner over tags: names need not be known, attributes are skipped, entities are
 * the five of XML and character references. Tags must nest by count; depth is bounded. */
#include "cloud/emulator/markup.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#define MAX_DEPTH 32

void ebb_markup_open(struct ebb_buffer *out, const char *name)
{
    ebb_buffer_printf(out, "<%s>", name);
}

void ebb_markup_close(struct ebb_buffer *out, const char *name)
{
    const char *space = strchr(name, ' ');

    ebb_buffer_printf(out, "</%.*s>", (int)(space != NULL ? space - name : (long)strlen(name)),
                      name);
}

void ebb_markup_escape(struct ebb_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '&')
            ebb_buffer_append_text(out, "&amp;");
        else if (c == '<')
            ebb_buffer_append_text(out, "&lt;");
        else if (c == '>')
            ebb_buffer_append_text(out, "&gt;");
        else if (c == '"')
            ebb_buffer_append_text(out, "&quot;");
        else if (c < 0x20)
            ebb_buffer_printf(out, "&#x%x;", c);
        else
            ebb_buffer_append(out, text, 1);
    }
}

void ebb_markup_text(struct ebb_buffer *out, const char *name, const char *text)
{
    ebb_markup_open(out, name);
    ebb_markup_escape(out, text);
    ebb_markup_close(out, name);
}

void ebb_markup_format(struct ebb_buffer *out, const char *name, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    ebb_markup_text(out, name, text);
}

void ebb_markup_scan_init(struct ebb_markup_scan *s, const char *text, size_t len)
{
    memset(s, 0, sizeof(*s));
    s->at = text;
    s->end = text + len;
}

void ebb_markup_scan_clean_up(struct ebb_markup_scan *s)
{
    ebb_buffer_clean_up(&s->text);
}

static void append_code_point(struct ebb_buffer *out, uint32_t c)
{
    uint8_t b[4];
    size_t n;

    if (c < 0x80) {
        b[0] = (uint8_t)c;
        n = 1;
    } else if (c < 0x800) {
        b[0] = (uint8_t)(0xc0 | c >> 6);
        b[1] = (uint8_t)(0x80 | (c & 0x3f));
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (uint8_t)(0xe0 | c >> 12);
        b[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[2] = (uint8_t)(0x80 | (c & 0x3f));
        n = 3;
    } else {
        b[0] = (uint8_t)(0xf0 | c >> 18);
        b[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        b[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[3] = (uint8_t)(0x80 | (c & 0x3f));
        n = 4;
    }
    ebb_buffer_append(out, b, n);
}

/* `name` is what stands between '&' and ';'. */
static bool append_entity(struct ebb_buffer *out, const char *name, size_t len)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    uint32_t c = 0;

    for (size_t i = 0; i < EBB_ARRAY_LEN(known); i++)
        if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0) {
            ebb_buffer_append(out, &known[i].c, 1);
            return true;
        }
    if (len < 2 || len > 9 || name[0] != '#')
        return false;
    bool hex = name[1] == 'x';
    for (size_t i = hex ? 2 : 1; i < len; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *d = name[i] != '\0' ? strchr(digits, name[i]) : NULL;
        uint32_t v = d != NULL ? (uint32_t)(d - digits) % 16 : 99;

        if (v >= (hex ? 16U : 10U))
            return false;
        c = c * (hex ? 16 : 10) + v;
    }
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    append_code_point(out, c);
    return true;
}

static bool append_text(struct ebb_markup_scan *s, const char *text, const char *stop)
{
    while (text < stop) {
        if (*text == '&') {
            const char *semicolon = memchr(text, ';', (size_t)(stop - text));

            if (semicolon == NULL ||
                !append_entity(&s->text, text + 1, (size_t)(semicolon - text - 1)))
                return false;
            text = semicolon + 1;
        } else {
            ebb_buffer_append(&s->text, text++, 1);
        }
    }
    return true;
}

static bool set_name(struct ebb_markup_scan *s, const char *name, const char *stop)
{
    size_t len = 0;
    const char *colon;

    while (name + len < stop && strchr(" \t\r\n/", name[len]) == NULL)
        len++;
    colon = memchr(name, ':', len);
    if (colon != NULL) {
        len -= (size_t)(colon + 1 - name);
        name = colon + 1;
    }
    if (len == 0 || len >= sizeof(s->name) || memchr(name, 0, len) != NULL)
        return false;
    memcpy(s->name, name, len);
    s->name[len] = '\0';
    return true;
}

static bool fail(struct ebb_markup_scan *s)
{
    s->malformed = true;
    return false;
}

bool ebb_markup_scan_next(struct ebb_markup_scan *s)
{
    ebb_buffer_reset(&s->text);
    while (s->at < s->end) {
        const char *open = memchr(s->at, '<', (size_t)(s->end - s->at));
        const char *close;

        if (open == NULL)
            return s->depth != 0 ? fail(s) : false;
        if (!append_text(s, s->at, open))
            return fail(s);
        close = memchr(open, '>', (size_t)(s->end - open));
        if (close == NULL || close == open + 1)
            return fail(s);
        s->at = close + 1;
        if (open[1] == '?')
            continue;
        if (open[1] == '!') /* no document types, comments or CDATA in these protocols */
            return fail(s);
        if (open[1] == '/') {
            bool leaf = s->leaf;

            if (s->depth-- <= 0 || !set_name(s, open + 2, close))
                return fail(s);
            if (!leaf)
                ebb_buffer_reset(&s->text);
            s->leaf = false;
            return true;
        }
        if (!set_name(s, open + 1, close))
            return fail(s);
        ebb_buffer_reset(&s->text);
        if (close[-1] == '/') {
            s->leaf = false;
            return true;
        }
        if (++s->depth > MAX_DEPTH)
            return fail(s);
        s->leaf = true;
    }
    return s->depth != 0 ? fail(s) : false;
}
