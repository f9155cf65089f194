/* `ebb pack`: files made small by what they are, and the checks on what it wrote.
 *
 * The packed file gets its name when it is whole and every part of it has been decoded again. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/json_out.h"
#include "cli/pack_inputs.h"
#include "cli/pack_options.h"
#include "cli/packed_file.h"
#include "pack/trajectory.h"

extern const struct ebb_command ebb_command_pack;

static const char *out_path, *error_text, *base_path, *level = "fast", *shape, *dtype;
static int64_t group_frames = 100, threads, verify_sample = 1;
static bool show_info, run_verify, as_json, force, append;

/* ---- --info, --verify ---- */

struct opened {
    struct ebb_file_bytes file;
    struct ebb_bytes bytes;
    struct ebb_container *container;
    struct ebb_error fault; /* what is wrong with it; code 0: nothing */
};

static void opened_clean_up(struct opened *o)
{
    ebb_container_destroy(o->container);
    ebb_file_bytes_close(&o->file);
}

/* By its index, else what can be found without. */
static int open_somehow(const char *path, struct opened *o, struct ebb_error *err)
{
    int rc = ebb_file_bytes_open(path, &o->file, err);
    if (rc < 0)
        return rc;
    o->bytes = ebb_file_bytes_of(&o->file);
    rc = ebb_container_open(&o->bytes, &o->container, err);
    if (rc == EBB_ERR_CORRUPT) {
        struct ebb_error cut;
        ebb_error_copy(&o->fault, err);
        rc = ebb_container_salvage(&o->bytes, &o->container, &cut, err);
    }
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", path) : 0;
}

static json_t *entries_json(const struct ebb_container *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->count; i++)
        (void)json_array_append_new(list, ebb_packed_entry_json(&c->entries[i]));
    return list;
}

static void print_table(const struct ebb_container *c)
{
    struct ebb_table *t = ebb_packed_table_new();
    for (size_t i = 0; i < c->count; i++)
        ebb_packed_table_add(t, &c->entries[i]);
    ebb_table_print(t);
    ebb_table_destroy(t);
}

static int info(const char *path)
{
    struct ebb_error err = {0};
    EBB_AUTO(opened_clean_up) struct opened o = {0};
    if (open_somehow(path, &o, &err) < 0)
        return ebb_packed_fail(&err);
    if (as_json) {
        json_t *v = ebb_json_new("pack_info");
        (void)json_object_set_new(v, "path", json_string(path));
        (void)json_object_set_new(v, "packed_bytes", json_integer((json_int_t)o.bytes.size_bytes));
        (void)json_object_set_new(v, "fault",
                                  o.fault.code < 0 ? json_string(o.fault.text) : json_null());
        (void)json_object_set_new(v, "files", entries_json(o.container));
        (void)ebb_json_print(v);
    } else {
        print_table(o.container);
    }
    if (o.fault.code == 0)
        return 0;
    (void)ebb_error_wrap(&o.fault, o.fault.code, "%s (what is whole is listed)", path);
    return ebb_packed_fail(&o.fault);
}

static int discard(void *ctx, const void *data, size_t len, struct ebb_error *err)
{
    (void)ctx, (void)data, (void)len, (void)err;
    return 0;
}

static int verify_entry(const char *path, const struct ebb_container *c,
                        const struct ebb_packed_entry *e, struct ebb_progress_line *line,
                        struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_base) struct ebb_base *base = NULL;
    int rc = ebb_base_open_of(path, e, base_path, &base, err);
    if (rc < 0)
        return rc;
    return ebb_unpacker_run(c, e, base != NULL ? &base->bytes : NULL,
                            (struct ebb_packed_sink){.write = discard}, ebb_packed_threads(threads),
                            ebb_progress_next(line, e->name), err);
}

