/* A job that has done its work never fails because an output cannot be made smaller. */
#include "agent/pack_outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/packed_output.h"

void ebb_packed_outputs_clean_up(struct ebb_packed_outputs *p)
{
    for (size_t i = 0; i < p->count; i++)
        ebb_packed_output_clean_up(&p->list[i]);
    free(p->list);
    if (p->folder != NULL)
        (void)ebb_remove_tree(p->folder, NULL);
    free(p->folder);
    *p = (struct ebb_packed_outputs){0};
}

/* The first output that the file is of says how. */
static const Ebb__Packing *packing_of(const Ebb__JobGroup *g, const char *path)
{
    for (size_t i = 0; i < g->n_outputs; i++)
        if (ebb_glob_match(g->outputs[i]->pattern, path))
            return g->outputs[i]->pack;
    return NULL;
}

static int pack_one(const struct ebb_task *t, struct ebb_commit_file *f, const Ebb__Packing *pack,
                    struct ebb_packed_outputs *p, size_t i, struct ebb_error *err)
{
    struct ebb_packing how = {.error = pack->error, .small = pack->small};
    (void)snprintf(how.unit, sizeof how.unit, "%s", pack->unit);
    EBB_AUTO_FREE char *from = ebb_path_join(t->work, f->path);
    EBB_AUTO_FREE char *to = ebb_sprintf("%s/%zu.ebbp", p->folder, i);
    struct ebb_error why = {0};
    struct stat st;
    if (lstat(from, &st) == 0 && !S_ISREG(st.st_mode))
        return 0;
    int rc = ebb_output_pack(from, to, &how, &p->list[i], &why);
    if (rc > 0) {
        f->packed = &p->list[i];
    } else if (rc == EBB_ERR_INPUT || rc == EBB_ERR_UNSUPPORTED) {
        ebb_task_note(t, "output %s is kept byte for byte: %s", f->path, why.text);
        rc = 0;
    } else if (rc < 0 && err != NULL) {
        ebb_error_copy(err, &why);
    }
    return rc < 0 ? rc : 0;
}

static int make_folder(const struct ebb_task *t, struct ebb_packed_outputs *p,
                       struct ebb_error *err)
{
    if (p->folder != NULL)
        return 0;
    p->folder = ebb_path_join(t->directory, "packed");
    int rc = ebb_remove_tree(p->folder, err);
    return rc < 0 ? rc : ebb_mkdir_p(p->folder, 0700, err);
}

int ebb_outputs_pack(const struct ebb_task *t, struct ebb_commit_list *list, int64_t deadline_ns,
                     struct ebb_packed_outputs *ret, struct ebb_error *err)
{
    ret->list = ebb_alloc_array(list->count + 1, sizeof *ret->list);
    ret->count = list->count;
    int rc = 0;
    for (size_t i = 0; i < list->count && rc == 0; i++) {
        const Ebb__Packing *pack = packing_of(t->group, list->files[i].path);
        if (pack == NULL)
            continue;
        list->files[i].plain = pack->none;
        if (!(pack->error > 0))
            continue;
        if (deadline_ns != 0) {
            ebb_task_note(t, "output %s is kept byte for byte: the VM is about to go",
                          list->files[i].path);
            continue;
        }
        rc = make_folder(t, ret, err);
        if (rc == 0)
            rc = pack_one(t, &list->files[i], pack, ret, i, err);
    }
    return rc;
}
