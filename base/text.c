/* Small text tools: prefixes, nearest names, globs, percent encoding, shell quoting. Quantities
 * with units are in quantity.c. */
#include "base/text.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_LEN 64

bool ebb_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool ebb_ends_with(const char *s, const char *suffix)
{
    size_t a = strlen(s), b = strlen(suffix);
    return a >= b && memcmp(s + a - b, suffix, b) == 0;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment: insertions, deletions, replacements, and swaps of two neighbours. */
static size_t edit_distance(const char *a, size_t la, const char *b, size_t lb)
{
    size_t rows[3][NAME_MAX_LEN + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= lb; j++)
        last[j] = j;
    for (size_t i = 1; i <= la; i++) {
        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t replace = last[j - 1] + (same_letter(a[i - 1], b[j - 1]) ? 0 : 1);
            now[j] = min_size(replace, min_size(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                now[j] = min_size(now[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[lb];
}

const char *ebb_nearest_name(const char *word, const char *const *names, size_t count)
{
    size_t len = strlen(word);
    if (len == 0 || len > NAME_MAX_LEN)
        return NULL;
    size_t limit = len / 3 < 2 ? 2 : len / 3;
    const char *best = NULL, *extended = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t name_len = strlen(names[i]);
        if (name_len > NAME_MAX_LEN)
            continue;
        size_t d = edit_distance(word, len, names[i], name_len);
        /* With as many edits as letters, any word becomes any other. */
        if (d <= limit && d < len && d < best_distance) {
            best = names[i];
            best_distance = d;
        }
        if (len >= 3 && extended == NULL && ebb_starts_with(names[i], word))
            extended = names[i];
    }
    return best != NULL ? best : extended;
}

/* ---- glob ----
 * The pattern is run as a non-deterministic automaton: at[i] says whether the pattern read so far
 * matches the first i bytes of the path. The time is pattern length times path length, whatever
 * the pattern; backtracking would be exponential in the number of stars. */

static size_t character_len(const char *s, size_t left)
{
    size_t n = 1;
    while (n < left && n < 4 && ((unsigned char)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* The end of the bracket expression that starts at p[0] == '[', or NULL when it has none. */
static const char *class_end(const char *p)
{
    p++;
    if (*p == '!' || *p == '^')
        p++;
    if (*p == ']')
        p++;
    p = strchr(p, ']');
    return p;
}

static bool class_has(const char *p, const char *end, char c)
{
    p++;
    bool negated = *p == '!' || *p == '^';
    if (negated)
        p++;
    bool found = false;
    unsigned char u = (unsigned char)c;
    while (p < end) {
        unsigned char low = (unsigned char)*p, high = low;
        if (p + 2 < end && p[1] == '-') {
            high = (unsigned char)p[2];
            p += 2;
        }
        if (u >= low && u <= high)
            found = true;
        p++;
    }
    return c != '/' && found != negated;
}

/* "**" + "/" : any number of whole components; "**" alone: anything; "*": anything but '/'. */
static const char *step_star(const char *p, bool *at, const char *path, size_t len)
{
    bool across = p[1] == '*';
    while (p[1] == '*')
        p++;
    bool components = across && p[1] == '/';
    bool reachable = false;
    for (size_t i = 0; i <= len; i++) {
        if (components) {
            bool start = i == 0 || path[i - 1] == '/';
            reachable = reachable || (at[i] && start);
            at[i] = reachable && start;
        } else {
            if (i > 0 && path[i - 1] == '/' && !across)
                reachable = false;
            reachable = reachable || at[i];
            at[i] = reachable;
        }
    }
    return components ? p + 2 : p + 1;
}

static bool one_matches(const char *p, const char *class_stop, const char *path)
{
    if (class_stop != NULL)
        return class_has(p, class_stop, *path);
    if (*p == '?')
        return *path != '/';
    return *path == (*p == '\\' && p[1] != '\0' ? p[1] : *p);
}

static const char *step_one(const char *p, bool *at, const char *path, size_t len)
{
    const char *stop = *p == '[' ? class_end(p) : NULL;
    size_t width = 1;
    for (size_t i = len + 1; i-- > 0;) {
        bool here = false;
        if (i > 0) {
            /* '?' takes a whole UTF-8 character: look back to its first byte. */
            width = 1;
            while (*p == '?' && width < 4 && width < i && (path[i - width] & 0xc0) == 0x80)
                width++;
            here = at[i - width] && one_matches(p, stop, path + i - width) &&
                   (*p != '?' || character_len(path + i - width, len - i + width) == width);
        }
        at[i] = here;
    }
    if (stop != NULL)
        return stop + 1;
    return *p == '\\' && p[1] != '\0' ? p + 2 : p + 1;
}

bool ebb_glob_match(const char *pattern, const char *path)
{
    size_t len = strlen(path);
    EBB_AUTO_FREE bool *at = ebb_alloc_array(len + 1, sizeof(*at));
    at[0] = true;
    for (const char *p = pattern; *p != '\0';)
        p = *p == '*' ? step_star(p, at, path, len) : step_one(p, at, path, len);
    return at[len];
}

/* ---- encodings ---- */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void ebb_percent_encode(struct ebb_buffer *out, const char *s, size_t len, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (is_unreserved(c) || (c == '/' && keep_slash)) {
            ebb_buffer_append(out, &s[i], 1);
        } else {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            ebb_buffer_append(out, escape, sizeof(escape));
        }
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    int lower = tolower((unsigned char)c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

char *ebb_percent_decode(const char *s, size_t len, bool form, size_t *ret_len)
{
    EBB_AUTO_FREE char *out = ebb_alloc_array(len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '+' && form) {
            c = ' ';
        } else if (c == '%') {
            if (len - i < 3 || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)
                return NULL;
            c = (char)(hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    if (ret_len != NULL)
        *ret_len = n;
    return EBB_TAKE(out);
}

void ebb_shell_quote(struct ebb_buffer *out, const char *word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "@%+=:,./-_";
    if (word[0] != '\0' && strspn(word, safe) == strlen(word)) {
        ebb_buffer_append_text(out, word);
        return;
    }
    ebb_buffer_append_text(out, "'");
    for (const char *p = word; *p != '\0'; p++) {
        if (*p == '\'')
            ebb_buffer_append_text(out, "'\\''");
        else
            ebb_buffer_append(out, p, 1);
    }
    ebb_buffer_append_text(out, "'");
}