/* Faults go to `faults`, each once; the code of a failure that is no damage is returned. */
static int verify_all(const char *path, struct opened *o, json_t *faults, struct ebb_error *err)
{
    if (o->fault.code < 0)
        (void)json_array_append_new(faults, json_string(o->fault.text));
    else if (ebb_container_check(o->container, NULL, NULL, err) < 0)
        (void)json_array_append_new(faults, json_string(err->text));
    struct ebb_progress_line line;
    ebb_progress_begin(&line, "verifying", o->container->count, ebb_packed_bytes_of(o->container));
    int rc = 0;
    for (size_t i = 0; i < o->container->count && rc == 0; i++) {
        rc = verify_entry(path, o->container, &o->container->entries[i], &line, err);
        if (rc == EBB_ERR_CORRUPT) {
            (void)json_array_append_new(faults, json_string(err->text));
            rc = 0;
        }
    }
    ebb_progress_end(&line);
    return rc;
}

static int verify(const char *path)
{
    struct ebb_error err = {0};
    EBB_AUTO(opened_clean_up) struct opened o = {0};
    if (open_somehow(path, &o, &err) < 0)
        return ebb_packed_fail(&err);
    json_t *faults = json_array();
    size_t files = o.container->count;
    if (verify_all(path, &o, faults, &err) < 0) {
        json_decref(faults);
        return ebb_packed_fail(&err);
    }
    bool good = json_array_size(faults) == 0;
    size_t i;
    json_t *fault;
    json_array_foreach(faults, i, fault)(void)
        fprintf(stderr, "error: %s: %s\n", path, json_string_value(fault));
    if (as_json) {
        json_t *v = ebb_json_new("pack_verify");
        (void)json_object_set_new(v, "path", json_string(path));
        (void)json_object_set_new(v, "good", json_boolean(good));
        (void)json_object_set_new(v, "files", json_integer((json_int_t)files));
        (void)json_object_set(v, "faults", faults);
        (void)ebb_json_print(v);
    } else if (good) {
        (void)printf("%s: good, %zu file%s unpacked and hashed\n", path, files,
                     files == 1 ? "" : "s");
    }
    json_decref(faults);
    return good ? 0 : 1;
}

/* ---- packing ---- */

/* The base's path as a reader will find it: relative to the packed file where it is below its
 * folder, else its name alone. */
static char *base_file_name(const char *base, const char *packed)
{
    const char *slash = strrchr(packed, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - packed) + 1;
    while (folder == 0 && ebb_starts_with(base, "./"))
        base += 2;
    if (strncmp(base, packed, folder) == 0 && ebb_path_is_contained(base + folder))
        return ebb_strdup(base + folder);
    slash = strrchr(base, '/');
    return ebb_strdup(slash == NULL ? base : slash + 1);
}

static void set_base(struct ebb_packed_entry *facts, const struct ebb_base *b)
{
    const char *path = b->packed.file.path; /* NULL: it is in the packed file itself */
    facts->chain_length = b->chain_length + 1;
    facts->base_file = path != NULL ? base_file_name(path, out_path) : NULL;
    facts->base_name = ebb_strdup(b->name);
    facts->base_bytes = b->bytes.size_bytes;
    memcpy(facts->base_sha256, b->sha256, sizeof facts->base_sha256);
}

/* Tensors have theirs by name, restart state has a trajectory of the same atoms. */
static int find_base(const struct ebb_bytes *file, const char *name, bool is_only_file,
                     const struct ebb_container *written, struct ebb_base **ret,
                     struct ebb_error *err)
{
    uint64_t atoms = 0;
    int64_t step = 0;
    if (ebb_trajectory_is_wanted(file, &atoms, &step))
        return ebb_base_open_trajectory(base_path, written, atoms, step, ret, err);
    return base_path == NULL ? 0 : ebb_base_open_for(base_path, name, is_only_file, ret, err);
}

static int open_base(const struct ebb_bytes *file, bool is_only_file,
                     const struct ebb_container *written, struct ebb_packed_entry *facts,
                     struct ebb_base **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_base) struct ebb_base *b = NULL;
    int rc = find_base(file, facts->name, is_only_file, written, &b, err);
    if (rc < 0 || b == NULL)
        return rc;
    if (b->chain_length >= EBB_PACKED_CHAIN_MAX) {
        (void)fprintf(stderr,
                      "note: %s is the %uth of a chain, the longest allowed: %s is packed whole\n",
                      b->packed.file.path, b->chain_length, facts->name);
        return 0;
    }
    set_base(facts, b);
    *ret = EBB_TAKE(b);
    return 0;
}

