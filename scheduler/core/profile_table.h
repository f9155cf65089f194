/* Made by the build from agent/profiles/: names, NULL at the end, with text and length of each. */
#ifndef EBB_SCHEDULER_CORE_PROFILE_TABLE_H
#define EBB_SCHEDULER_CORE_PROFILE_TABLE_H

#include <stddef.h>

extern const char *const ebb_profile_table_names[];
extern const unsigned char *const ebb_profile_table_texts[];
extern const size_t *const ebb_profile_table_lengths[];

#endif
