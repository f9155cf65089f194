/* `ebb checkpoint show`: what is in a checkpoint. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/checkpoint_target.h"
#include "cli/json_out.h"
#include "cli/table.h"

extern const struct ebb_command ebb_command_checkpoint_show;

static bool as_json, previous, with_chunks;

static const char *kind_name(Ebb__FileEntry__Kind kind)
{
    const ProtobufCEnumValue *v =
        protobuf_c_enum_descriptor_get_value(&ebb__file_entry__kind__descriptor, kind);
    return v != NULL ? v->name : "?";
}

static int print_json(const char *root, const Ebb__Head *h, const Ebb__Manifest *m)
{
    json_t *v = ebb_json_new("checkpoint_show");
    (void)json_object_set_new(v, "root", json_string(root));
    (void)json_object_set_new(v, "head", ebb_json_of_message(&h->base));
    json_t *manifest = ebb_json_of_message(&m->base);
    json_t *files = json_object_get(manifest, "files"), *file;
    size_t i;
    json_array_foreach(files, i, file)
    {
        (void)json_object_set_new(file, "chunk_count",
                                  json_integer((json_int_t)m->files[i]->n_chunks));
        if (!with_chunks)
            (void)json_object_del(file, "chunks");
    }
    (void)json_object_set_new(v, "manifest", manifest);
    return ebb_json_print(v) != 0 ? 1 : 0;
}

static void print_header(const char *root, const Ebb__Head *h, const Ebb__Manifest *m)
{
    char time[EBB_TIME_TEXT_SIZE], run[EBB_QUANTITY_TEXT_SIZE];
    (void)printf("%s: checkpoint %" PRIu64 "%s, written %s in epoch %" PRIu64 " (attempt %" PRIu64
                 ")\n",
                 root, m->sequence, m->final ? " (final)" : "", ebb_time_format(m->wall_ns, time),
                 m->epoch, m->attempt);
    if (m->step >= 0 && m->total_steps >= 0)
        (void)printf("step %" PRId64 " of %" PRId64 ", ", m->step, m->total_steps);
    else if (m->step >= 0)
        (void)printf("step %" PRId64 ", ", m->step);
    (void)printf("%s of engine time%s%s; head held by %s in epoch %" PRIu64 "\n",
                 ebb_format_duration(m->run_s, run), m->engine_version[0] != '\0' ? ", " : "",
                 m->engine_version, h->owner, h->epoch);
    for (size_t i = 0; i < m->n_portability; i++)
        (void)printf("must match: %s = %s\n", m->portability[i]->key, m->portability[i]->value);
}

static void print_files(const Ebb__Manifest *m)
{
    struct ebb_table *t = ebb_table_new("file\tkind\t>bytes\t>chunks\t>stored\tsha256");
    for (size_t i = 0; i < m->n_files; i++) {
        const Ebb__FileEntry *f = m->files[i];
        uint64_t stored = 0;
        for (size_t k = 0; k < f->n_chunks; k++)
            stored += f->chunks[k]->stored_bytes;
        char hex[EBB_SHA256_HEX_SIZE] = "";
        if (f->kind == EBB__FILE_ENTRY__KIND__SYMLINK)
            ebb_table_row(t, "%s -> %s\t%s", f->path, f->link_target, kind_name(f->kind));
        else
            ebb_table_row(t, "%s\t%s\t%" PRIu64 "\t%zu\t%" PRIu64 "\t%s", f->path,
                          kind_name(f->kind), f->size_bytes, f->n_chunks, stored,
                          ebb_hex(f->sha256.data, f->sha256.len, hex));
    }
    ebb_table_print(t);
    ebb_table_destroy(t);
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->n_packs; i++)
        bytes += m->packs[i]->size_bytes;
    char size[EBB_QUANTITY_TEXT_SIZE];
    (void)printf("%zu files in %zu packs of %s\n", m->n_files, m->n_packs,
                 ebb_format_size(bytes, size));
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_checkpoint_target_clean_up) struct ebb_checkpoint_target t = {0};
    EBB_AUTO(ebb_auto_lineage) struct ebb_lineage *l = NULL;
    EBB_AUTO(ebb_auto_unpacked_manifest) Ebb__Manifest *m = NULL;
    if (ebb_checkpoint_target_open_one(argv[0], &t, &l, &err) < 0 ||
        ebb_lineage_manifest(l, previous, &m, &err) < 0)
        return ebb_command_fail(&err);
    const Ebb__Head *h = ebb_lineage_head(l);
    if (as_json)
        return print_json(t.roots[0], h, m);
    print_header(t.roots[0], h, m);
    print_files(m);
    return 0;
}

static const struct ebb_option options[] = {
    {.name = "previous",
     .kind = EBB_OPTION_FLAG,
     .target = &previous,
     .help = "Show the generation before the current one."},
    {.name = "chunks",
     .kind = EBB_OPTION_FLAG,
     .target = &with_chunks,
     .help = "With --json, list every chunk of every file."},
    {.name = "json", .kind = EBB_OPTION_FLAG, .target = &as_json, .help = "Print one JSON value."},
    {0},
};

const struct ebb_command ebb_command_checkpoint_show = {
    .name = "checkpoint show",
    .arguments = "TARGET",
    .summary = "Show what a job's checkpoint holds",
    .details = EBB_CHECKPOINT_TARGET_HELP,
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
