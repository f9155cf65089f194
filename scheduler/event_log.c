/* SQLite in WAL mode with synchronous=FULL: a commit is on disk when it returns. Records are
 * protobuf, a kind's name beside them so that the log can be searched with the sqlite3 program.
 * Another process is kept out by a lock on a file of its own, which goes with the process. */
#include "scheduler/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "proto/decode.h"

#define SCHEMA_VERSION   1
#define APPLICATION_ID   0x65626231 /* "ebb1" */
#define MAX_RECORD_BYTES (64u << 20)

struct ebb_event_log {
    sqlite3 *db;
    sqlite3_stmt *insert;
    char *path;
    char id[17];
    int lock_fd;
    bool in_batch;
    uint64_t last;      /* appended */
    uint64_t committed; /* durable */
    struct ebb_buffer record;
};

static int log_error(struct ebb_event_log *l, const char *what, struct ebb_error *err)
{
    int rc = sqlite3_errcode(l->db);
    int code = EBB_ERR_IO;
    const char *advice = "";
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB) {
        code = EBB_ERR_CORRUPT;
        advice = "; nothing was changed. Copy it (with its -wal file) aside, then try `sqlite3 "
                 "events.db .recover`, or move it away to begin anew: VMs and stored checkpoints "
                 "are not touched";
    } else if (rc == SQLITE_FULL) {
        code = EBB_ERR_NO_SPACE;
    }
    return ebb_error_set(err, code, "event log %s: %s: %s%s", l->path, what, sqlite3_errmsg(l->db),
                         advice);
}

static int run(struct ebb_event_log *l, const char *sql, struct ebb_error *err)
{
    if (sqlite3_exec(l->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return log_error(l, "cannot use it", err);
    return 0;
}

static int query_int(struct ebb_event_log *l, const char *sql, int64_t *ret, struct ebb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(l->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return log_error(l, "cannot read it", err);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : log_error(l, "cannot read it", err);
}

static int take_lock(struct ebb_event_log *l, const char *directory, struct ebb_error *err)
{
    char *path EBB_AUTO_FREE = ebb_path_join(directory, "events.lock");
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->lock_fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", path);
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        char pid[24] = "";
        ssize_t n = pread(l->lock_fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        return ebb_error_set(
            err, EBB_ERR_CONFLICT,
            "another scheduler (pid %s) has %s open; use that one, or stop it with "
            "`ebb stop`",
            pid, l->path);
    }
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(l->lock_fd, 0) < 0 || pwrite(l->lock_fd, text, (size_t)len, 0) != len)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write %s", path);
    return 0;
}

static int create_schema(struct ebb_event_log *l, struct ebb_error *err)
{
    char id[17];
    ebb_random_hex(id, 8);
    char *sql EBB_AUTO_FREE =
        ebb_sprintf("begin immediate;"
                    "create table meta(key text primary key, value text not null) without rowid;"
                    "create table events(sequence integer primary key, wall_ns integer not null,"
                    " kind text not null, record blob not null);"
                    "insert into meta values('id', '%s');"
                    "pragma application_id = %d; pragma user_version = %d;"
                    "commit;",
                    id, APPLICATION_ID, SCHEMA_VERSION);
    return run(l, sql, err);
}

static int check_schema(struct ebb_event_log *l, struct ebb_error *err)
{
    int64_t version = 0, application = 0;
    int rc = query_int(l, "pragma user_version", &version, err);
    if (rc == 0)
        rc = query_int(l, "pragma application_id", &application, err);
    if (rc < 0)
        return rc;
    if (application != APPLICATION_ID)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s is a database, but no event log of ebb",
                             l->path);
    if (version != SCHEMA_VERSION)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "event log %s has version %lld, this program reads version %d; use "
                             "the ebb that wrote it",
                             l->path, (long long)version, SCHEMA_VERSION);
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(l->db, "pragma quick_check(1)", -1, &stmt, NULL) != SQLITE_OK)
        return log_error(l, "cannot check it", err);
    int step = sqlite3_step(stmt);
    const char *verdict = step == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (verdict == NULL)
        rc = log_error(l, "it does not pass its check", err);
    else if (strcmp(verdict, "ok") != 0)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT,
                           "event log %s is damaged (%.200s); nothing was changed. Copy it aside, "
                           "then try `sqlite3 events.db .recover`",
                           l->path, verdict);
    sqlite3_finalize(stmt);
    return rc;
}

