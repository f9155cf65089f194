/* `ebb unpack`: the files of a packed file, each under its name only when it is whole and its hash
 * matched. Names come from the file and are held inside the folder. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/json_out.h"
#include "cli/packed_file.h"

extern const struct ebb_command ebb_command_unpack;

static const char *folder = ".", *base_path;
static int64_t threads;
static bool as_json, force;

static bool is_wanted(const struct ebb_packed_entry *e, char **patterns, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(patterns[i], e->name) == 0 || ebb_glob_match(patterns[i], e->name))
            return true;
    return count == 0;
}

/* No folder on the way to `path` may be a symbolic link: it could lead anywhere. */
static int check_folders(const char *path, size_t skip, struct ebb_error *err)
{
    EBB_AUTO_FREE char *copy = ebb_strdup(path);
    for (char *p = copy + skip; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        struct stat st;
        if (lstat(copy, &st) == 0 && !S_ISDIR(st.st_mode))
            return ebb_error_set(err, EBB_ERR_INPUT, "%s is there and is no folder", copy);
        *p = '/';
    }
    return 0;
}

/* So many files are brought to disk together at the end, not one by one. */
enum { SYNC_EACH_MAX = 32 };

static int publish(const struct ebb_packed_file *p, const struct ebb_packed_entry *e,
                   struct ebb_new_file *out, struct ebb_error *err)
{
    unsigned mode = e->mode != 0 ? e->mode : 0644;
    return p->container->count > SYNC_EACH_MAX
               ? ebb_new_file_publish_unsynced(out, mode, e->mtime_ns, err)
               : ebb_new_file_publish(out, mode, e->mtime_ns, err);
}

static int unpack_entry(const struct ebb_packed_file *p, const struct ebb_packed_entry *e,
                        struct ebb_progress_line *line, struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_base) struct ebb_base *base = NULL;
    EBB_AUTO(ebb_new_file_clean_up) struct ebb_new_file out = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(folder, e->name);
    int rc = check_folders(path, strlen(path) - strlen(e->name), err);
    if (rc == 0)
        rc = ebb_base_open_of(p->file.path, e, base_path, &base, err);
    if (rc == 0)
        rc = ebb_new_file_create(path, force, &out, err);
    if (rc < 0)
        return rc;
    rc = ebb_unpacker_run(p->container, e, base != NULL ? &base->bytes : NULL,
                          ebb_new_file_sink(&out), ebb_packed_threads(threads),
                          ebb_progress_next(line, e->name), err);
    return rc < 0 ? rc : publish(p, e, &out, err);
}

static int check_patterns(const struct ebb_container *c, char **patterns, int count,
                          struct ebb_error *err)
{
    for (int i = 0; i < count; i++) {
        bool found = false;
        for (size_t k = 0; k < c->count && !found; k++)
            found = is_wanted(&c->entries[k], patterns + i, 1);
        if (!found)
            return ebb_error_set(err, EBB_ERR_NOT_FOUND, "no %s in it", patterns[i]);
    }
    return 0;
}

struct unpacking {
    const struct ebb_packed_file *p;
    struct ebb_progress_line line;
    json_t *list;
    uint64_t bytes;
    struct ebb_error damage; /* the last; code 0: none */
};

/* A damaged file does not keep the others back. */
static int unpack_one(struct unpacking *u, const struct ebb_packed_entry *e, struct ebb_error *err)
{
    int rc = unpack_entry(u->p, e, &u->line, err);
    if (rc < 0 && rc != EBB_ERR_CORRUPT)
        return rc;
    if (rc < 0) {
        ebb_progress_end(&u->line);
        if (u->damage.code < 0)
            (void)ebb_packed_fail(&u->damage);
        ebb_error_copy(&u->damage, err);
        return 0;
    }
    u->bytes += e->size_bytes;
    (void)json_array_append_new(u->list, ebb_packed_entry_json(e));
    return 0;
}

static int unpack_wanted(const struct ebb_packed_file *p, char **patterns, int count, json_t *list,
                         uint64_t *ret_bytes, struct ebb_error *err)
{
    struct unpacking u = {.p = p, .list = list};
    const struct ebb_container *c = p->container;
    size_t wanted = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->count; i++)
        if (is_wanted(&c->entries[i], patterns, count)) {
            wanted++;
            bytes += c->entries[i].size_bytes;
        }
    ebb_progress_begin(&u.line, "unpacking", wanted, bytes);
    int rc = 0;
    for (size_t i = 0; i < c->count && rc == 0; i++)
        if (is_wanted(&c->entries[i], patterns, count))
            rc = unpack_one(&u, &c->entries[i], err);
    ebb_progress_end(&u.line);
    *ret_bytes = u.bytes;
    if (rc == 0 && c->count > SYNC_EACH_MAX && u.bytes > 0)
        rc = ebb_sync_file_system_of(folder, err);
    if (rc == 0 && u.damage.code < 0) {
        ebb_error_copy(err, &u.damage);
        rc = u.damage.code;
    }
    return rc;
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_packed_file_close) struct ebb_packed_file p = {0};
    ebb_memory_keep();
    int rc = ebb_packed_file_open(argv[0], &p, &err);
    if (rc == 0)
        rc = check_patterns(p.container, argv + 1, argc - 1, &err);
    json_t *list = json_array();
    uint64_t bytes = 0;
    if (rc == 0)
        rc = unpack_wanted(&p, argv + 1, argc - 1, list, &bytes, &err);
    size_t files = json_array_size(list);
    if (rc == 0 && as_json) {
        json_t *v = ebb_json_new("unpack");
        (void)json_object_set_new(v, "folder", json_string(folder));
        (void)json_object_set(v, "files", list);
        rc = ebb_json_print(v);
    } else if (rc == 0) {
        char size[EBB_QUANTITY_TEXT_SIZE];
        (void)printf("%zu file%s, %s in %s, every hash matched\n", files, files == 1 ? "" : "s",
                     ebb_format_size(bytes, size), folder);
    }
    json_decref(list);
    return rc < 0 ? ebb_packed_fail(&err) : rc;
}

static const struct ebb_option options[] = {
    {.name = "directory",
     .letter = 'o',
     .kind = EBB_OPTION_TEXT,
     .target = &folder,
     .value = "DIR",
     .help = "Where to; made when it is not there. The current folder when not given."},
    {.name = "base",
     .kind = EBB_OPTION_TEXT,
     .target = &base_path,
     .value = "FILE",
     .help = "The file that this one is packed against, when it is not beside it any more."},
    {.name = "threads",
     .kind = EBB_OPTION_INT,
     .target = &threads,
     .least = 1,
     .most = INT64_MAX,
     .value = "N",
     .help = "One a processor when not given."},
    {.name = "force",
     .kind = EBB_OPTION_FLAG,
     .target = &force,
     .help = "Replace files that are there."},
    {.name = "json", .kind = EBB_OPTION_FLAG, .target = &as_json, .help = "Print one JSON value."},
    {0},
};

const struct ebb_command ebb_command_unpack = {
    .name = "unpack",
    .arguments = "PACKED [FILE...]",
    .summary = "Get the files back out of a packed file",
    .details = "All of them, or the FILEs named (patterns such as '*.xtc' too). A file gets its "
               "name when its hash has matched; nothing that is there is replaced without --force.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .run = run,
};
