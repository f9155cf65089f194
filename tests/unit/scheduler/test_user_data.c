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

/* A VM that ends itself a moment before the cloud would is paid for. */
static void a_notice_is_heeded_though_the_metadata_service_is_slow_at_first(void **state)
{
    (void)state;
    char folder[] = "/tmp/ebb-user-data-XXXXXX", command[400];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "cd %s && bash", folder);
    char *text = script(true);
    FILE *bash = popen(command, "w");
    assert_non_null(bash);
    /* The first two calls time out; then there is a token, and a notice. */
    fputs(
        "curl() { echo x >>calls; local n; n=$(wc -l <calls); [ $n -gt 2 ] || return 28;\n"
        "  if [ $n = 3 ]; then echo a-token; else\n"
        "    echo \"{\\\"action\\\": \\\"terminate\\\", \\\"time\\\": \\\"$(date -u -d '+100 sec' "
        "+%Y-%m-%dT%H:%M:%SZ)\\\"}\"; fi; }\n"
        "sleep() { echo \"$1\" >>slept; }\n"
        "shutdown() { echo x >ended; }\n"
        "started_s=$(date +%s) free_s=3480\n",
        bash);
    fputs(strstr(text, "imds="), bash);
    fputs("[ -e ended ] && [ $(tail -n 1 slept) -ge 100 ] && [ $(wc -l <slept) = 3 ]\n", bash);
    assert_int_equal(0, pclose(bash));
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(0, system(command));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bash_accepts_it),
        cmocka_unit_test(no_program_gets_a_secret_as_an_argument),
        cmocka_unit_test(a_notice_is_heeded_though_the_metadata_service_is_slow_at_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
