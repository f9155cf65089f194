/* YAML from anyone: parsing, walking, and every typed read, on whatever bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all_ways(struct ebb_yaml *y, const struct ebb_yaml_node *n)
{
    static const char *const names[] = {"name", "jobs", "sweep", "resources"};
    const char *text;
    int64_t i;
    double d;
    bool b;
    uint64_t u;
    size_t c;
    (void)ebb_yaml_read_text(y, n, "text", &text);
    (void)ebb_yaml_read_int(y, n, "int", -100, 100, &i);
    (void)ebb_yaml_read_double(y, n, "double", 0, 1, &d);
    (void)ebb_yaml_read_bool(y, n, "bool", &b);
    (void)ebb_yaml_read_duration(y, n, "duration", &d);
    (void)ebb_yaml_read_size(y, n, "size", &u);
    (void)ebb_yaml_read_usd(y, n, "usd", &i);
    (void)ebb_yaml_read_choice(y, n, "choice", names, 4, &c);
    (void)ebb_yaml_check_keys_in(y, n, "job", names, 4);
}

static void walk(struct ebb_yaml *y, const struct ebb_yaml_node *n, size_t *budget)
{
    if (*budget == 0)
        return;
    --*budget;
    read_all_ways(y, n);
    for (size_t i = 0; i < ebb_yaml_count(n); i++) {
        if (ebb_yaml_kind(n) == EBB_YAML_SEQUENCE)
            walk(y, ebb_yaml_item(n, i), budget);
        else
            walk(y, ebb_yaml_value(n, i), budget);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_yaml *y = NULL;
    struct ebb_error err;
    if (ebb_yaml_parse("fuzz", (const char *)data, size, &y, &err) < 0)
        return 0;
    size_t budget = 2000;
    if (ebb_yaml_root(y) != NULL)
        walk(y, ebb_yaml_root(y), &budget);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    (void)ebb_yaml_faults(y, &all, &err);
    ebb_yaml_destroy(y);
    return 0;
}
