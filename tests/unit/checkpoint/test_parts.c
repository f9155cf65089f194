/* Chunks of files that are recognised: trajectories grow by groups of frames, tensors are arrays,
 * or changes to those of the checkpoint before; all of it comes back byte for byte, and an older
 * program is told.
 *
 *     EBB_GOLDEN_WRITE=tests/golden/checkpoint-v1-parts
 * build/tests/unit/checkpoint/checkpoint_parts
 *
 * writes a new golden repository (those committed are never rewritten). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/format.h"
#include "job_files.h"
#include "tests/unit/pack/sample_files.h"

#define GOLDEN EBB_SOURCE_DIR "/tests/golden/checkpoint-v1-parts"

struct parts {
    struct job_dir store_dir, work, back;
    struct ebb_object_store *store;
    struct ebb_lineage *l;
    struct ebb_commit_file files[4];
    size_t count;
    bool deltas;
};

static struct ebb_object_store *open_directory(const char *path)
{
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s", path);
    struct ebb_object_store *store = NULL;
    struct ebb_error err = {0};
    if (ebb_object_store_open(url, NULL, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

static int set_up(void **state)
{
    struct parts *p = ebb_alloc(sizeof *p);
    job_dir_make(&p->store_dir);
    job_dir_make(&p->work);
    job_dir_make(&p->back);
    p->store = open_directory(p->store_dir.path);
    p->l = job_open_and_claim(p->store, 1);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct parts *p = *state;
    ebb_lineage_destroy(p->l);
    ebb_object_store_destroy(p->store);
    job_dir_remove(&p->store_dir);
    job_dir_remove(&p->work);
    job_dir_remove(&p->back);
    free(p);
    return 0;
}

static void put_file(const struct parts *p, const char *name, const void *data, size_t len)
{
    EBB_AUTO_FREE char *path = ebb_path_join(p->work.path, name);
    assert_int_equal(ebb_file_write_atomic(path, data, len, 0644, NULL), 0);
}

static void add(struct parts *p, const char *name, Ebb__FileEntry__Kind kind)
{
    p->files[p->count++] =
        (struct ebb_commit_file){.path = name, .kind = kind, .length_bytes = UINT64_MAX};
}

static uint64_t commit(struct parts *p)
{
    struct ebb_commit_request q = {.directory = p->work.path,
                                   .files = p->files,
                                   .file_count = p->count,
                                   .step = -1,
                                   .total_steps = -1,
                                   .deltas = p->deltas};
    struct ebb_commit_stats s;
    struct ebb_error err = {0};
    if (ebb_lineage_commit(p->l, &q, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s.sent_bytes;
}

static void assert_comes_back(struct parts *p)
{
    struct ebb_lineage *reader = job_open(p->store);
    struct ebb_restore_result r;
    struct ebb_error err = {0};
    if (ebb_lineage_verify(reader, NULL, NULL, NULL, &err) < 0 ||
        ebb_lineage_restore(reader, p->back.path, NULL, 2, &r, &err) < 0)
        fail_msg("%s", err.text);
    assert_false(r.fell_back);
    job_assert_equal(p->work.path, p->back.path);
    ebb_lineage_destroy(reader);
    job_dir_remove(&p->back);
}

static Ebb__Manifest *manifest_of(struct parts *p)
{
    Ebb__Manifest *m = NULL;
    assert_int_equal(ebb_lineage_manifest(p->l, false, &m, NULL), 0);
    return m;
}

static size_t count_codec(const Ebb__FileEntry *f, uint32_t codec)
{
    size_t count = 0;
    for (size_t i = 0; i < f->n_chunks; i++)
        count += f->chunks[i]->codec == codec;
    return count;
}

static void a_growing_trajectory_is_stored_by_groups_of_frames(void **state)
{
    struct parts *p = *state;
    add(p, "traj.xtc", EBB__FILE_ENTRY__KIND__APPEND);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    uint64_t sent = 0;
    sample_xtc(&b, 3000, 40, 1000);
    size_t frame = b.len / 40;
    for (size_t frames = 10; frames <= 40; frames += 10) {
        /* The last commit but one ends inside a frame, as one at a notice may. */
        put_file(p, "traj.xtc", b.data, frames * frame - (frames == 30 ? 1000 : 0));
        sent += commit(p);
        assert_comes_back(p);
    }
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = manifest_of(p);
    assert_int_equal(m->required_features, EBB_FEATURE_PARTS);
    assert_true(count_codec(m->files[0], EBB_CODEC_PART) >= 4);
    assert_true(sent < b.len * 9 / 10);
}

