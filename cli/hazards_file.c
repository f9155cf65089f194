/* `ebb hazards export` and `import`: what was learned here, taken elsewhere. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/options.h"
#include "cli/client.h"
#include "cli/hazards.h"
#include "cli/json_out.h"
#include "cli/output_file.h"
#include "proto/decode.h"

#define MAGIC      "EBBHAZ1\n"
#define MAGIC_SIZE 8
#define MOST_BYTES (64u << 20)

extern const struct ebb_command ebb_command_hazards_export;
extern const struct ebb_command ebb_command_hazards_import;

static bool as_json;

int ebb_hazards_file_read(const char *path, Ebb__HazardState **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    int rc = ebb_file_read(path, MOST_BYTES, &b, err);
    if (rc < 0)
        return rc;
    if (b.len < MAGIC_SIZE || memcmp(b.data, MAGIC, MAGIC_SIZE) != 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s: it does not begin with EBBHAZ1: give a file that `ebb hazards "
                             "export` has written",
                             path);
    Ebb__HazardState *m =
        ebb_message_decode(&ebb__hazard_state__descriptor, b.data + MAGIC_SIZE, b.len - MAGIC_SIZE);
    if (m == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: it is damaged: export it again", path);
    *ret = m;
    return 0;
}

int ebb_hazards_file_write(const char *path, const Ebb__HazardState *m, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append(&b, MAGIC, MAGIC_SIZE);
    size_t size = ebb__hazard_state__get_packed_size(m);
    ebb_buffer_reserve(&b, size);
    b.len += ebb__hazard_state__pack(m, b.data + b.len);
    return ebb_output_file_write(path, b.data, b.len, err);
}

int ebb_ask_hazards(Ebb__HazardState *import, const char *source, Ebb__ClientAnswer **ret,
                    struct ebb_error *err)
{
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    Ebb__HazardsRequest q = EBB__HAZARDS_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.import = import;
    q.source = (char *)(uintptr_t)(source != NULL ? source : "");
    request.kind_case = EBB__CLIENT_REQUEST__KIND_HAZARDS;
    request.hazards = &q;
    int rc = ebb_client_open(&client, err);
    if (rc == 0)
        rc = ebb_client_call(client, &request, ret, err);
    if (rc == 0 && ((*ret)->hazards == NULL || (*ret)->hazards->state == NULL)) {
        ebb_answer_destroy(EBB_TAKE(*ret));
        rc = ebb_error_set(err, EBB_ERR_CORRUPT,
                           "the scheduler gave no hazards: is it of another version?");
    }
    return rc;
}

/* `verb`: what was done with so many places. */
static int print_done(const char *what, const char *path, size_t places)
{
    if (!as_json) {
        (void)printf("%zu places %s %s\n", places, what, path);
        return 0;
    }
    json_t *v = ebb_json_new("hazards_file");
    json_object_set_new(v, "file", json_string(path));
    json_object_set_new(v, "places", json_integer((json_int_t)places));
    return ebb_json_print(v);
}

static int run_export(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    int rc = ebb_ask_hazards(NULL, NULL, &a, &err);
    if (rc == 0)
        rc = ebb_hazards_file_write(argv[0], a->hazards->state, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    return print_done("written to", argv[0], a->hazards->state->n_cells);
}

static int run_import(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    Ebb__HazardState *m = NULL;
    int rc = ebb_hazards_file_read(argv[0], &m, &err);
    if (rc == 0)
        rc = ebb_ask_hazards(m, argv[0], &a, &err);
    size_t places = m == NULL ? 0 : m->n_cells;
    if (m != NULL)
        ebb__hazard_state__free_unpacked(m, NULL);
    if (rc < 0)
        return ebb_command_fail(&err);
    return print_done("taken from", argv[0], places);
}

static const struct ebb_option options[] = {
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_hazards_export = {
    .name = "hazards export",
    .arguments = "FILE",
    .summary = "Write what was learned of revocations and outages to a file",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_export,
};

const struct ebb_command ebb_command_hazards_import = {
    .name = "hazards import",
    .arguments = "FILE",
    .summary = "Add what was learned elsewhere to what the scheduler knows",
    .details = "FILE is one of 'ebb hazards export'. Its hours and revocations are added to those "
               "in the event log; age counts from when they were seen, so old ones weigh little.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_import,
};
