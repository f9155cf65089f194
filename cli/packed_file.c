/* Packed files by path. A base is looked for beside the packed file that names it; what is found is
 * held to its SHA-256, so a wrong one is refused before anything is unpacked. */
#include "cli/packed_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "pack/trajectory.h"

int ebb_packed_file_open(const char *path, struct ebb_packed_file *ret, struct ebb_error *err)
{
    int rc = ebb_file_bytes_open(path, &ret->file, err);
    if (rc < 0)
        return rc;
    ret->bytes = ebb_file_bytes_of(&ret->file);
    rc = ebb_container_open(&ret->bytes, &ret->container, err);
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", path) : 0;
}

void ebb_packed_file_close(struct ebb_packed_file *p)
{
    ebb_container_destroy(p->container);
    ebb_file_bytes_close(&p->file);
    *p = (struct ebb_packed_file){0};
}

/* ---- bases ---- */

void ebb_base_close(struct ebb_base *b)
{
    if (b == NULL)
        return;
    ebb_entry_view_destroy(b->view);
    ebb_packed_file_close(&b->packed);
    ebb_base_close(b->below);
    free(b->name);
    free(b->anchors);
    free(b);
}

static int is_packed(struct ebb_packed_file *p, bool *ret, struct ebb_error *err)
{
    uint8_t head[EBB_CONTAINER_MAGIC_BYTES];
    if (p->bytes.size_bytes < sizeof head) {
        *ret = false;
        return 0;
    }
    int rc = ebb_bytes_read(&p->bytes, 0, head, sizeof head, err);
    if (rc == 0)
        *ret = ebb_container_recognise(head, sizeof head);
    return rc;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static const struct ebb_packed_entry *choose_entry(const struct ebb_container *c, const char *name,
                                                   bool any)
{
    const struct ebb_packed_entry *e = ebb_container_find(c, name);
    for (size_t i = 0; e == NULL && any && i < c->count; i++)
        if (strcmp(last_component(c->entries[i].name), last_component(name)) == 0)
            e = &c->entries[i];
    return e == NULL && any && c->count == 1 ? &c->entries[0] : e;
}

static void set_anchors(struct ebb_base *b, const struct ebb_packed_entry *e)
{
    b->anchors = ebb_alloc_array(e->part_count + 1, sizeof *b->anchors);
    for (size_t i = 0; i < e->part_count; i++)
        if (e->parts[i].frames > 0)
            b->anchors[b->anchor_count++] = e->parts[i].file_offset;
}

static void set_content(struct ebb_base *b, const struct ebb_container *c,
                        const struct ebb_packed_entry *e)
{
    b->view = ebb_entry_view_new(c, e, b->below != NULL ? &b->below->bytes : NULL);
    b->bytes = ebb_entry_view_bytes(b->view);
    b->name = ebb_strdup(e->name);
    b->chain_length = e->chain_length;
    memcpy(b->sha256, e->sha256, sizeof b->sha256);
    set_anchors(b, e);
}

/* Takes the entry for the content of `b`, with the base that it names. Chains get shorter with
 * every step, so that one which goes in a circle is refused before it is followed. */
static int use_entry(struct ebb_base *b, const struct ebb_packed_entry *e, uint32_t chain_limit,
                     struct ebb_error *err)
{
    if (e->chain_length >= chain_limit)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s: its chain of bases does not end", e->name);
    int rc = ebb_base_open_of(b->packed.file.path, e, NULL, &b->below, err);
    if (rc < 0)
        return rc;
    set_content(b, b->packed.container, e);
    return 0;
}

static int use_file(struct ebb_base *b, struct ebb_error *err)
{
    b->bytes = b->packed.bytes;
    b->name = ebb_strdup("");
    return ebb_sha256_file(b->packed.file.path, b->sha256, NULL, err);
}

/* `any`: another name will do where there is but one. *ret_found false: no such entry. */
static int open_content(const char *path, const char *name, bool any, uint32_t chain_limit,
                        struct ebb_base *b, bool *ret_found, struct ebb_error *err)
{
    int rc = ebb_file_bytes_open(path, &b->packed.file, err);
    if (rc < 0)
        return rc;
    b->packed.bytes = ebb_file_bytes_of(&b->packed.file);
    bool packed = false;
    *ret_found = true;
    rc = is_packed(&b->packed, &packed, err);
    if (rc == 0 && !packed)
        return use_file(b, err);
    if (rc == 0)
        rc = ebb_container_open(&b->packed.bytes, &b->packed.container, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "%s", path);
    const struct ebb_packed_entry *e = choose_entry(b->packed.container, name, any);
    *ret_found = e != NULL;
    return e != NULL ? use_entry(b, e, chain_limit, err) : 0;
}

int ebb_base_open_for(const char *path, const char *name, bool is_only_file, struct ebb_base **ret,
                      struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_base) struct ebb_base *b = ebb_alloc(sizeof *b);
    struct stat st;
    EBB_AUTO_FREE char *inside = ebb_path_join(path, last_component(name));
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    bool found = !is_folder || ebb_file_exists(inside);
    int rc = 0;
    if (found)
        rc =
            open_content(is_folder ? inside : path, name, is_only_file, UINT32_MAX, b, &found, err);
    if (rc == 0 && found && !is_folder && !is_only_file && b->packed.container == NULL)
        found = strcmp(last_component(path), last_component(name)) == 0;
    if (rc < 0)
        return ebb_error_wrap(err, rc, "--base");
    *ret = found ? EBB_TAKE(b) : NULL;
    return 0;
}

