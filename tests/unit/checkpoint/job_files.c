/* Files of a made-up job, and whether they came back. */
#include "job_files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"

void job_dir_make(struct job_dir *d)
{
    (void)snprintf(d->path, sizeof d->path, "/tmp/ebb-test-XXXXXX");
    assert_non_null(mkdtemp(d->path));
}

void job_dir_remove(struct job_dir *d)
{
    assert_int_equal(ebb_remove_tree(d->path, NULL), 0);
}

static void fill(uint8_t *out, size_t size, uint64_t seed, bool compressible)
{
    struct ebb_random r;
    ebb_random_seed(&r, seed);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(compressible ? ebb_random_next(&r) % 4 : ebb_random_next(&r));
}

static void put_bytes(const char *dir, const char *name, size_t size, uint64_t seed,
                      bool compressible, int flags)
{
    EBB_AUTO_FREE char *path = ebb_path_join(dir, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(ebb_mkdir_p(path, 0777, NULL), 0);
    *slash = '/';
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(size + 1);
    fill(bytes, size, seed, compressible);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0640);
    assert_true(fd >= 0);
    assert_int_equal(ebb_write_all(fd, bytes, size, NULL), 0);
    assert_int_equal(close(fd), 0);
}

void job_write(const char *dir, const char *name, size_t size, uint64_t seed, bool compressible)
{
    put_bytes(dir, name, size, seed, compressible, O_TRUNC);
}

void job_append(const char *dir, const char *name, size_t size, uint64_t seed)
{
    put_bytes(dir, name, size, seed, false, O_APPEND);
}

