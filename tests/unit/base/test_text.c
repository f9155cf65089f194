/* Names, globs, encodings, quoting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "base/text.h"

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    assert_true(ebb_starts_with("checkpoint", "check"));
    assert_false(ebb_starts_with("che", "check"));
    assert_true(ebb_ends_with("a.yaml", ".yaml"));
    assert_false(ebb_ends_with("l", ".yaml"));
}

static void the_nearest_name_is_found(void **state)
{
    (void)state;
    static const char *const names[] = {"sweep", "resources", "inputs", "outputs",
                                        "name",  "needs",     "ls",     "temperature"};
    const size_t n = EBB_ARRAY_LEN(names);
    assert_string_equal(ebb_nearest_name("sweap", names, n), "sweep");
    assert_string_equal(ebb_nearest_name("Sweep", names, n), "sweep");
    assert_string_equal(ebb_nearest_name("resorces", names, n), "resources");
    assert_string_equal(ebb_nearest_name("nmae", names, n), "name");
    assert_string_equal(ebb_nearest_name("output", names, n), "outputs");
    assert_string_equal(ebb_nearest_name("temp", names, n), "temperature");
    assert_null(ebb_nearest_name("xy", names, n));
    assert_null(ebb_nearest_name("wallclock", names, n));
    assert_null(ebb_nearest_name("", names, n));
    char big[500];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_null(ebb_nearest_name(big, names, n));
}

static void globs_match_within_a_folder(void **state)
{
    (void)state;
    assert_true(ebb_glob_match("*.xtc", "nvt.xtc"));
    assert_false(ebb_glob_match("*.xtc", "a/nvt.xtc"));
    assert_true(ebb_glob_match("a/?.log", "a/\xc3\xa4.log"));
    assert_false(ebb_glob_match("a?b", "a/b"));
    assert_true(ebb_glob_match("r[0-9][!x]", "r7y"));
    assert_false(ebb_glob_match("r[0-9][!x]", "r7x"));
    assert_false(ebb_glob_match("a[!x]b", "a/b"));
    assert_true(ebb_glob_match("a\\*b", "a*b"));
    assert_false(ebb_glob_match("a\\*b", "axb"));
    assert_true(ebb_glob_match("[]a]", "]"));
    assert_true(ebb_glob_match("[ab", "[ab"));
    assert_true(ebb_glob_match("", ""));
    assert_false(ebb_glob_match("", "a"));
}

static void two_stars_cross_folders(void **state)
{
    (void)state;
    assert_true(ebb_glob_match("**", "a/b/c"));
    assert_true(ebb_glob_match("**/x", "x"));
    assert_true(ebb_glob_match("**/x", "a/b/x"));
    assert_false(ebb_glob_match("**/x", "a/bx"));
    assert_true(ebb_glob_match("a/**/x", "a/x"));
    assert_true(ebb_glob_match("a/**/x", "a/b/c/x"));
    assert_false(ebb_glob_match("a/**/x", "ab/x"));
    assert_true(ebb_glob_match("a/**", "a/b/c"));
    assert_false(ebb_glob_match("a/**", "a"));
    assert_true(ebb_glob_match("run**.log", "run1/x.log"));
}

static void globs_without_two_stars_agree_with_fnmatch(void **state)
{
    (void)state;
    static const char pattern_letters[] = "ab/*?[!-]", path_letters[] = "ab/-";
    struct ebb_random r;
    ebb_random_seed(&r, 11);
    for (int i = 0; i < 200000; i++) {
        char pattern[9] = {0}, path[7] = {0};
        uint64_t pattern_len = ebb_random_below(&r, 8), path_len = ebb_random_below(&r, 6);
        for (uint64_t j = 0; j < pattern_len; j++)
            pattern[j] = pattern_letters[ebb_random_below(&r, sizeof(pattern_letters) - 1)];
        for (uint64_t j = 0; j < path_len; j++)
            path[j] = path_letters[ebb_random_below(&r, sizeof(path_letters) - 1)];
        /* Brackets across '/', backward ranges and unclosed ones are read differently everywhere.
         */
        if (strstr(pattern, "**") != NULL || strchr(pattern, '[') != NULL)
            continue;
        bool want = fnmatch(pattern, path, FNM_PATHNAME) == 0;
        if (ebb_glob_match(pattern, path) != want)
            fail_msg("glob '%s' on '%s': want %d", pattern, path, want);
    }
}

static void a_hostile_glob_takes_no_exponential_time(void **state)
{
    (void)state;
    char path[4000], pattern[400];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + sizeof(pattern) - 2, "b", 2);
    clock_t start = clock();
    assert_false(ebb_glob_match(pattern, path));
    assert_true(clock() - start < CLOCKS_PER_SEC);
}

static void percent_encoding_goes_there_and_back(void **state)
{
    (void)state;
    char all[255];
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_percent_encode(&b, all, sizeof(all), false);
    size_t len = 0;
    EBB_AUTO_FREE char *back = ebb_percent_decode(ebb_buffer_text(&b), b.len, false, &len);
    assert_int_equal(len, sizeof(all));
    assert_memory_equal(back, all, len);
    ebb_buffer_reset(&b);
    ebb_percent_encode(&b, "a b/~+", 6, true);
    assert_string_equal(ebb_buffer_text(&b), "a%20b/~%2B");
    ebb_buffer_reset(&b);
    ebb_percent_encode(&b, "a/b", 3, false);
    assert_string_equal(ebb_buffer_text(&b), "a%2Fb");
}

static void bad_escapes_are_refused(void **state)
{
    (void)state;
    assert_null(ebb_percent_decode("%", 1, false, NULL));
    assert_null(ebb_percent_decode("a%4", 3, false, NULL));
    assert_null(ebb_percent_decode("%zz", 3, false, NULL));
    EBB_AUTO_FREE char *plus = ebb_percent_decode("a+b", 3, false, NULL);
    assert_string_equal(plus, "a+b");
    EBB_AUTO_FREE char *form = ebb_percent_decode("a+b", 3, true, NULL);
    assert_string_equal(form, "a b");
}

static void quoted_words_come_back_from_the_shell(void **state)
{
    (void)state;
    static const char *const words[] = {"",     "plain-1.0", "two words", "it's", "$HOME `x` \\ \"",
                                        "a\nb", "*?[",       "\xc3\xa4"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(words); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        ebb_buffer_append_text(&b, "printf %s ");
        ebb_shell_quote(&b, words[i]);
        FILE *p = popen(ebb_buffer_text(&b), "r");
        assert_non_null(p);
        char got[64] = {0};
        size_t n = fread(got, 1, sizeof(got) - 1, p);
        assert_int_equal(pclose(p), 0);
        assert_int_equal(n, strlen(words[i]));
        assert_string_equal(got, words[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(the_nearest_name_is_found),
        cmocka_unit_test(globs_match_within_a_folder),
        cmocka_unit_test(two_stars_cross_folders),
        cmocka_unit_test(globs_without_two_stars_agree_with_fnmatch),
        cmocka_unit_test(a_hostile_glob_takes_no_exponential_time),
        cmocka_unit_test(percent_encoding_goes_there_and_back),
        cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(quoted_words_come_back_from_the_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