static void trajectories_longer_than_a_pack_come_back(void **state)
{
    struct parts *p = *state;
    add(p, "traj.xtc", EBB__FILE_ENTRY__KIND__APPEND);
    add(p, "md.trr", EBB__FILE_ENTRY__KIND__APPEND);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer x = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer t = {0};
    sample_xtc(&x, 20000, 120, 1000);
    sample_trr(&t, 20000, 8);
    assert_true(x.len > 9u << 20);
    put_file(p, "traj.xtc", x.data, x.len);
    put_file(p, "md.trr", t.data, t.len);
    (void)commit(p);
    assert_comes_back(p);
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = manifest_of(p);
    /* A frame at the end of each piece of a pack is cut in two, which are stored as they are. */
    assert_true(count_codec(m->files[0], EBB_CODEC_PART) >= 2);
    assert_int_equal(count_codec(m->files[1], EBB_CODEC_PART), m->files[1]->n_chunks);
}

static void state_of_tensors_is_arrays(void **state)
{
    struct parts *p = *state;
    add(p, "model.safetensors", EBB__FILE_ENTRY__KIND__STATE);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    sample_safetensors(&b, 40000, 0);
    put_file(p, "model.safetensors", b.data, b.len);
    assert_true(commit(p) < b.len * 9 / 10);
    assert_comes_back(p);
}

static unsigned chain_of(const Ebb__FileEntry *f)
{
    unsigned most = 0;
    for (size_t i = 0; i < f->n_chunks; i++) {
        unsigned length = 0;
        for (const Ebb__Chunk *c = f->chunks[i]; c != NULL; c = c->base_chunk)
            length++;
        most = length > most ? length : most;
    }
    return most;
}

static void changed_tensors_are_deltas_whose_bases_are_kept(void **state)
{
    struct parts *p = *state;
    p->deltas = true;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    uint64_t whole = 0;
    for (unsigned step = 0; step < 5; step++) {
        /* A file of another name each time, as trainers write them. */
        EBB_AUTO_FREE char *name = ebb_sprintf("step-%u.safetensors", step);
        job_dir_remove(&p->work);
        assert_int_equal(ebb_mkdir_p(p->work.path, 0755, NULL), 0);
        ebb_buffer_reset(&b);
        sample_safetensors(&b, 40000, step);
        put_file(p, name, b.data, b.len);
        p->count = 0;
        add(p, name, EBB__FILE_ENTRY__KIND__STATE);
        uint64_t sent = commit(p), deleted = 0;
        whole = step == 0 ? sent : whole;
        if (step > 0)
            assert_true(sent < whole * 3 / 4);
        /* What the head reaches includes the bases. */
        assert_int_equal(ebb_lineage_collect(p->l, 0, &deleted, NULL), 0);
        assert_comes_back(p);
        EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = manifest_of(p);
        assert_int_equal(chain_of(m->files[0]), step == 0 ? 1 : 2);
    }
}

static void a_manifest_with_a_wrong_base_is_refused(void **state)
{
    struct parts *p = *state;
    p->deltas = true;
    add(p, "m.safetensors", EBB__FILE_ENTRY__KIND__STATE);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    for (unsigned step = 0; step < 2; step++) {
        ebb_buffer_reset(&b);
        sample_safetensors(&b, 2000, step);
        put_file(p, "m.safetensors", b.data, b.len);
        (void)commit(p);
    }
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = manifest_of(p);
    Ebb__Chunk *c = m->files[0]->chunks[0], *base = c->base_chunk;
    assert_non_null(base);
    assert_int_equal(ebb_manifest_check(m, NULL), 0);
    base->raw_bytes++;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    base->raw_bytes--;
    base->pack = 77;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    base->pack = c->pack;
    base->base_chunk = base; /* for ever */
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    base->base_chunk = NULL;
    m->required_features = 0;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    m->required_features = 2;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_UNSUPPORTED);
}

