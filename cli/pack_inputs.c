/* Names inside are as given where they are contained, else the last component. */
#include "cli/pack_inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "pack/entry.h"
#include "pack/trajectory.h"

/* Enough to tell restart state by. */
enum { HEAD_BYTES = 4096 };

static char *inner_name(const char *path)
{
    while (ebb_starts_with(path, "./"))
        path += 2 + strspn(path + 2, "/");
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    char *name = ebb_strndup(path, len);
    if (ebb_packed_check_name(name, NULL) == 0)
        return name;
    EBB_AUTO_FREE char *whole = name;
    const char *slash = strrchr(whole, '/');
    return ebb_strdup(slash == NULL ? whole : slash + 1);
}

static int order_of(const char *path)
{
    uint8_t head[HEAD_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t len = fd < 0 ? -1 : read(fd, head, sizeof head);
    if (fd >= 0)
        (void)close(fd);
    return len <= 0 ? 0 : ebb_trajectory_order(head, (size_t)len);
}

/* Takes `name`. */
static void add(struct ebb_pack_inputs *in, const char *path, char *name, const struct stat *st)
{
    if (in->count == in->capacity) {
        in->capacity = in->capacity == 0 ? 16 : 2 * in->capacity;
        in->list = ebb_realloc_array(in->list, in->capacity, sizeof *in->list);
    }
    in->list[in->count++] =
        (struct ebb_pack_input){.path = ebb_strdup(path), .name = name, .order = order_of(path)};
    in->bytes += (uint64_t)st->st_size;
}

struct folder {
    struct ebb_pack_inputs *in;
    char *name; /* "" for the current one */
    struct stat out;
    bool has_out;
};

static int add_below(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    struct folder *f = ctx;
    struct stat st;
    if (lstat(path, &st) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot stat %s", path);
    if (S_ISLNK(st.st_mode)) {
        f->in->links++;
        return 0;
    }
    if (f->has_out && st.st_dev == f->out.st_dev && st.st_ino == f->out.st_ino)
        return 0;
    add(f->in, path, f->name[0] == '\0' ? ebb_strdup(relative) : ebb_path_join(f->name, relative),
        &st);
    return 0;
}

static int add_folder(struct ebb_pack_inputs *in, const char *path, const char *out_path,
                      struct ebb_error *err)
{
    EBB_AUTO_FREE char *name = inner_name(path);
    struct folder f = {.in = in, .name = name};
    f.has_out = stat(out_path, &f.out) == 0;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "/") == 0)
        name[0] = '\0';
    return ebb_walk(path, add_below, &f, err);
}

static void sort(struct ebb_pack_inputs *in)
{
    struct ebb_pack_input *sorted = ebb_alloc_array(in->count + 1, sizeof *sorted);
    size_t n = 0;
    for (int order = 0; order < EBB_TRAJECTORY_ORDERS; order++)
        for (size_t i = 0; i < in->count; i++)
            if (in->list[i].order == order)
                sorted[n++] = in->list[i];
    free(in->list);
    in->list = sorted;
    in->capacity = in->count;
}

int ebb_pack_inputs_find(char **paths, int count, const char *out_path, struct ebb_pack_inputs *ret,
                         struct ebb_error *err)
{
    for (int i = 0; i < count; i++) {
        struct stat st;
        if (stat(paths[i], &st) < 0)
            return ebb_error_set_errno(err, EBB_ERR_INPUT, errno, "cannot open %s", paths[i]);
        int rc = 0;
        if (S_ISDIR(st.st_mode))
            rc = add_folder(ret, paths[i], out_path, err);
        else
            add(ret, paths[i], inner_name(paths[i]), &st);
        if (rc < 0)
            return rc;
    }
    if (ret->links > 0)
        (void)fprintf(stderr, "note: %zu symbolic link%s left out\n", ret->links,
                      ret->links == 1 ? " is" : "s are");
    if (ret->count == 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "there is no file to pack in %s", paths[0]);
    sort(ret);
    return 0;
}

void ebb_pack_inputs_clean_up(struct ebb_pack_inputs *in)
{
    for (size_t i = 0; i < in->count; i++) {
        free(in->list[i].path);
        free(in->list[i].name);
    }
    free(in->list);
    *in = (struct ebb_pack_inputs){0};
}