/* ---- a trajectory for restart state ---- */

static bool is_trajectory(const struct ebb_packed_entry *e)
{
    return e->kind != NULL && (strcmp(e->kind, "xtc") == 0 || strcmp(e->kind, "trr") == 0);
}

struct search {
    uint64_t atoms;
    int64_t step;
    struct ebb_base *best; /* owned */
    bool is_same;          /* it has the very step */
};

/* Takes `b` when it is better than what there is, else closes it. */
static void consider(struct search *s, struct ebb_base *b)
{
    EBB_AUTO(ebb_auto_trajectory)
    struct ebb_trajectory *t = ebb_trajectory_new(&b->bytes, b->anchors, b->anchor_count);
    struct ebb_frame_ref frame;
    bool is_same = false;
    /* What cannot be read now is no help. */
    bool found =
        t != NULL && ebb_trajectory_find(t, s->atoms, s->step, &frame, &is_same, NULL) == 1;
    if (!found || (s->best != NULL && (s->is_same || !is_same))) {
        ebb_base_close(b);
        return;
    }
    ebb_base_close(s->best);
    s->best = b;
    s->is_same = is_same;
}

/* Entries that are themselves packed over another are left out: this one's parts would have to be
 * read by way of two. */
static void search_written(struct search *s, const struct ebb_container *written)
{
    for (size_t i = 0; written != NULL && i < written->count; i++) {
        const struct ebb_packed_entry *e = &written->entries[i];
        if (!is_trajectory(e) || e->chain_length > 0)
            continue;
        struct ebb_base *b = ebb_alloc(sizeof *b);
        b->written = *written;
        set_content(b, &b->written, e);
        consider(s, b);
    }
}

static int search_entry(struct search *s, const char *path, const char *name, struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_base) struct ebb_base *b = ebb_alloc(sizeof *b);
    bool found = false;
    int rc = open_content(path, name, false, UINT32_MAX, b, &found, err);
    if (rc == 0 && found)
        consider(s, EBB_TAKE(b));
    return rc;
}

static int search_file(struct search *s, const char *path, struct ebb_error *err)
{
    EBB_AUTO(ebb_packed_file_close) struct ebb_packed_file p = {0};
    bool packed = false;
    int rc = ebb_file_bytes_open(path, &p.file, err);
    if (rc < 0)
        return rc;
    p.bytes = ebb_file_bytes_of(&p.file);
    rc = is_packed(&p, &packed, err);
    if (rc == 0 && !packed)
        return search_entry(s, path, "", err);
    if (rc == 0)
        rc = ebb_container_open(&p.bytes, &p.container, err);
    for (size_t i = 0; rc == 0 && i < p.container->count; i++)
        if (is_trajectory(&p.container->entries[i]))
            rc = search_entry(s, path, p.container->entries[i].name, err);
    return rc;
}

