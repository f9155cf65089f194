/* What the tests of checkpoints share: a job's directory with files, a commit of all of them, a
 * comparison of two directories. */
#ifndef EBB_TEST_JOB_FILES_H
#define EBB_TEST_JOB_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/lineage.h"

#define TEST_ROOT "bags/b-0001/jobs/j"

struct job_dir {
    char path[64];
};

void job_dir_make(struct job_dir *d); /* mkdtemp */
void job_dir_remove(struct job_dir *d);

/* `size` bytes that depend on `seed`; compressible when asked. */
void job_write(const char *dir, const char *name, size_t size, uint64_t seed, bool compressible);
void job_append(const char *dir, const char *name, size_t size, uint64_t seed);
void job_write_text(const char *dir, const char *name, const char *text);
/* Asserts that both directories hold the same files with the same bytes, modes and times. */
void job_assert_equal(const char *a, const char *b);
/* All that a restore brings back, as text: equal texts are equal directories. malloc'ed. */
char *job_digest(const char *dir);
bool job_file_equal(const char *a, const char *b, const char *name);

/* Commits every file below dir: *.log and *.xtc as APPEND, *.in as STATIC, symbolic links as such,
 * the rest as STATE. */
int job_commit(struct ebb_lineage *l, const char *dir, bool final, struct ebb_commit_stats *ret,
               struct ebb_error *err);
/* The same, with what other ranks have put. */
int job_commit_with(struct ebb_lineage *l, const char *dir, bool final,
                    const struct ebb_commit_part *parts, size_t part_count,
                    struct ebb_commit_stats *ret, struct ebb_error *err);
/* The same files as the part of another rank. */
int job_put_part(struct ebb_lineage *l, uint64_t epoch, const char *dir, struct ebb_generation *ret,
                 struct ebb_commit_stats *ret_stats, struct ebb_error *err);

struct ebb_lineage *job_open(struct ebb_object_store *store);
struct ebb_lineage *job_open_and_claim(struct ebb_object_store *store, uint64_t attempt);

#endif
