/* The profiles in the program: agent/profiles/ of the source tree, put into a table by the build.
 */
#include <string.h>

#include "scheduler/core/profile.h"
#include "scheduler/core/profile_table.h"

const char *ebb_profile_builtin(const char *name, size_t *ret_len)
{
    for (size_t i = 0; ebb_profile_table_names[i] != NULL; i++) {
        if (strcmp(ebb_profile_table_names[i], name) == 0) {
            *ret_len = *ebb_profile_table_lengths[i];
            return (const char *)ebb_profile_table_texts[i];
        }
    }
    return NULL;
}

const char *const *ebb_profile_builtin_names(void)
{
    return ebb_profile_table_names;
}