/* With --append: what OUT holds of this file already. */
static int pack_bytes(struct ebb_container_writer *w, struct ebb_packed_entry *facts,
                      const struct ebb_bytes *bytes, const struct ebb_base *base,
                      const struct ebb_container *before, const struct ebb_packer_options *o,
                      struct ebb_error *err)
{
    const struct ebb_packed_entry *old =
        before != NULL ? ebb_container_find(before, facts->name) : NULL;
    /* Restart state does not grow: it is another one. */
    if (old != NULL && old->chain_length == 0 && strcmp(old->kind, "cpt") != 0)
        return ebb_packer_append(w, before, old, facts, bytes, o, err);
    return ebb_packer_add(w, facts, bytes, base != NULL ? &base->bytes : NULL, o, err);
}

struct packing {
    struct ebb_container_writer *writer;
    struct ebb_new_file *out;
    const struct ebb_container *before; /* --append; NULL: none */
    struct ebb_packer_options *o;
    size_t count;
    struct ebb_progress_line *line;
};

static int pack_opened(struct packing *p, const struct ebb_pack_input *input,
                       struct ebb_file_bytes *file, struct ebb_packed_entry *facts,
                       struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_base) struct ebb_base *base = NULL;
    struct ebb_bytes bytes = ebb_file_bytes_of(file), back = ebb_new_file_bytes(p->out);
    struct ebb_container written;
    ebb_container_written(p->writer, &back, &written);
    facts->name = ebb_strdup(input->name);
    facts->mode = file->stat.st_mode & 0777;
    facts->mtime_ns = file->stat.st_mtim.tv_sec * EBB_NS_PER_S + file->stat.st_mtim.tv_nsec;
    int rc = open_base(&bytes, p->count == 1, &written, facts, &base, err);
    if (rc < 0)
        return rc;
    p->o->base_anchors = base != NULL ? base->anchors : NULL;
    p->o->base_anchor_count = base != NULL ? base->anchor_count : 0;
    return pack_bytes(p->writer, facts, &bytes, base, p->before, p->o, err);
}

static int pack_file(struct packing *p, const struct ebb_pack_input *input, struct ebb_error *err)
{
    struct ebb_file_bytes file = {0};
    EBB_AUTO(ebb_packed_entry_clean_up) struct ebb_packed_entry facts = {0};
    int rc = ebb_file_bytes_open(input->path, &file, err);
    if (rc < 0)
        return rc;
    p->o->progress = ebb_progress_next(p->line, input->name);
    rc = pack_opened(p, input, &file, &facts, err);
    ebb_file_bytes_close(&file);
    if (rc == 0 && p->o->error > 0 && !facts.is_lossy)
        (void)fprintf(stderr,
                      "note: %s is packed without loss: it has no frames that can be read, or is "
                      "no finer than the bound\n",
                      input->path);
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", input->path) : 0;
}

/* What is in OUT and not named again would be lost. */
static int check_append(const struct ebb_packed_file *before, const struct ebb_pack_inputs *in,
                        struct ebb_error *err)
{
    struct ebb_map *names = ebb_map_new(NULL);
    for (size_t i = 0; i < in->count; i++)
        ebb_map_set(names, in->list[i].name, &in->list[i]);
    int rc = 0;
    for (size_t i = 0; before->container != NULL && i < before->container->count && rc == 0; i++)
        if (ebb_map_get(names, before->container->entries[i].name) == NULL)
            rc = ebb_error_set(err, EBB_ERR_INPUT,
                               "--append: %s is in %s: name it too, or pack to another file",
                               before->container->entries[i].name, out_path);
    ebb_map_destroy(names);
    return rc;
}

static int pack_inputs(struct packing *p, const struct ebb_pack_inputs *in, struct ebb_error *err)
{
    struct ebb_progress_line line;
    ebb_progress_begin(&line, "packing", in->count, in->bytes);
    p->line = &line;
    int rc = 0;
    for (size_t i = 0; i < in->count && rc == 0; i++)
        rc = pack_file(p, &in->list[i], err);
    ebb_progress_end(&line);
    return rc < 0 ? rc : ebb_container_finish(p->writer, err);
}

