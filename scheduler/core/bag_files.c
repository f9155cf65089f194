/* Inputs and outputs of a job group. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/spec_read.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void read_path(struct ebb_bag_parser *p, ebb_bag_node *at, Ebb__Input *in)
{
    if (at == NULL || !ebb_spec_text(p->y, at, "inputs", &in->path))
        return;
    const char *base = base_name(in->path);
    if (base[0] == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
        ebb_yaml_fault(p->y, at, "inputs: '%s' is no file", in->path);
        return;
    }
    in->is_template = ebb_ends_with(base, ".in") && strlen(base) > 3;
}

static void read_from(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__Input *in)
{
    ebb_spec_text(p->y, ebb_yaml_get(n, "from"), "inputs.from", &in->from_group);
    ebb_bag_node *files = ebb_yaml_get(n, "files");
    if (files == NULL || !ebb_spec_texts(p->y, files, "inputs.files", &in->n_files, &in->files))
        return;
    for (size_t i = 0; i < in->n_files; i++) {
        if (!ebb_spec_is_inside(in->files[i]))
            ebb_yaml_fault(p->y, files, "inputs.files: '%s' is not relative to the work directory",
                           in->files[i]);
    }
}

static Ebb__Input *read_input(struct ebb_bag_parser *p, ebb_bag_node *n)
{
    static const char *const names[] = {"from", "files", "path", "template"};
    Ebb__Input *in = ebb_alloc(sizeof *in);
    ebb__input__init(in);
    in->mode = 0644;
    if (ebb_yaml_kind(n) == EBB_YAML_SCALAR) {
        read_path(p, n, in);
        return in;
    }
    if (!ebb_yaml_check_keys_in(p->y, n, "an input", names, EBB_ARRAY_LEN(names)))
        return in;
    bool from = ebb_yaml_get(n, "from") != NULL, path = ebb_yaml_get(n, "path") != NULL;
    if (from == path) {
        ebb_yaml_fault(p->y, n, "an input is a path, or {from: GROUP, files: [...]}");
    } else if (from) {
        read_from(p, n, in);
        if (ebb_yaml_get(n, "template") != NULL)
            ebb_yaml_fault(p->y, ebb_yaml_get(n, "template"),
                           "inputs.template: outputs of a group are not filled in");
    } else {
        bool is_template = false;
        read_path(p, ebb_yaml_get(n, "path"), in);
        if (ebb_yaml_get(n, "files") != NULL)
            ebb_yaml_fault(p->y, ebb_yaml_get(n, "files"), "inputs.files goes with 'from'");
        if (ebb_yaml_get(n, "template") != NULL &&
            ebb_yaml_read_bool(p->y, ebb_yaml_get(n, "template"), "inputs.template", &is_template))
            in->is_template = is_template;
    }
    return in;
}

/* Where a file comes to lie: its base name, without ".in" when it is a template. */
static char *place_of(const Ebb__Input *in)
{
    const char *base = base_name(in->path);
    size_t len = strlen(base);
    return ebb_strndup(base, in->is_template && ebb_ends_with(base, ".in") ? len - 3 : len);
}

static void check_places(struct ebb_bag_parser *p, ebb_bag_node *n, const Ebb__JobGroup *g)
{
    struct ebb_map *places = ebb_map_new(NULL);
    for (size_t i = 0; i < g->n_inputs; i++) {
        Ebb__Input *in = g->inputs[i];
        if (in->path[0] == '\0')
            continue;
        EBB_AUTO_FREE char *place = place_of(in);
        const Ebb__Input *other = ebb_map_get(places, place);
        if (other != NULL)
            ebb_yaml_fault(p->y, ebb_yaml_item(n, i),
                           "inputs: '%s' and '%s' would both be '%s' in the work directory",
                           other->path, in->path, place);
        ebb_map_set(places, place, in);
    }
    ebb_map_destroy(places);
}

void ebb_bag_read_files(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g)
{
    if (n == NULL)
        return;
    if (ebb_yaml_kind(n) != EBB_YAML_SEQUENCE) {
        ebb_yaml_fault(p->y, n,
                       "inputs: expected a list, such as [conf.gro, {from: nvt, files: "
                       "[nvt.xtc]}]");
        return;
    }
    g->inputs = ebb_alloc_array(ebb_yaml_count(n) + 1, sizeof *g->inputs);
    for (size_t i = 0; i < ebb_yaml_count(n); i++)
        g->inputs[g->n_inputs++] = read_input(p, ebb_yaml_item(n, i));
    check_places(p, n, g);
}

/* Suffixes of what must come back bit for bit. */
static bool is_exact_file(const char *pattern)
{
    static const char *const suffixes[] = {".cpt", ".pt",  ".pth",     ".safetensors", ".ckpt",
                                           ".npy", ".npz", ".restart", ".tpr",         ".edr",
                                           ".chk", ".rst", ".rst7",    ".h5",          ".hdf5"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(suffixes); i++)
        if (ebb_ends_with(pattern, suffixes[i]))
            return true;
    return false;
}

