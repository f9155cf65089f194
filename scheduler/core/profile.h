/* Application profiles (docs/profiles.md): YAML text to a Profile, every fault with its place. */
#ifndef EBB_SCHEDULER_CORE_PROFILE_H
#define EBB_SCHEDULER_CORE_PROFILE_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "proto/profile.pb-c.h"

/* The caller frees *ret with ebb__profile__free_unpacked. */
int ebb_profile_parse(const char *file_name, const char *text, size_t len, Ebb__Profile **ret,
                      struct ebb_buffer *faults, struct ebb_error *err);

/* The profiles built into the program: the text of `name` or NULL; names NULL-terminated. */
const char *ebb_profile_builtin(const char *name, size_t *ret_len);
const char *const *ebb_profile_builtin_names(void);

#endif