/* ---- golden ---- */

static void write_golden(struct parts *p, const char *golden)
{
    EBB_AUTO_FREE char *store_path = ebb_path_join(golden, "store");
    EBB_AUTO_FREE char *expected = ebb_path_join(golden, "expected-current");
    EBB_AUTO_FREE char *before = ebb_path_join(golden, "expected-previous");
    assert_int_equal(ebb_mkdir_p(store_path, 0755, NULL), 0);
    struct ebb_object_store *store = open_directory(store_path);
    ebb_lineage_destroy(p->l);
    p->l = job_open_and_claim(store, 3);
    p->deltas = true;
    add(p, "traj.xtc", EBB__FILE_ENTRY__KIND__APPEND);
    add(p, "model.safetensors", EBB__FILE_ENTRY__KIND__STATE);
    add(p, "notes.txt", EBB__FILE_ENTRY__KIND__STATE);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer x = {0};
    sample_xtc(&x, 200, 12, 1000);
    for (unsigned step = 0; step < 3; step++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer s = {0};
        sample_safetensors(&s, 100, step);
        put_file(p, "traj.xtc", x.data, x.len / 12 * (4 * step + 4));
        put_file(p, "model.safetensors", s.data, s.len);
        put_file(p, "notes.txt", "plain text, plain text, plain text\n", 35);
        (void)commit(p);
        EBB_AUTO_FREE char *digest = job_digest(p->work.path);
        assert_int_equal(ebb_file_write_atomic(step == 1 ? before : expected, digest,
                                               strlen(digest), 0644, NULL),
                         0);
    }
    uint64_t deleted;
    assert_int_equal(ebb_lineage_collect(p->l, 0, &deleted, NULL), 0);
    ebb_lineage_destroy(p->l);
    p->l = NULL;
    ebb_object_store_destroy(store);
}

static int copy_one(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    EBB_AUTO_FREE char *target = ebb_path_join(ctx, relative);
    EBB_AUTO_FREE char *parent = ebb_strndup(target, (size_t)(strrchr(target, '/') - target));
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(ebb_mkdir_p(parent, 0755, err), 0);
    assert_int_equal(ebb_file_read(path, 1u << 20, &b, err), 0);
    return ebb_file_write_atomic(target, b.data, b.len, 0644, err);
}

static void the_golden_repository_of_parts_comes_back(void **state)
{
    struct parts *p = *state;
    if (getenv("EBB_GOLDEN_WRITE") != NULL) {
        write_golden(p, getenv("EBB_GOLDEN_WRITE"));
        return;
    }
    /* A copy: a store may leave its locks where it is opened. */
    assert_int_equal(ebb_walk(GOLDEN "/store", copy_one, p->store_dir.path, NULL), 0);
    struct ebb_lineage *l = job_open(p->store);
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer want = {0};
    if (ebb_lineage_verify(l, NULL, NULL, NULL, &err) < 0 ||
        ebb_lineage_restore(l, p->back.path, NULL, 1, NULL, &err) < 0)
        fail_msg("%s", err.text);
    EBB_AUTO_FREE char *have = job_digest(p->back.path);
    assert_int_equal(ebb_file_read(GOLDEN "/expected-current", 1u << 20, &want, NULL), 0);
    assert_string_equal(have, ebb_buffer_text(&want));
    ebb_lineage_destroy(l);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_growing_trajectory_is_stored_by_groups_of_frames),
        T(trajectories_longer_than_a_pack_come_back),
        T(state_of_tensors_is_arrays),
        T(changed_tensors_are_deltas_whose_bases_are_kept),
        T(a_manifest_with_a_wrong_base_is_refused),
        T(the_golden_repository_of_parts_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
