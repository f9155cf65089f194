/* agent.conf: all keys, defaults, faults with their places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config.h"

static int parse(const char *text, struct ebb_agent_config *c, struct ebb_error *err)
{
    *err = (struct ebb_error){0};
    return ebb_agent_config_parse("agent.conf", "/vm", text, strlen(text), c, err);
}

static void all_keys_are_read(void **state)
{
    struct ebb_agent_config c;
    struct ebb_error err;
    (void)state;
    int r = parse("vm: vm-000012\nscheduler: 10.0.0.5:7443\ntoken: 3fd0\ncpus: 4\n"
                  "memory: 16 GiB\nstarted: 2026-11-21T10:04:05Z\nproxy: http://p:3128\n"
                  "directory: /var/lib/ebb\nserver_name: other\n"
                  "authority: |\n  -----BEGIN CERTIFICATE-----\n  abc\n",
                  &c, &err);
    assert_int_equal(r, 0);
    assert_string_equal(c.vm, "vm-000012");
    assert_string_equal(c.directory, "/var/lib/ebb");
    assert_string_equal(c.server_name, "other");
    assert_true(c.cpus == 4);
    assert_true(c.memory_bytes == UINT64_C(16) << 30);
    assert_true(c.started_wall_ns == INT64_C(1795255445000000000));
    assert_non_null(strstr(c.authority_pem, "BEGIN CERTIFICATE-----\nabc"));
    ebb_agent_config_clean_up(&c);
}

static void what_is_not_said_has_a_default(void **state)
{
    struct ebb_agent_config c;
    struct ebb_error err;
    (void)state;
    assert_int_equal(parse("vm: a\nscheduler: b:1\nauthority: x\n", &c, &err), 0);
    assert_string_equal(c.directory, "/vm");
    assert_string_equal(c.server_name, "ebb-scheduler");
    assert_null(c.token);
    assert_null(c.proxy);
    assert_true(c.cpus == 0);
    ebb_agent_config_clean_up(&c);
}

static void faults_are_told_with_their_place(void **state)
{
    struct ebb_agent_config c;
    struct ebb_error err;
    (void)state;
    assert_int_equal(parse("vm: a\nscheduler: b:1\n", &c, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "'authority' is missing"));
    assert_int_equal(parse("vm: a\nscheduler: b:1\nauthority: x\ntokn: y\n", &c, &err),
                     EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "agent.conf:4:1"));
    assert_non_null(strstr(err.text, "token"));
    assert_int_equal(parse("vm: a\nscheduler: b:1\nauthority: x\nstarted: now\n", &c, &err),
                     EBB_ERR_INPUT);
    assert_int_equal(parse("", &c, &err), EBB_ERR_INPUT);
    assert_int_equal(parse("- a\n", &c, &err), EBB_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys_are_read),
        cmocka_unit_test(what_is_not_said_has_a_default),
        cmocka_unit_test(faults_are_told_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
