/* Every bag that ships in examples/ is one that ebb takes. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/profile.h"
#include "scheduler/core/sweep.h"

static Ebb__BagSpec *parse(const char *path)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0}, faults = {0};
    struct ebb_error err = {0};
    Ebb__BagSpec *spec = NULL;

    assert_int_equal(ebb_file_read(path, 1 << 20, &text, &err), 0);
    if (ebb_bag_parse(path, ebb_buffer_text(&text), text.len, NULL, &spec, &faults, &err) < 0)
        fail_msg("%s", ebb_buffer_text(&faults));
    return spec;
}

static void every_bag_in_examples_parses(void **unused)
{
    (void)unused;
    glob_t found;
    assert_int_equal(glob(EBB_SOURCE_DIR "/examples/*/bag.yaml", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++)
        ebb__bag_spec__free_unpacked(parse(found.gl_pathv[i]), NULL);
    globfree(&found);
}

static void the_demo_has_six_jobs_of_each_engine_and_one_that_needs_them(void **unused)
{
    (void)unused;
    Ebb__BagSpec *spec = parse(EBB_SOURCE_DIR "/examples/demo/bag.yaml");
    assert_int_equal(spec->n_groups, 3);
    assert_int_equal(spec->groups[0]->job_count, 6);
    assert_string_equal(spec->groups[0]->engine, "gromacs");
    assert_int_equal(spec->groups[1]->job_count, 6);
    assert_string_equal(spec->groups[1]->engine, "lammps");
    assert_string_equal(spec->groups[2]->engine, "pytorch");
    assert_string_equal(spec->groups[2]->needs[0], "nvt");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void every_profile_parses_and_knows_its_own_stop(void **unused)
{
    (void)unused;
    for (const char *const *name = ebb_profile_builtin_names(); *name != NULL; name++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
        struct ebb_error err = {0};
        size_t len = 0;
        const char *text = ebb_profile_builtin(*name, &len);
        Ebb__Profile *p = NULL;
        if (ebb_profile_parse(*name, text, len, &p, &faults, &err) < 0)
            fail_msg("%s", ebb_buffer_text(&faults));
        assert_string_equal(p->name, *name);
        assert_true(p->checkpoints == (strcmp(*name, "command") != 0));
        if (p->checkpoints) {
            assert_non_null(strstr(p->resume, "${state}"));
            assert_true(p->n_exit > 0);
            assert_string_equal(p->exit[0]->kind, "preempted");
        }
        ebb__profile__free_unpacked(p, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bag_in_examples_parses),
        cmocka_unit_test(the_demo_has_six_jobs_of_each_engine_and_one_that_needs_them),
        cmocka_unit_test(every_profile_parses_and_knows_its_own_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