int ebb_base_open_trajectory(const char *path, const struct ebb_container *written, uint64_t atoms,
                             int64_t step, struct ebb_base **ret, struct ebb_error *err)
{
    struct search s = {.atoms = atoms, .step = step};
    struct stat st;
    search_written(&s, written);
    int rc = 0;
    if (!s.is_same && path != NULL && !(stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        rc = search_file(&s, path, err);
    if (rc < 0) {
        ebb_base_close(s.best);
        return ebb_error_wrap(err, rc, "--base");
    }
    *ret = s.best;
    return 0;
}

/* ---- what an entry names ---- */

/* An entry that names no file has its base beside it in its own. */
static bool is_own_base(const struct ebb_packed_entry *e)
{
    return e->base_file == NULL && e->base_name != NULL;
}

static char *base_path(const char *packed_path, const struct ebb_packed_entry *e,
                       const char *override)
{
    if (is_own_base(e))
        return ebb_strdup(packed_path);
    if (override != NULL)
        return ebb_strdup(override);
    if (e->base_file == NULL || !ebb_path_is_contained(e->base_file))
        return NULL;
    const char *slash = strrchr(packed_path, '/');
    EBB_AUTO_FREE char *folder = slash == NULL
                                     ? ebb_strdup(".")
                                     : ebb_strndup(packed_path, (size_t)(slash - packed_path) + 1);
    return ebb_path_join(folder, e->base_file);
}

int ebb_base_open_of(const char *packed_path, const struct ebb_packed_entry *e,
                     const char *override, struct ebb_base **ret, struct ebb_error *err)
{
    if (e->chain_length == 0) {
        *ret = NULL;
        return 0;
    }
    EBB_AUTO_FREE char *path = base_path(packed_path, e, override);
    if (path == NULL || !ebb_file_exists(path))
        return ebb_error_set(err, EBB_ERR_NOT_FOUND,
                             "%s is packed as changes to %s, which is not beside it: say where it "
                             "is with --base",
                             e->name, e->base_file != NULL ? e->base_file : "another file");
    EBB_AUTO(ebb_auto_base) struct ebb_base *b = ebb_alloc(sizeof *b);
    bool found = false;
    int rc = open_content(path, e->base_name != NULL ? e->base_name : e->name, false,
                          e->chain_length, b, &found, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "the base of %s", e->name);
    if (!found || memcmp(b->sha256, e->base_sha256, sizeof b->sha256) != 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s is packed as changes to another content than %s has", e->name,
                             path);
    *ret = EBB_TAKE(b);
    return 0;
}

/* ---- what is printed ---- */

enum { PLAIN_LINE_S = 30 };

static void report_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct ebb_progress_line *l = ctx;
    int64_t now = ebb_now_ns(NULL);
    l->file_bytes = total;
    if (now < l->next_ns)
        return;
    l->next_ns = now + (l->is_terminal ? EBB_NS_PER_S / 4 : PLAIN_LINE_S * EBB_NS_PER_S);
    char a[EBB_QUANTITY_TEXT_SIZE], b[EBB_QUANTITY_TEXT_SIZE], c[EBB_QUANTITY_TEXT_SIZE],
        d[EBB_QUANTITY_TEXT_SIZE];
    double seconds = (double)(now - l->begin_ns) / (double)EBB_NS_PER_S;
    uint64_t bytes = l->before_bytes + done;
    double rate = (double)bytes / seconds;
    double left = rate > 0 && l->total_bytes > bytes ? (double)(l->total_bytes - bytes) / rate : 0;
    (void)fprintf(stderr, "%s%s %s, %zu of %zu: %s of %s, %s/s, %s left%s",
                  l->is_terminal ? "\r\033[K" : "", l->verb, l->name, l->file, l->files,
                  ebb_format_size(bytes, a), ebb_format_size(l->total_bytes, b),
                  ebb_format_size((uint64_t)rate, c), ebb_format_duration(left, d),
                  l->is_terminal ? "" : "\n");
    l->is_shown = l->is_terminal;
    (void)fflush(stderr);
}

void ebb_progress_begin(struct ebb_progress_line *l, const char *verb, size_t files,
                        uint64_t total_bytes)
{
    int64_t now = ebb_now_ns(NULL);
    bool is_terminal = isatty(STDERR_FILENO);
    *l = (struct ebb_progress_line){
        .verb = verb,
        .name = "",
        .files = files,
        .total_bytes = total_bytes,
        .begin_ns = now,
        .next_ns = now + (is_terminal ? EBB_NS_PER_S / 2 : PLAIN_LINE_S * EBB_NS_PER_S),
        .is_terminal = is_terminal};
}

struct ebb_pack_progress ebb_progress_next(struct ebb_progress_line *l, const char *name)
{
    l->before_bytes += l->file_bytes;
    l->file_bytes = 0;
    l->file++;
    l->name = name;
    return (struct ebb_pack_progress){.report = report_progress, .ctx = l};
}

void ebb_progress_end(struct ebb_progress_line *l)
{
    if (l->is_shown)
        (void)fprintf(stderr, "\r\033[K");
    l->is_shown = false;
}

uint64_t ebb_packed_bytes_of(const struct ebb_container *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->count; i++)
        sum += c->entries[i].size_bytes;
    return sum;
}

