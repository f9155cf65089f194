/* Bag files from anyone: what the parser takes must hold on the wire, survive packing, have names
 * that lead back to their jobs, and be a bag that the fold accepts. A line "%%%" ends the bag; what
 * follows is the CSV file that a sweep may name. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/state.h"
#include "scheduler/core/sweep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct csv {
    const char *text;
    size_t len;
};

static char *file(void *ctx, const char *path, size_t *ret_len, struct ebb_error *err)
{
    const struct csv *csv = ctx;
    if (csv->text == NULL || strncmp(path, "profiles/", 9) == 0) {
        ebb_error_set(err, EBB_ERR_NOT_FOUND, "no %s", path);
        return NULL;
    }
    char *copy = malloc(csv->len + 1); /* exact, so that reading past the end is seen */
    memcpy(copy, csv->text, csv->len);
    copy[csv->len] = '\0';
    *ret_len = csv->len;
    return copy;
}

static void check_names(const Ebb__BagSpec *spec)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
    uint64_t count = ebb_bag_job_count(spec);
    for (uint64_t j = 0; j < count && j < 50; j++) {
        uint64_t job = j * (count > 50 ? count / 50 : 1), index = 0, found = 0;
        const Ebb__JobGroup *g = ebb_bag_group(spec, job, &index);
        ebb_buffer_reset(&name);
        ebb_job_name(g, index, &name);
        if (strchr(ebb_buffer_text(&name), '/') != NULL ||
            !ebb_bag_find_job(spec, ebb_buffer_text(&name), &found) || found != job)
            abort();
    }
}

static void check_fold(Ebb__BagSpec *spec)
{
    char id[] = "bag-0001";
    struct ebb_state *s = ebb_state_new();
    Ebb__Event e;
    Ebb__BagSubmitted m;
    ebb__event__init(&e);
    ebb__bag_submitted__init(&m);
    m.bag = id;
    m.spec = spec;
    e.kind_case = EBB__EVENT__KIND_BAG_SUBMITTED;
    e.bag_submitted = &m;
    if (ebb_bag_job_count(spec) <= 10000 && ebb_state_apply(s, &e, NULL) < 0)
        abort();
    ebb_state_destroy(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv csv = {0};
    const char *text = (const char *)data;
    const char *mark = memmem(text, size, "\n%%%\n", 5);
    if (mark != NULL) {
        csv.text = mark + 5;
        csv.len = size - (size_t)(csv.text - text);
        size = (size_t)(mark - text);
    }
    struct ebb_bag_sources sources = {file, &csv};
    struct ebb_error err = {0};
    Ebb__BagSpec *spec = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    if (ebb_bag_parse("f", text, size, &sources, &spec, &faults, &err) < 0) {
        if (err.text[0] == '\0' || faults.len == 0)
            abort();
        return 0;
    }
    if (ebb_bag_check(spec, &err) < 0)
        abort();
    check_names(spec);
    check_fold(spec);
    ebb__bag_spec__free_unpacked(spec, NULL);
    return 0;
}
