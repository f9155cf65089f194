/* AWS's shared credentials and config files. A file that is not there is an empty one. */
#include "cloud/aws_config.h"

#include <ctype.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"

#define MAX_FILE_BYTES (1u << 20)

static size_t trimmed_len(const char *s, size_t len)
{
    while (len > 0 && isspace((unsigned char)s[len - 1]))
        len--;
    return len;
}

static const char *skip_blank(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t'))
        s++;
    return s;
}

static bool is_section(const char *line, size_t len, const char *section)
{
    const char *begin = skip_blank(line + 1, line + len);
    const char *close = memchr(begin, ']', (size_t)(line + len - begin));
    if (close == NULL)
        return false;
    size_t name_len = trimmed_len(begin, (size_t)(close - begin));
    return name_len == strlen(section) && memcmp(begin, section, name_len) == 0;
}

static char *value_of(const char *line, size_t len, const char *key)
{
    const char *eq = memchr(line, '=', len);
    if (eq == NULL)
        return NULL;
    size_t key_len = trimmed_len(line, (size_t)(eq - line));
    if (key_len != strlen(key) || memcmp(line, key, key_len) != 0)
        return NULL;
    const char *begin = skip_blank(eq + 1, line + len);
    return ebb_strndup(begin, trimmed_len(begin, (size_t)(line + len - begin)));
}

char *ebb_ini_value(const char *text, const char *section, const char *key)
{
    char *found = NULL;
    bool inside = false;
    while (*text != '\0') {
        size_t len = strcspn(text, "\r\n");
        if (*text == '[') {
            inside = is_section(text, len, section);
        } else if (inside && *text != '#' && *text != ';') {
            char *value = value_of(text, len, key);
            if (value != NULL) {
                free(found);
                found = value;
            }
        }
        text += len;
        text += strspn(text, "\r\n");
    }
    return found;
}

const char *ebb_aws_profile_name(void)
{
    const char *name = getenv("AWS_PROFILE");
    return name != NULL && name[0] != '\0' ? name : "default";
}

static char *file_value(const char *variable, const char *fallback, const char *section,
                        const char *key)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    const char *named = getenv(variable), *home = getenv("HOME");
    if (named == NULL && home == NULL)
        return NULL;
    EBB_AUTO_FREE char *path =
        named != NULL ? ebb_strdup(named) : ebb_sprintf("%s/.aws/%s", home, fallback);
    if (ebb_file_read(path, MAX_FILE_BYTES, &text, NULL) < 0)
        return NULL;
    char *value = ebb_ini_value(ebb_buffer_text(&text), section, key);
    if (text.data != NULL)
        explicit_bzero(text.data, text.len);
    return value;
}

char *ebb_aws_profile_value(const char *key)
{
    const char *name = ebb_aws_profile_name();
    char *value = file_value("AWS_SHARED_CREDENTIALS_FILE", "credentials", name, key);
    if (value != NULL)
        return value;
    EBB_AUTO_FREE char *section =
        strcmp(name, "default") == 0 ? ebb_strdup(name) : ebb_sprintf("profile %s", name);
    return file_value("AWS_CONFIG_FILE", "config", section, key);
}