const char *ebb_packed_entry_codec(const struct ebb_packed_entry *e)
{
    uint64_t bytes[EBB_PART_CODECS + 1] = {0};
    uint32_t most = e->part_count == 0 ? EBB_PART_STORED : EBB_PART_CODECS;
    for (size_t i = 0; i < e->part_count; i++) {
        uint32_t codec = e->parts[i].codec < EBB_PART_CODECS ? e->parts[i].codec : EBB_PART_CODECS;
        bytes[codec] += e->parts[i].raw_bytes;
        most = bytes[codec] >= bytes[most] ? codec : most;
    }
    return ebb_part_codec_name(most);
}

static double ratio_of(const struct ebb_packed_entry *e)
{
    uint64_t packed = ebb_packed_entry_packed_bytes(e);
    uint64_t raw = e->is_lossy ? e->source_bytes : e->size_bytes;
    return packed == 0 ? 1 : (double)raw / (double)packed;
}

json_t *ebb_packed_entry_json(const struct ebb_packed_entry *e)
{
    char sha[EBB_SHA256_HEX_SIZE];
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:f, s:I, s:I, s:s, s:b}", "name", e->name, "kind",
        e->kind != NULL ? e->kind : "", "codec", ebb_packed_entry_codec(e), "size_bytes",
        (json_int_t)e->size_bytes, "packed_bytes", (json_int_t)ebb_packed_entry_packed_bytes(e),
        "ratio", ratio_of(e), "parts", (json_int_t)e->part_count, "frames", (json_int_t)e->frames,
        "sha256", ebb_hex(e->sha256, sizeof e->sha256, sha), "complete", e->is_complete);
    if (e->is_lossy) {
        (void)json_object_set_new(o, "error", json_real(e->error));
        (void)json_object_set_new(o, "unit", json_string(e->unit != NULL ? e->unit : ""));
        (void)json_object_set_new(o, "source_bytes", json_integer((json_int_t)e->source_bytes));
        (void)json_object_set_new(o, "source_sha256",
                                  json_string(ebb_hex(e->source_sha256, EBB_SHA256_SIZE, sha)));
    }
    if (e->chain_length > 0) {
        (void)json_object_set_new(o, "base_file",
                                  json_string(e->base_file != NULL ? e->base_file : ""));
        (void)json_object_set_new(o, "base_name",
                                  json_string(e->base_name != NULL ? e->base_name : ""));
        (void)json_object_set_new(o, "base_sha256",
                                  json_string(ebb_hex(e->base_sha256, EBB_SHA256_SIZE, sha)));
        (void)json_object_set_new(o, "chain_length", json_integer(e->chain_length));
    }
    return o;
}

struct ebb_table *ebb_packed_table_new(void)
{
    return ebb_table_new("*FILE\tKIND\tCODEC\t>SIZE\t>PACKED\t>RATIO\tBOUND\t>FRAMES\tBASE");
}

void ebb_packed_table_add(struct ebb_table *t, const struct ebb_packed_entry *e)
{
    char size[EBB_QUANTITY_TEXT_SIZE], packed[EBB_QUANTITY_TEXT_SIZE];
    char bound[40] = "lossless", frames[24] = "";
    if (e->is_lossy)
        (void)snprintf(bound, sizeof bound, "%g %s", e->error, e->unit != NULL ? e->unit : "");
    if (e->frames > 0)
        (void)snprintf(frames, sizeof frames, "%llu", (unsigned long long)e->frames);
    ebb_table_row(t, "%s%s\t%s\t%s\t%s\t%s\t%.3f\t%s\t%s\t%s", e->name,
                  e->is_complete ? "" : " (cut off)", e->kind != NULL ? e->kind : "",
                  ebb_packed_entry_codec(e), ebb_format_size(e->size_bytes, size),
                  ebb_format_size(ebb_packed_entry_packed_bytes(e), packed), ratio_of(e), bound,
                  frames,
                  e->chain_length == 0   ? ""
                  : e->base_file != NULL ? e->base_file
                  : e->base_name != NULL ? e->base_name
                                         : "?");
}

int ebb_packed_fail(const struct ebb_error *err)
{
    int status = ebb_command_fail(err);
    return err->code == EBB_ERR_CORRUPT ? 1 : status;
}

unsigned ebb_packed_threads(int64_t asked)
{
    long n = asked > 0 ? (long)asked : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 16 ? 16 : (unsigned)n;
}