static int pack_all(const struct ebb_pack_inputs *in, struct ebb_packer_options *o,
                    struct ebb_error *err)
{
    EBB_AUTO(ebb_new_file_clean_up) struct ebb_new_file out = {0};
    EBB_AUTO(ebb_packed_file_close) struct ebb_packed_file before = {0};
    int rc = append && ebb_file_exists(out_path) ? ebb_packed_file_open(out_path, &before, err) : 0;
    if (rc == 0)
        rc = check_append(&before, in, err);
    if (rc == 0)
        rc = ebb_new_file_create(out_path, force || append, &out, err);
    if (rc < 0)
        return rc;
    EBB_AUTO(ebb_auto_container_writer)
    struct ebb_container_writer *w = ebb_container_writer_new(ebb_new_file_sink(&out));
    struct packing p = {
        .writer = w, .out = &out, .before = before.container, .o = o, .count = in->count};
    rc = pack_inputs(&p, in, err);
    return rc < 0 ? rc : ebb_new_file_publish(&out, 0644, 0, err);
}

static int print_packed(double seconds)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_packed_file_close) struct ebb_packed_file p = {0};
    if (ebb_packed_file_open(out_path, &p, &err) < 0)
        return ebb_packed_fail(&err);
    uint64_t raw = 0;
    for (size_t i = 0; i < p.container->count; i++)
        raw += p.container->entries[i].is_lossy ? p.container->entries[i].source_bytes
                                                : p.container->entries[i].size_bytes;
    if (as_json) {
        json_t *v = ebb_json_new("pack");
        (void)json_object_set_new(v, "path", json_string(out_path));
        (void)json_object_set_new(v, "size_bytes", json_integer((json_int_t)raw));
        (void)json_object_set_new(v, "packed_bytes", json_integer((json_int_t)p.bytes.size_bytes));
        (void)json_object_set_new(v, "seconds", json_real(seconds));
        (void)json_object_set_new(v, "files", entries_json(p.container));
        return ebb_json_print(v);
    }
    char a[EBB_QUANTITY_TEXT_SIZE], b[EBB_QUANTITY_TEXT_SIZE], c[EBB_QUANTITY_TEXT_SIZE],
        d[EBB_QUANTITY_TEXT_SIZE];
    print_table(p.container);
    (void)printf("%s: %s from %s (ratio %.3f) in %s, %s/s\n", out_path,
                 ebb_format_size(p.bytes.size_bytes, a), ebb_format_size(raw, b),
                 (double)raw / (double)p.bytes.size_bytes, ebb_format_duration(seconds, c),
                 ebb_format_size((uint64_t)((double)raw / seconds), d));
    return 0;
}

static int read_options(struct ebb_packer_options *o, struct ebb_error *err)
{
    *o = (struct ebb_packer_options){
        .level = strcmp(level, "small") == 0 ? EBB_PACK_SMALL : EBB_PACK_FAST,
        .threads = ebb_packed_threads(threads),
        .group_frames = (uint32_t)group_frames,
        .verify_every = (uint32_t)verify_sample,
    };
    if (out_path == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "say where to: ebb pack FILE... -o OUT.ebbp");
    if (dtype != NULL && shape == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "--dtype goes with --shape");
    int rc = error_text != NULL ? ebb_pack_parse_error(error_text, o, err) : 0;
    return rc < 0 || shape == NULL ? rc : ebb_pack_parse_shape(shape, dtype, o, err);
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    ebb_memory_keep();
    if (show_info != run_verify && argc == 1)
        return show_info ? info(argv[0]) : verify(argv[0]);
    struct ebb_packer_options o;
    int rc =
        show_info && run_verify   ? ebb_error_set(&err, EBB_ERR_INPUT, "one of --info and --verify")
        : show_info || run_verify ? ebb_error_set(&err, EBB_ERR_INPUT, "--%s takes one packed file",
                                                  show_info ? "info" : "verify")
                                  : read_options(&o, &err);
    int64_t begin_ns = ebb_now_ns(NULL);
    EBB_AUTO(ebb_pack_inputs_clean_up) struct ebb_pack_inputs in = {0};
    if (rc == 0)
        rc = ebb_pack_inputs_find(argv, argc, out_path, &in, &err);
    if (rc == 0)
        rc = pack_all(&in, &o, &err);
    if (rc < 0)
        return ebb_packed_fail(&err);
    return print_packed((double)(ebb_now_ns(NULL) - begin_ns) / (double)EBB_NS_PER_S);
}

