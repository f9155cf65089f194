/* Values of AWS's shared files (INI with "[default]", "[profile x]"). */
#ifndef EBB_CLOUD_AWS_CONFIG_H
#define EBB_CLOUD_AWS_CONFIG_H

#include <stddef.h>

/* The value of `key` in `section` of an INI text, malloc'ed, or NULL. Indented lines (nested
 * settings) and comments are passed over; the last of several counts. */
char *ebb_ini_value(const char *text, const char *section, const char *key);

/* The value of the current profile, from the credentials file, then the config file; malloc'ed or
 * NULL, also when the files cannot be read. */
char *ebb_aws_profile_value(const char *key);
const char *ebb_aws_profile_name(void);

#endif
