/* Reading YAML into protobuf messages: what bag files and profiles have in common. Each reader
 * leaves its target as it was when it records a fault. */
#ifndef EBB_SCHEDULER_CORE_SPEC_READ_H
#define EBB_SCHEDULER_CORE_SPEC_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/yaml.h"

/* Replaces a protobuf string field (which may be protobuf-c's own empty string). */
void ebb_spec_set_text(char **field, const char *text);
bool ebb_spec_text(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                   char **field);
/* One text or a list of texts. NULL nodes leave the field empty. */
bool ebb_spec_texts(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                    size_t *ret_count, char ***ret);
/* Pairs of a mapping NAME: text, with names of environment variables; `add` takes each. */
void ebb_spec_environment(struct ebb_yaml *y, const struct ebb_yaml_node *n,
                          void (*add)(void *ctx, const char *name, const char *value), void *ctx);

/* "a path relative to the work directory": not empty, not absolute, no "..". */
bool ebb_spec_is_inside(const char *path);
/* [A-Za-z0-9][A-Za-z0-9_.-]*, at most 64: safe as file name, object key, tag. */
bool ebb_spec_is_name(const char *text);
/* [A-Za-z_][A-Za-z0-9_]*, at most 64. */
bool ebb_spec_is_word(const char *text);
/* A POSIX extended regular expression that is cheap to compile and run. `groups`: at least so many
 * parenthesised ones. */
bool ebb_spec_is_regex(const char *pattern, size_t groups, struct ebb_error *err);

#endif