static const char *const levels[] = {"fast", "small", NULL};

static const struct ebb_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = EBB_OPTION_TEXT,
     .target = &out_path,
     .value = "FILE",
     .help = "The packed file to write."},
    {.name = "error",
     .kind = EBB_OPTION_TEXT,
     .target = &error_text,
     .value = "LENGTH",
     .help = "Quantise trajectories: every coordinate within LENGTH of what it was, such as "
             "0.0005nm, 0.005A, 0.5pm, or a bare number in the file's own unit. Without it all "
             "files come back byte for byte."},
    {.name = "base",
     .kind = EBB_OPTION_TEXT,
     .target = &base_path,
     .value = "FILE",
     .help = "Pack tensors as changes to those of the same name in this file: a packed file, a "
             "plain one, or a folder with files of the same names; restart state over the frame of "
             "its step in a trajectory there. With --verify: where the base is now."},
    {.name = "level",
     .kind = EBB_OPTION_CHOICE,
     .target = &level,
     .choices = levels,
     .value = "LEVEL",
     .help = "fast, or small: more time for less space."},
    {.name = "group",
     .kind = EBB_OPTION_INT,
     .target = &group_frames,
     .least = 1,
     .most = 100,
     .value = "FRAMES",
     .help = "A reader can start every so many frames, 1 to 100 (100)."},
    {.name = "shape",
     .kind = EBB_OPTION_TEXT,
     .target = &shape,
     .value = "N,3",
     .help = "A file that is no known format is an array of this shape, or many of them, one "
             "after another."},
    {.name = "dtype",
     .kind = EBB_OPTION_TEXT,
     .target = &dtype,
     .value = "TYPE",
     .help = "Its elements: f32 (when not given), f64, f16, bf16, i32, u8 and so on."},
    {.name = "threads",
     .kind = EBB_OPTION_INT,
     .target = &threads,
     .least = 1,
     .most = INT64_MAX,
     .value = "N",
     .help = "One a processor when not given."},
    {.name = "verify-sample",
     .kind = EBB_OPTION_INT,
     .target = &verify_sample,
     .least = 1,
     .most = 1000000,
     .value = "N",
     .help = "Decode one part in N again before the packed file is trusted (1: all)."},
    {.name = "force",
     .kind = EBB_OPTION_FLAG,
     .target = &force,
     .help = "Replace the packed file when it is there."},
    {.name = "append",
     .kind = EBB_OPTION_FLAG,
     .target = &append,
     .help = "Files that were packed before and have grown: only what is new is packed, the rest "
             "taken over."},
    {.name = "info",
     .kind = EBB_OPTION_FLAG,
     .target = &show_info,
     .help = "Show what is in a packed file."},
    {.name = "verify",
     .kind = EBB_OPTION_FLAG,
     .target = &run_verify,
     .help = "Read a packed file whole, unpack every file in it and check every hash."},
    {.name = "json", .kind = EBB_OPTION_FLAG, .target = &as_json, .help = "Print one JSON value."},
    {0},
};

const struct ebb_command ebb_command_pack = {
    .name = "pack",
    .arguments = "FILE|FOLDER...",
    .summary = "Make trajectories, restart state and weights small",
    .details =
        "Writes one packed file that 'ebb unpack' takes apart again, byte for byte unless --error "
        "allows more. What each file is is told by its content: GROMACS XTC, TRR and CPT, DCD, "
        "LAMMPS dumps and restarts, safetensors, PyTorch, NumPy; anything else goes through "
        "zstd. Of a folder all files below it are packed; symbolic links are not.\n\n"
        "Restart state (CPT, TRR) that is packed together with a trajectory of the same atoms, or "
        "with one as --base, is refined against the trajectory's frame of the same step.\n\n"
        "Every part is decoded again and compared before the packed file gets its name. "
        "Exit status: 0, 1 when a packed file is damaged, 2 for bad use.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .run = run,
};
