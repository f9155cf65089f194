/* The boot script: a shell that parses it, and no secret on an argument list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/daemon.h"

static char *script(bool emulated)
{
    const struct ebb_user_data u = {.program_url =
                                        "http://127.0.0.1:1/b/ebb?X-Amz-Signature=5ec1e7",
                                    .vm = "vm-000001",
                                    .token = "0123456789abcdef",
                                    .scheduler = "127.0.0.1:7443",
                                    .authority_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n",
                                    .cpus = 2,
                                    .memory_bytes = 1 << 30,
                                    .bill_time_scale = 1,
                                    .emulated = emulated};
    return ebb_user_data_new(&u);
}

static void bash_accepts_it(void **state)
{
    (void)state;
    for (int emulated = 0; emulated < 2; emulated++) {
        char *text = script(emulated != 0);
        assert_int_equal(0, strncmp(text, "#!/bin/bash\n", 12));
        FILE *bash = popen("bash -n", "w");
        assert_non_null(bash);
        fputs(text, bash);
        assert_int_equal(0, pclose(bash));
        free(text);
    }
}

/* Only shell built-ins may have the signed URL or a token among their words. */
static void no_program_gets_a_secret_as_an_argument(void **state)
{
    (void)state;
    char *text = script(true), *rest = NULL;
    size_t pipes = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *curl = strstr(line, "curl ");
        if (curl == NULL)
            continue;
        assert_null(strstr(curl, "$url"));
        assert_null(strstr(curl, "$token"));
        assert_null(strstr(curl, "5ec1e7"));
        pipes += strstr(curl, "-K -") != NULL;
    }
    assert_int_equal(2, pipes);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bash_accepts_it),
        cmocka_unit_test(no_program_gets_a_secret_as_an_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
