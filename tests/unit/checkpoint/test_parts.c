/* Chunks of files that are recognised: trajectories grow by groups of frames, tensors are arrays,
 * or changes to those of the checkpoint before; all of it comes back byte for byte, and an older
 * program is told.
 *
 *     EBB_GOLDEN_WRITE=tests/golden/checkpoint-v1-bases
 * build/tests/unit/checkpoint/checkpoint_parts
 *
 * writes a new golden repository (those committed are never rewritten; checkpoint-v1-parts is of
 * the time before bases could have another length). */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/format.h"
#include "checkpoint/packed_output.h"
#include "job_files.h"
#include "tests/unit/pack/sample_files.h"

static const char *const goldens[] = {EBB_SOURCE_DIR "/tests/golden/checkpoint-v1-parts",
                                      EBB_SOURCE_DIR "/tests/golden/checkpoint-v1-bases"};

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

static float noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(*state >> 40) / 16777216.0f - 0.5f;
}

/* Rows of three tensors of f32 in any order, with a header like that of safetensors. */
static void put_tensors(struct ebb_buffer *out, const char *order, const unsigned rows[26],
                        unsigned step)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer head = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer data = {0};
    for (const char *t = order; *t != '\0'; t++) {
        size_t begin = data.len;
        uint64_t seed = (uint64_t)*t, change = 1000 * step + (uint64_t)*t;
        for (unsigned i = 0; i < rows[*t - 'a'] * 64; i++) {
            float x = 0.05f * noise(&seed) * (1 + 1e-4f * (float)step * noise(&change));
            ebb_buffer_append(&data, &x, sizeof x);
        }
        ebb_buffer_printf(
            &head, "%s\"%c\":{\"dtype\":\"F32\",\"shape\":[%u,64],\"data_offsets\":[%zu,%zu]}",
            t == order ? "{" : ",", *t, rows[*t - 'a'], begin, data.len);
    }
    ebb_buffer_append(&head, "}", 1);
    uint64_t len = head.len; /* little-endian, as the machines that run this */
    ebb_buffer_append(out, &len, 8);
    ebb_buffer_append(out, head.data, head.len);
    ebb_buffer_append(out, data.data, data.len);
}

static void reordered_and_grown_tensors_are_deltas_by_their_names(void **state)
{
    struct parts *p = *state;
    p->deltas = true;
    add(p, "model.safetensors", EBB__FILE_ENTRY__KIND__STATE);
    static const struct {
        const char *order;
        unsigned more; /* rows of c */
    } steps[] = {{"abc", 0}, {"cab", 0}, {"bdac", 300}, {"abcd", 300}};
    uint64_t first = 0;
    for (unsigned step = 0; step < EBB_ARRAY_LEN(steps); step++) {
        unsigned rows[26] = {5000, 3001, 4000 + steps[step].more, 500};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_tensors(&b, steps[step].order, rows, step);
        put_file(p, "model.safetensors", b.data, b.len);
        uint64_t sent = commit(p), deleted = 0;
        first = step == 0 ? sent : first;
        if (step > 0 && sent * 100 > first * 80)
            fail_msg("step %u: %llu bytes of %llu", step, (unsigned long long)sent,
                     (unsigned long long)first);
        assert_int_equal(ebb_lineage_collect(p->l, 0, &deleted, NULL), 0);
        assert_comes_back(p);
        /* After a restore what is on disk is known as well. */
        if (step == 1) {
            ebb_lineage_destroy(p->l);
            p->l = job_open_and_claim(p->store, 2);
            job_dir_remove(&p->work);
            assert_int_equal(ebb_lineage_restore(p->l, p->work.path, NULL, 2, NULL, NULL), 0);
        }
    }
}

static const Ebb__FileEntry *entry_of(const Ebb__Manifest *m, const char *path)
{
    for (size_t i = 0; i + 1 < m->n_files; i++)
        if (strcmp(m->files[i]->path, path) == 0)
            return m->files[i];
    return m->files[m->n_files - 1];
}

