/* Commit and restore through a directory store: MB/s of a mixed tree, and the latency of a commit
 * that finds only growth.
 *
 *     bench/checkpoint [MiB] [threads] [directory]    default 256, 4, a new one below /tmp */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "checkpoint/lineage.h"

enum { FILES_MAX = 3000, GROWTHS = 50, PIECE_BYTES = 1 << 20 };

struct bench {
    char *root, *work;
    struct ebb_object_store *store;
    struct ebb_lineage *l;
    struct ebb_commit_file files[FILES_MAX];
    size_t count;
    uint64_t bytes;
    unsigned threads;
};

static void stop(const struct ebb_error *err)
{
    (void)fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

/* Floats as a simulation writes them: high bytes alike, low bytes noise. */
static void fill(uint8_t *out, size_t size, uint64_t seed)
{
    struct ebb_random r;
    ebb_random_seed(&r, seed);
    for (size_t i = 0; i + 4 <= size; i += 4) {
        float x = (float)(ebb_random_uniform(&r) * 3.0);
        memcpy(out + i, &x, 4);
    }
}

static void write_file(struct bench *b, const char *name, size_t size, int flags, uint64_t seed)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(b->work, name);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(PIECE_BYTES);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    for (size_t done = 0; fd >= 0 && done < size; done += PIECE_BYTES) {
        size_t len = size - done < PIECE_BYTES ? size - done : PIECE_BYTES;
        fill(bytes, len, seed++);
        if (ebb_write_all(fd, bytes, len, &err) < 0)
            stop(&err);
    }
    if (fd < 0 || close(fd) < 0) {
        perror(path);
        exit(1);
    }
}

static void add_file(struct bench *b, const char *name, Ebb__FileEntry__Kind kind, size_t size)
{
    write_file(b, name, size, O_TRUNC, 1000 * (b->count + 1));
    b->files[b->count++] = (struct ebb_commit_file){
        .path = ebb_strdup(name), .kind = kind, .length_bytes = UINT64_MAX};
    b->bytes += size;
}

/* Half one trajectory, a quarter state files, an eighth inputs, an eighth small files. */
static void make_tree(struct bench *b, size_t total)
{
    char name[32];
    add_file(b, "traj.xtc", EBB__FILE_ENTRY__KIND__APPEND, total / 2);
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "state%u.cpt", i);
        add_file(b, name, EBB__FILE_ENTRY__KIND__STATE, total / 16);
    }
    add_file(b, "conf.in", EBB__FILE_ENTRY__KIND__STATIC, total / 8);
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof name, "small%u", i);
        add_file(b, name, EBB__FILE_ENTRY__KIND__STATIC, total / 8 / 2000);
    }
}

static struct ebb_commit_stats commit(struct bench *b)
{
    struct ebb_error err = {0};
    struct ebb_commit_stats s;
    struct ebb_commit_request q = {.directory = b->work,
                                   .files = b->files,
                                   .file_count = b->count,
                                   .step = -1,
                                   .total_steps = -1,
                                   .threads = b->threads};
    if (ebb_lineage_commit(b->l, &q, &s, &err) < 0)
        stop(&err);
    return s;
}

static void report(const char *what, uint64_t bytes, double s)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    (void)printf("%-34s %8.3f s %9.1f MB/s   peak RSS %ld MiB\n", what, s, (double)bytes / 1e6 / s,
                 u.ru_maxrss / 1024);
}

static void bench_restore(struct bench *b)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *back = ebb_path_join(b->root, "back");
    int64_t begin = ebb_now_ns(NULL);
    if (ebb_lineage_restore(b->l, back, NULL, b->threads, NULL, &err) < 0)
        stop(&err);
    report("restore", b->bytes, (double)(ebb_now_ns(NULL) - begin) / EBB_NS_PER_S);
    if (ebb_remove_tree(back, &err) < 0)
        stop(&err);
}

static void bench_growth(struct bench *b)
{
    double total = 0, worst = 0;
    uint64_t read = 0, sent = 0;
    for (unsigned i = 0; i < GROWTHS; i++) {
        write_file(b, "traj.xtc", 100000, O_APPEND, 100 + i);
        struct ebb_commit_stats s = commit(b);
        total += s.seconds;
        worst = s.seconds > worst ? s.seconds : worst;
        read += s.read_bytes;
        sent += s.sent_bytes;
    }
    (void)printf("%-34s %8.1f ms mean, %.1f ms worst; %llu bytes read, %llu sent for each\n",
                 "commit of 100 kB growth", 1e3 * total / GROWTHS, 1e3 * worst,
                 (unsigned long long)(read / GROWTHS), (unsigned long long)(sent / GROWTHS));
}

int main(int argc, char **argv)
{
    struct ebb_error err = {0};
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 256;
    char template[] = "/tmp/ebb-bench-XXXXXX";
    struct bench *b = ebb_alloc(sizeof *b);
    b->threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 4;
    b->root = ebb_strdup(argc > 3 ? argv[3] : mkdtemp(template));
    b->work = ebb_path_join(b->root, "work");
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s/store", b->root);
    EBB_AUTO_FREE char *store_path = ebb_path_join(b->root, "store");
    if (ebb_mkdir_p(b->work, 0755, &err) < 0 || ebb_mkdir_p(store_path, 0755, &err) < 0 ||
        ebb_object_store_open(url, NULL, &b->store, &err) < 0 ||
        ebb_lineage_open(b->store, "bags/bench/jobs/j", &b->l, &err) < 0 ||
        ebb_lineage_claim(b->l, "bench", 1, &err) < 0)
        stop(&err);
    make_tree(b, mib << 20);
    (void)usleep(50000); /* stamps prove something once a clock tick has passed */
    (void)printf("%zu files, %zu MiB, %u threads\n", b->count, mib, b->threads);
    struct ebb_commit_stats s = commit(b);
    report("first commit", s.raw_bytes, s.seconds);
    s = commit(b);
    report("commit with nothing changed", s.raw_bytes, s.seconds);
    bench_growth(b);
    b->bytes += (uint64_t)GROWTHS * 100000;
    bench_restore(b);
    ebb_lineage_destroy(b->l);
    ebb_object_store_destroy(b->store);
    if (argc <= 3)
        (void)ebb_remove_tree(b->root, NULL);
    for (size_t i = 0; i < b->count; i++)
        free((char *)b->files[i].path);
    free(b->root);
    free(b->work);
    free(b);
    return 0;
}