static void read_error(struct ebb_bag_parser *p, ebb_bag_node *n, const char *pattern,
                       Ebb__Packing *pack)
{
    EBB_AUTO_FREE char *text = NULL;
    char unit[4];
    double error = 0;
    struct ebb_error why = {0};
    if (n == NULL || !ebb_spec_text(p->y, n, "outputs.pack.error", &text))
        return;
    if (ebb_parse_length(text, &error, unit, &why) < 0) {
        ebb_yaml_fault(p->y, n, "outputs.pack.error: %s", why.text);
        return;
    }
    if (is_exact_file(pattern)) {
        ebb_yaml_fault(p->y, n,
                       "outputs.pack.error: '%s' is no trajectory; restart state, weights and "
                       "energies come back bit for bit",
                       pattern);
        return;
    }
    pack->error = error;
    ebb_spec_set_text(&pack->unit, unit);
}

static void read_level(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__Packing *pack)
{
    EBB_AUTO_FREE char *level = NULL;
    if (n == NULL || !ebb_spec_text(p->y, n, "outputs.pack.level", &level))
        return;
    pack->small = strcmp(level, "small") == 0;
    if (!pack->small && strcmp(level, "fast") != 0)
        ebb_yaml_fault(p->y, n, "outputs.pack.level: '%s' is neither fast nor small", level);
}

/* `pack: none`, `pack: lossless`, `pack: {error: 0.0005 nm, level: small}`. */
static Ebb__Packing *read_packing(struct ebb_bag_parser *p, ebb_bag_node *n, const char *pattern)
{
    static const char *const names[] = {"error", "level"};
    Ebb__Packing *pack = ebb_alloc(sizeof *pack);
    ebb__packing__init(pack);
    if (ebb_yaml_kind(n) != EBB_YAML_SCALAR) {
        if (!ebb_yaml_check_keys_in(p->y, n, "outputs.pack", names, EBB_ARRAY_LEN(names)))
            return pack;
        read_error(p, ebb_bag_need(p, n, "outputs.pack", "error"), pattern, pack);
        read_level(p, ebb_yaml_get(n, "level"), pack);
        return pack;
    }
    EBB_AUTO_FREE char *word = NULL;
    if (!ebb_spec_text(p->y, n, "outputs.pack", &word))
        return pack;
    pack->none = strcmp(word, "none") == 0;
    if (!pack->none && strcmp(word, "lossless") != 0)
        ebb_yaml_fault(
            p->y, n,
            "outputs.pack: '%s' is neither lossless nor none; a bound for a trajectory is "
            "{error: 0.0005 nm}",
            word);
    return pack;
}

static Ebb__Output *read_output(struct ebb_bag_parser *p, ebb_bag_node *n)
{
    static const char *const names[] = {"file", "nondeterministic", "optional", "ranks", "pack"};
    static const char *const ranks[] = {"first", "each"};
    Ebb__Output *out = ebb_alloc(sizeof *out);
    ebb__output__init(out);
    ebb_bag_node *file = n;
    if (ebb_yaml_kind(n) != EBB_YAML_SCALAR) {
        if (!ebb_yaml_check_keys_in(p->y, n, "an output", names, EBB_ARRAY_LEN(names)))
            return out;
        bool flag = false;
        file = ebb_bag_need(p, n, "the output", "file");
        if (ebb_yaml_get(n, "nondeterministic") != NULL &&
            ebb_yaml_read_bool(p->y, ebb_yaml_get(n, "nondeterministic"), "nondeterministic",
                               &flag))
            out->nondeterministic = flag;
        if (ebb_yaml_get(n, "optional") != NULL &&
            ebb_yaml_read_bool(p->y, ebb_yaml_get(n, "optional"), "optional", &flag))
            out->optional = flag;
        size_t which = 0;
        if (ebb_yaml_get(n, "ranks") != NULL &&
            ebb_yaml_read_choice(p->y, ebb_yaml_get(n, "ranks"), "ranks", ranks,
                                 EBB_ARRAY_LEN(ranks), &which))
            out->each_rank = which == 1;
    }
    if (file != NULL && ebb_spec_text(p->y, file, "outputs", &out->pattern) &&
        !ebb_spec_is_inside(out->pattern))
        ebb_yaml_fault(p->y, file, "outputs: '%s' is not relative to the work directory",
                       out->pattern);
    if (ebb_yaml_kind(n) != EBB_YAML_SCALAR && ebb_yaml_get(n, "pack") != NULL)
        out->pack = read_packing(p, ebb_yaml_get(n, "pack"), out->pattern);
    return out;
}

void ebb_bag_read_outputs(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g)
{
    if (n == NULL)
        return;
    bool is_list = ebb_yaml_kind(n) == EBB_YAML_SEQUENCE;
    size_t count = is_list ? ebb_yaml_count(n) : 1;
    g->outputs = ebb_alloc_array(count + 1, sizeof *g->outputs);
    for (size_t i = 0; i < count; i++)
        g->outputs[g->n_outputs++] = read_output(p, is_list ? ebb_yaml_item(n, i) : n);
}