void job_write_text(const char *dir, const char *name, const char *text)
{
    EBB_AUTO_FREE char *path = ebb_path_join(dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

struct listing {
    const char *dir;
    struct ebb_commit_file *files;
    size_t count;
};

static int add_file(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    (void)err;
    struct listing *l = ctx;
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    l->files = ebb_realloc_array(l->files, l->count + 1, sizeof *l->files);
    Ebb__FileEntry__Kind kind = EBB__FILE_ENTRY__KIND__STATE;
    if (S_ISLNK(st.st_mode))
        kind = EBB__FILE_ENTRY__KIND__SYMLINK;
    else if (ebb_ends_with(relative, ".log") || ebb_ends_with(relative, ".xtc"))
        kind = EBB__FILE_ENTRY__KIND__APPEND;
    else if (ebb_ends_with(relative, ".in"))
        kind = EBB__FILE_ENTRY__KIND__STATIC;
    l->files[l->count++] = (struct ebb_commit_file){
        .path = ebb_strdup(relative), .kind = kind, .length_bytes = UINT64_MAX};
    return 0;
}

static void list_files(struct listing *l)
{
    assert_int_equal(ebb_walk(l->dir, add_file, l, NULL), 0);
}

static void free_listing(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((char *)l->files[i].path);
    free(l->files);
}

bool job_file_equal(const char *a, const char *b, const char *name)
{
    EBB_AUTO_FREE char *x = ebb_path_join(a, name);
    EBB_AUTO_FREE char *y = ebb_path_join(b, name);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer p = {0}, q = {0};
    if (ebb_file_read(x, 1u << 30, &p, NULL) < 0 || ebb_file_read(y, 1u << 30, &q, NULL) < 0)
        return false;
    return p.len == q.len && (p.len == 0 || memcmp(p.data, q.data, p.len) == 0);
}

void job_assert_equal(const char *a, const char *b)
{
    struct listing x = {.dir = a}, y = {.dir = b};
    list_files(&x);
    list_files(&y);
    assert_int_equal(x.count, y.count);
    for (size_t i = 0; i < x.count; i++) {
        assert_string_equal(x.files[i].path, y.files[i].path);
        assert_int_equal(x.files[i].kind, y.files[i].kind);
        EBB_AUTO_FREE char *p = ebb_path_join(a, x.files[i].path);
        EBB_AUTO_FREE char *q = ebb_path_join(b, x.files[i].path);
        if (x.files[i].kind == EBB__FILE_ENTRY__KIND__SYMLINK) {
            char s[256] = "", t[256] = "";
            assert_true(readlink(p, s, sizeof s - 1) > 0 && readlink(q, t, sizeof t - 1) > 0);
            assert_string_equal(s, t);
            continue;
        }
        if (!job_file_equal(a, b, x.files[i].path))
            fail_msg("%s differs", x.files[i].path);
        struct stat s, t;
        assert_true(stat(p, &s) == 0 && stat(q, &t) == 0);
        assert_int_equal(s.st_mode, t.st_mode);
        assert_int_equal(s.st_mtim.tv_sec, t.st_mtim.tv_sec);
        assert_int_equal(s.st_mtim.tv_nsec, t.st_mtim.tv_nsec);
    }
    free_listing(&x);
    free_listing(&y);
}

static int describe(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    struct ebb_buffer *out = ctx;
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    if (S_ISLNK(st.st_mode)) {
        char target[256] = "";
        assert_true(readlink(path, target, sizeof target - 1) > 0);
        ebb_buffer_printf(out, "%s -> %s\n", relative, target);
        return 0;
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(ebb_file_read(path, 1u << 30, &b, err), 0);
    uint8_t sha[EBB_SHA256_SIZE];
    char hex[EBB_SHA256_HEX_SIZE];
    ebb_sha256(b.data, b.len, sha);
    ebb_buffer_printf(out, "%s %o %lld.%09ld %zu %s\n", relative, st.st_mode,
                      (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, b.len,
                      ebb_hex(sha, sizeof sha, hex));
    return 0;
}

char *job_digest(const char *dir)
{
    struct ebb_buffer out = {0};
    assert_int_equal(ebb_walk(dir, describe, &out, NULL), 0);
    return ebb_buffer_take_text(&out);
}

static struct ebb_commit_request request(struct listing *files, bool final)
{
    list_files(files);
    static const char *const portability[] = {"cpu", "avx2", "version", "2022.5", NULL};
    return (struct ebb_commit_request){
        .directory = files->dir,
        .files = files->files,
        .file_count = files->count,
        .step = 1000,
        .total_steps = 5000,
        .run_s = 12.5,
        .attempt = 1,
        .engine_version = "engine 1",
        .portability = portability,
        .final = final,
        .threads = 3,
    };
}

int job_commit_with(struct ebb_lineage *l, const char *dir, bool final,
                    const struct ebb_commit_part *parts, size_t part_count,
                    struct ebb_commit_stats *ret, struct ebb_error *err)
{
    struct listing files = {.dir = dir};
    struct ebb_commit_request q = request(&files, final);
    q.parts = parts;
    q.part_count = part_count;
    int rc = ebb_lineage_commit(l, &q, ret, err);
    free_listing(&files);
    return rc;
}

int job_commit(struct ebb_lineage *l, const char *dir, bool final, struct ebb_commit_stats *ret,
               struct ebb_error *err)
{
    return job_commit_with(l, dir, final, NULL, 0, ret, err);
}

int job_put_part(struct ebb_lineage *l, uint64_t epoch, const char *dir, struct ebb_generation *ret,
                 struct ebb_commit_stats *ret_stats, struct ebb_error *err)
{
    struct listing files = {.dir = dir};
    struct ebb_commit_request q = request(&files, false);
    int rc = ebb_lineage_put_part(l, epoch, &q, ret, ret_stats, err);
    free_listing(&files);
    return rc;
}

struct ebb_lineage *job_open(struct ebb_object_store *store)
{
    struct ebb_lineage *l = NULL;
    struct ebb_error err = {0};
    if (ebb_lineage_open(store, TEST_ROOT, &l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

struct ebb_lineage *job_open_and_claim(struct ebb_object_store *store, uint64_t attempt)
{
    struct ebb_lineage *l = job_open(store);
    struct ebb_error err = {0};
    if (ebb_lineage_claim(l, "vm-000001 attempt 1", attempt, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}