/* Chunks of the file that are packed against one of the trajectory. */
static size_t chunks_over(const Ebb__Manifest *m, const char *path, const char *trajectory)
{
    const Ebb__FileEntry *state = entry_of(m, path), *traj = entry_of(m, trajectory);
    size_t count = 0;
    for (size_t i = 0; i < state->n_chunks; i++)
        for (size_t k = 0; state->chunks[i]->base_chunk != NULL && k < traj->n_chunks; k++)
            count += memcmp(state->chunks[i]->base_chunk->sha256.data, traj->chunks[k]->sha256.data,
                            EBB_SHA256_SIZE) == 0;
    return count;
}

static void restart_state_is_stored_over_the_frame_of_its_step(void **state)
{
    struct parts *p = *state;
    /* The state is named first: the trajectory is packed before it all the same. */
    add(p, "state.trr", EBB__FILE_ENTRY__KIND__STATE);
    add(p, "traj.xtc", EBB__FILE_ENTRY__KIND__APPEND);
    add(p, "other.xtc", EBB__FILE_ENTRY__KIND__APPEND);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer other = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer before = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer x = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer s = {0};
    sample_xtc(&other, 100, 3, 1000);
    sample_waters_xtc(&before, 2000, 1, -10, 0);
    sample_waters(&s, 2000);
    put_file(p, "other.xtc", other.data, other.len);
    put_file(p, "traj.xtc", before.data, before.len);
    put_file(p, "state.trr", "not yet", 7);
    (void)commit(p);
    /* The frame of step 0 is new in this commit, and in the next one it is there already. */
    ebb_buffer_append(&x, before.data, before.len);
    sample_waters_xtc(&x, 2000, 2, 0, 0.01f);
    put_file(p, "traj.xtc", x.data, x.len);
    for (unsigned round = 0; round < 2; round++) {
        s.data[s.len - 1] ^= (uint8_t)round; /* another state of the same step */
        put_file(p, "state.trr", s.data, s.len);
        uint64_t sent = commit(p), deleted = 0;
        if (round == 1 && sent * 100 > s.len * 75)
            fail_msg("%llu bytes of %zu", (unsigned long long)sent, s.len);
        EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = manifest_of(p);
        assert_int_equal(chunks_over(m, "state.trr", "traj.xtc"), 1);
        assert_int_equal(m->required_features, EBB_FEATURE_PARTS | EBB_FEATURE_BASES);
        assert_int_equal(ebb_lineage_collect(p->l, 0, &deleted, NULL), 0);
        assert_comes_back(p);
    }
    /* What does not hold the frame's chunk any more is still whole: its pack is kept. */
    p->count = 1;
    s.data[s.len - 2] ^= 1;
    put_file(p, "state.trr", s.data, s.len);
    (void)commit(p);
    uint64_t deleted = 0;
    assert_int_equal(ebb_lineage_collect(p->l, 0, &deleted, NULL), 0);
    assert_int_equal(ebb_lineage_verify(p->l, NULL, NULL, NULL, NULL), 0);
}