static int read_meta(struct ebb_event_log *l, struct ebb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(l->db, "select value from meta where key = 'id'", -1, &stmt, NULL) !=
        SQLITE_OK)
        return log_error(l, "cannot read it", err);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        snprintf(l->id, sizeof l->id, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    int64_t last = 0;
    int rc = query_int(l, "select coalesce(max(sequence), 0) from events", &last, err);
    l->last = l->committed = (uint64_t)last;
    return rc;
}

static int open_database(struct ebb_event_log *l, bool read_only, struct ebb_error *err)
{
    bool is_new = !ebb_file_exists(l->path);
    if (is_new && read_only)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "there is no event log %s", l->path);
    int flags = read_only ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(l->path, &l->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return log_error(l, "cannot open it", err);
    sqlite3_busy_timeout(l->db, 5000);
    /* A crash between the making of the file and its first transaction leaves an empty one. */
    int64_t tables = 0;
    int rc = query_int(l, "select count(*) from sqlite_master", &tables, err);
    if (rc == 0 && tables == 0 && read_only)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "the event log %s is empty", l->path);
    struct stat st;
    if (rc == 0 && tables == 0 && stat(l->path, &st) == 0 && st.st_size > 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "%s holds %lld bytes, but no event log: it was cut or is something "
                             "else; nothing was changed. Restore it, or move it away to begin anew",
                             l->path, (long long)st.st_size);
    if (rc == 0)
        rc = tables == 0 ? create_schema(l, err) : check_schema(l, err);
    if (rc == 0)
        rc = run(l, "pragma journal_mode = wal; pragma synchronous = full;", err);
    if (rc == 0)
        rc = read_meta(l, err);
    if (rc < 0 || read_only)
        return rc;
    if (sqlite3_prepare_v2(l->db, "insert into events values(?1, ?2, ?3, ?4)", -1, &l->insert,
                           NULL) != SQLITE_OK)
        return log_error(l, "cannot use it", err);
    return 0;
}