static void an_output_within_a_bound_is_restored_as_it_unpacks(void **state)
{
    struct parts *p = *state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_packed_output_clean_up) struct ebb_packed_output packed = {0};
    struct ebb_packing how = {.error = 0.01, .unit = "nm"};
    EBB_AUTO_FREE char *from = ebb_path_join(p->work.path, "md.trr");
    EBB_AUTO_FREE char *to = ebb_path_join(p->back.path, "packed");
    EBB_AUTO_FREE char *notes = ebb_path_join(p->work.path, "notes");
    struct ebb_error err = {0};
    sample_trr(&b, 500, 20);
    put_file(p, "md.trr", b.data, b.len);
    put_file(p, "notes", "text", 4);
    assert_int_equal(ebb_mkdir_p(p->back.path, 0700, NULL), 0);
    assert_int_equal(ebb_output_pack(notes, to, &how, &packed, &err), EBB_ERR_INPUT);
    assert_int_equal(ebb_output_pack(from, to, &how, &packed, &err), 1);
    add(p, "md.trr", EBB__FILE_ENTRY__KIND__OUTPUT);
    p->files[0].packed = &packed;
    add(p, "notes", EBB__FILE_ENTRY__KIND__OUTPUT);
    assert_true(commit(p) < b.len * 2 / 3);
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = manifest_of(p);
    assert_int_equal(m->required_features, EBB_FEATURE_PACKED);
    /* The work directory as it comes back. */
    EBB_AUTO_FREE char *whole = ebb_path_join(p->back.path, "whole");
    assert_int_equal(ebb_output_unpack(to, m->files[0]->packed->sha256.data, whole, &err), 0);
    assert_int_equal(rename(whole, from), 0);
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = packed.mtime_ns / EBB_NS_PER_S, .tv_nsec = packed.mtime_ns % EBB_NS_PER_S}};
    assert_int_equal(utimensat(AT_FDCWD, from, times, 0), 0);
    assert_int_equal(chmod(from, packed.mode), 0);
    job_dir_remove(&p->back);
    assert_comes_back(p);
    /* What it says of itself is held to. */
    m->files[0]->packed->size_bytes++;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    m->files[0]->packed->size_bytes--;
    m->files[0]->packed->error = -1;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    m->files[0]->packed->error = 0.01;
    m->required_features = 0;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
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
    base->raw_bytes++; /* allowed by a feature of its own */
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    m->required_features |= EBB_FEATURE_BASES;
    assert_int_equal(ebb_manifest_check(m, NULL), 0);
    m->required_features &= ~EBB_FEATURE_BASES;
    base->raw_bytes--;
    base->pack = 77;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    base->pack = c->pack;
    base->base_chunk = base; /* for ever */
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    base->base_chunk = NULL;
    m->required_features = 0;
    assert_int_equal(ebb_manifest_check(m, NULL), EBB_ERR_CORRUPT);
    m->required_features = EBB_FORMAT_FEATURES + 1;
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
    add(p, "state.trr", EBB__FILE_ENTRY__KIND__STATE);
    add(p, "model.safetensors", EBB__FILE_ENTRY__KIND__STATE);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer x = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer w = {0};
    for (int step = -20; step <= 0; step += 10)
        sample_waters_xtc(&x, 150, 1, step, 0);
    sample_waters(&w, 150);
    static const char *const orders[] = {"abc", "cab", "bdac"};
    for (unsigned step = 0; step < 3; step++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer s = {0};
        unsigned rows[26] = {30, 25, 40 + 2 * step, 10};
        put_tensors(&s, orders[step], rows, step);
        w.data[w.len - 1] ^= (uint8_t)step;
        put_file(p, "traj.xtc", x.data, x.len / 3 * (step + 1));
        put_file(p, "state.trr", w.data, w.len);
        put_file(p, "model.safetensors", s.data, s.len);
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

static void golden_comes_back(struct parts *p, const char *golden)
{
    EBB_AUTO_FREE char *from = ebb_path_join(golden, "store");
    EBB_AUTO_FREE char *expected = ebb_path_join(golden, "expected-current");
    /* A copy: a store may leave its locks where it is opened. */
    assert_int_equal(ebb_walk(from, copy_one, p->store_dir.path, NULL), 0);
    struct ebb_lineage *l = job_open(p->store);
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer want = {0};
    if (ebb_lineage_verify(l, NULL, NULL, NULL, &err) < 0 ||
        ebb_lineage_restore(l, p->back.path, NULL, 1, NULL, &err) < 0)
        fail_msg("%s", err.text);
    EBB_AUTO_FREE char *have = job_digest(p->back.path);
    assert_int_equal(ebb_file_read(expected, 1u << 20, &want, NULL), 0);
    assert_string_equal(have, ebb_buffer_text(&want));
    ebb_lineage_destroy(l);
}

static void golden_repositories_of_parts_come_back(void **state)
{
    struct parts *p = *state;
    if (getenv("EBB_GOLDEN_WRITE") != NULL) {
        write_golden(p, getenv("EBB_GOLDEN_WRITE"));
        return;
    }
    for (size_t i = 0; i < EBB_ARRAY_LEN(goldens); i++) {
        if (i > 0) {
            assert_int_equal(tear_down(state), 0);
            assert_int_equal(set_up(state), 0);
        }
        golden_comes_back(*state, goldens[i]);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_growing_trajectory_is_stored_by_groups_of_frames),
        T(trajectories_longer_than_a_pack_come_back),
        T(state_of_tensors_is_arrays),
        T(changed_tensors_are_deltas_whose_bases_are_kept),
        T(reordered_and_grown_tensors_are_deltas_by_their_names),
        T(restart_state_is_stored_over_the_frame_of_its_step),
        T(an_output_within_a_bound_is_restored_as_it_unpacks),
        T(a_manifest_with_a_wrong_base_is_refused),
        T(golden_repositories_of_parts_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