int ebb_event_log_open(const char *directory, bool read_only, struct ebb_event_log **ret,
                       struct ebb_error *err)
{
    struct ebb_event_log *l = ebb_alloc(sizeof *l);
    l->lock_fd = -1;
    l->path = ebb_path_join(directory, "events.db");
    int rc = read_only ? 0 : ebb_mkdir_p(directory, 0700, err);
    if (rc == 0 && !read_only)
        rc = take_lock(l, directory, err);
    if (rc == 0)
        rc = open_database(l, read_only, err);
    if (rc < 0) {
        ebb_event_log_destroy(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void ebb_event_log_destroy(struct ebb_event_log *l)
{
    if (l == NULL)
        return;
    if (l->in_batch)
        sqlite3_exec(l->db, "rollback", NULL, NULL, NULL);
    sqlite3_finalize(l->insert);
    sqlite3_close(l->db);
    if (l->lock_fd >= 0)
        close(l->lock_fd);
    ebb_buffer_clean_up(&l->record);
    free(l->path);
    free(l);
}

const char *ebb_event_log_id(const struct ebb_event_log *l)
{
    return l->id;
}

uint64_t ebb_event_log_last(const struct ebb_event_log *l)
{
    return l->last;
}

uint64_t ebb_event_log_batch_count(const struct ebb_event_log *l)
{
    return l->last - l->committed;
}

static int read_row(struct ebb_event_log *l, sqlite3_stmt *stmt, uint64_t expected,
                    Ebb__Event **ret, struct ebb_error *err)
{
    uint64_t sequence = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (sequence != expected)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "event log %s: event %llu is missing (the next is %llu)", l->path,
                             (unsigned long long)expected, (unsigned long long)sequence);
    int len = sqlite3_column_bytes(stmt, 1);
    const void *record = sqlite3_column_blob(stmt, 1);
    Ebb__Event *e = (unsigned)len > MAX_RECORD_BYTES || record == NULL
                        ? NULL
                        : ebb_message_decode(&ebb__event__descriptor, record, (size_t)len);
    if (e == NULL || e->sequence != sequence) {
        if (e != NULL)
            ebb__event__free_unpacked(e, NULL);
        return ebb_error_set(err, EBB_ERR_CORRUPT, "event log %s: event %llu cannot be read",
                             l->path, (unsigned long long)sequence);
    }
    *ret = e;
    return 0;
}

int ebb_event_log_read(struct ebb_event_log *l, uint64_t after, uint64_t limit,
                       int (*fn)(void *ctx, const Ebb__Event *e, struct ebb_error *err), void *ctx,
                       struct ebb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    const char *sql = "select sequence, record from events where sequence > ?1 order by sequence"
                      " limit ?2";
    if (sqlite3_prepare_v2(l->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return log_error(l, "cannot read it", err);
    sqlite3_bind_int64(stmt, 1, (int64_t)after);
    sqlite3_bind_int64(stmt, 2, limit == 0 ? -1 : (int64_t)limit);
    int rc = 0;
    int step = SQLITE_DONE;
    uint64_t expected = after + 1;
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        Ebb__Event *e = NULL;
        rc = read_row(l, stmt, expected++, &e, err);
        if (rc < 0)
            break;
        rc = fn(ctx, e, err);
        ebb__event__free_unpacked(e, NULL);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = log_error(l, "cannot read it", err);
    sqlite3_finalize(stmt);
    return rc;
}

static int begin_batch(struct ebb_event_log *l, struct ebb_error *err)
{
    if (l->in_batch)
        return 0;
    int rc = run(l, "begin immediate", err);
    l->in_batch = rc == 0;
    return rc;
}

int ebb_event_log_append(struct ebb_event_log *l, Ebb__Event *e, struct ebb_error *err)
{
    if (e->sequence == 0)
        e->sequence = l->last + 1;
    if (e->sequence != l->last + 1)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "event %llu appended after %llu",
                             (unsigned long long)e->sequence, (unsigned long long)l->last);
    int rc = begin_batch(l, err);
    if (rc < 0)
        return rc;
    size_t size = ebb__event__get_packed_size(e);
    if (size > MAX_RECORD_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "an event of %zu bytes is too large to log", size);
    ebb_buffer_reset(&l->record);
    ebb_buffer_reserve(&l->record, size);
    ebb__event__pack(e, l->record.data);
    sqlite3_bind_int64(l->insert, 1, (int64_t)e->sequence);
    sqlite3_bind_int64(l->insert, 2, e->wall_ns);
    sqlite3_bind_text(l->insert, 3, ebb_event_kind_name(e), -1, SQLITE_STATIC);
    sqlite3_bind_blob(l->insert, 4, l->record.data, (int)size, SQLITE_STATIC);
    int step = sqlite3_step(l->insert);
    sqlite3_reset(l->insert);
    sqlite3_clear_bindings(l->insert);
    if (step != SQLITE_DONE)
        return log_error(l, "cannot append", err);
    l->last = e->sequence;
    return 0;
}

int ebb_event_log_commit(struct ebb_event_log *l, struct ebb_error *err)
{
    if (!l->in_batch)
        return 0;
    int rc = run(l, "commit", err);
    if (rc < 0) {
        sqlite3_exec(l->db, "rollback", NULL, NULL, NULL);
        l->last = l->committed;
    }
    l->in_batch = false;
    l->committed = l->last;
    return rc;
}

int ebb_event_log_set_note(struct ebb_event_log *l, const char *key, const char *value,
                           struct ebb_error *err)
{
    int rc = begin_batch(l, err);
    if (rc < 0)
        return rc;
    sqlite3_stmt *stmt = NULL;
    const char *sql = value != NULL ? "insert or replace into meta values('note:' || ?1, ?2)"
                                    : "delete from meta where key = 'note:' || ?1";
    if (sqlite3_prepare_v2(l->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return log_error(l, "cannot write a note", err);
    sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
    if (value != NULL)
        sqlite3_bind_text(stmt, 2, value, -1, SQLITE_STATIC);
    int step = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return step == SQLITE_DONE ? 0 : log_error(l, "cannot write a note", err);
}

char *ebb_event_log_note(struct ebb_event_log *l, const char *key)
{
    sqlite3_stmt *stmt = NULL;
    char *value = NULL;
    if (sqlite3_prepare_v2(l->db, "select value from meta where key = 'note:' || ?1", -1, &stmt,
                           NULL) != SQLITE_OK)
        return NULL;
    sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        value = ebb_strdup((const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return value;
}

const char *ebb_event_kind_name(const Ebb__Event *e)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(&ebb__event__descriptor, (unsigned)e->kind_case);
    return f != NULL ? f->name : "unknown";
}
