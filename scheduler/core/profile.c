/* Application profiles: YAML to a Profile. What the agent will rely on is checked here: patterns
 * compile, templates name what there is to fill in, globs stay inside the work directory. */
#include "scheduler/core/profile.h"

#include <limits.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/spec_read.h"

struct reader {
    struct ebb_yaml *y;
    Ebb__Profile *p;
};

typedef const struct ebb_yaml_node node;

static bool keys(struct reader *r, node *n, const char *where, const char *const *names,
                 size_t count)
{
    return ebb_yaml_check_keys_in(r->y, n, where, names, count);
}

static node *need(struct reader *r, node *n, const char *where, const char *key)
{
    node *value = ebb_yaml_get(n, key);
    if (value == NULL)
        ebb_yaml_fault(r->y, n, "%s lacks '%s'", where, key);
    return value;
}

static void text(struct reader *r, node *n, const char *what, char **field)
{
    if (n != NULL)
        ebb_spec_text(r->y, n, what, field);
}

static void flag(struct reader *r, node *n, const char *what, protobuf_c_boolean *field)
{
    bool value = false;
    if (n != NULL && ebb_yaml_read_bool(r->y, n, what, &value))
        *field = value;
}

static void pattern(struct reader *r, node *n, const char *what, size_t groups, char **field)
{
    struct ebb_error err = {0};
    const char *value = NULL;
    if (n == NULL || !ebb_yaml_read_text(r->y, n, what, &value))
        return;
    if (value[0] != '\0' && !ebb_spec_is_regex(value, groups, &err))
        ebb_yaml_fault(r->y, n, "%s: %s", what, err.text);
    else
        ebb_spec_set_text(field, value);
}

static void choice(struct reader *r, node *n, const char *what, const char *const *names,
                   size_t count, char **field)
{
    size_t i = 0;
    if (n != NULL && ebb_yaml_read_choice(r->y, n, what, names, count, &i))
        ebb_spec_set_text(field, names[i]);
}

static void globs(struct reader *r, node *n, const char *what, size_t *count, char ***field)
{
    if (n == NULL || !ebb_spec_texts(r->y, n, what, count, field))
        return;
    for (size_t i = 0; i < *count; i++) {
        if (!ebb_spec_is_inside((*field)[i]))
            ebb_yaml_fault(r->y, n, "%s: '%s' is not relative to the work directory", what,
                           (*field)[i]);
    }
}

static void glob(struct reader *r, node *n, const char *what, char **field)
{
    if (n == NULL || !ebb_spec_text(r->y, n, what, field))
        return;
    if (!ebb_spec_is_inside(*field))
        ebb_yaml_fault(r->y, n, "%s: '%s' is not relative to the work directory", what, *field);
}

static void read_stop(struct reader *r, node *n)
{
    static const char *const names[] = {"signal", "grace_s"};
    static const char *const signals[] = {"TERM", "INT", "USR1", "USR2", "HUP", "none"};
    r->p->stop = ebb_alloc(sizeof *r->p->stop);
    ebb__profile_stop__init(r->p->stop);
    ebb_spec_set_text(&r->p->stop->signal, "TERM");
    r->p->stop->grace_s = 10;
    if (n == NULL || !keys(r, n, "stop", names, EBB_ARRAY_LEN(names)))
        return;
    choice(r, ebb_yaml_get(n, "signal"), "stop.signal", signals, EBB_ARRAY_LEN(signals),
           &r->p->stop->signal);
    if (ebb_yaml_get(n, "grace_s") != NULL)
        ebb_yaml_read_double(r->y, ebb_yaml_get(n, "grace_s"), "stop.grace_s", 0, 3600,
                             &r->p->stop->grace_s);
}

static bool is_hex(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return s[n] == '\0' && n % 2 == 0 && n <= 512;
}

static void read_state(struct reader *r, node *n)
{
    static const char *const names[] = {"files",  "exclude", "step_pattern", "tail",   "min_bytes",
                                        "atomic", "trigger", "keep",         "deltas", "ranks"};
    static const char *const triggers[] = {"periodic", "signal"};
    static const char *const ranks[] = {"first", "each"};
    if (n == NULL || !keys(r, n, "state", names, EBB_ARRAY_LEN(names)))
        return;
    Ebb__ProfileState *s = r->p->state = ebb_alloc(sizeof *s);
    ebb__profile_state__init(s);
    ebb_spec_set_text(&s->trigger, "periodic");
    globs(r, need(r, n, "state", "files"), "state.files", &s->n_files, &s->files);
    globs(r, ebb_yaml_get(n, "exclude"), "state.exclude", &s->n_exclude, &s->exclude);
    pattern(r, ebb_yaml_get(n, "step_pattern"), "state.step_pattern", 1, &s->step_pattern);
    text(r, ebb_yaml_get(n, "tail"), "state.tail", &s->tail);
    flag(r, ebb_yaml_get(n, "atomic"), "state.atomic", &s->atomic);
    flag(r, ebb_yaml_get(n, "deltas"), "state.deltas", &s->deltas);
    if (!is_hex(s->tail))
        ebb_yaml_fault(r->y, ebb_yaml_get(n, "tail"),
                       "state.tail: '%s' is not an even number of hex digits (0-9, a-f)", s->tail);
    if (ebb_yaml_get(n, "min_bytes") != NULL)
        ebb_yaml_read_size(r->y, ebb_yaml_get(n, "min_bytes"), "state.min_bytes", &s->min_bytes);
    choice(r, ebb_yaml_get(n, "trigger"), "state.trigger", triggers, EBB_ARRAY_LEN(triggers),
           &s->trigger);
    size_t which = 0;
    if (ebb_yaml_get(n, "ranks") != NULL &&
        ebb_yaml_read_choice(r->y, ebb_yaml_get(n, "ranks"), "state.ranks", ranks,
                             EBB_ARRAY_LEN(ranks), &which))
        s->each_rank = which == 1;
    if (s->each_rank && s->step_pattern[0] == '\0')
        ebb_yaml_fault(r->y, ebb_yaml_get(n, "ranks"),
                       "state.ranks: 'each' needs a step_pattern: a checkpoint holds the states of "
                       "all ranks of one step, and the file's name must tell it");
    int64_t keep = 0;
    if (ebb_yaml_get(n, "keep") != NULL &&
        ebb_yaml_read_int(r->y, ebb_yaml_get(n, "keep"), "state.keep", 0, 1000, &keep))
        s->keep = (uint32_t)keep;
}

static Ebb__ProfileAppend *read_append(struct reader *r, node *n)
{
    static const char *const names[] = {"glob", "cut", "marker"};
    static const char *const cuts[] = {"engine", "length", "marker"};
    Ebb__ProfileAppend *a = ebb_alloc(sizeof *a);
    ebb__profile_append__init(a);
    ebb_spec_set_text(&a->cut, "length");
    if (!keys(r, n, "append", names, EBB_ARRAY_LEN(names)))
        return a;
    glob(r, need(r, n, "append", "glob"), "append.glob", &a->glob);
    choice(r, ebb_yaml_get(n, "cut"), "append.cut", cuts, EBB_ARRAY_LEN(cuts), &a->cut);
    text(r, ebb_yaml_get(n, "marker"), "append.marker", &a->marker);
    bool marks = strcmp(a->cut, "marker") == 0;
    if (marks && strstr(a->marker, "${step}") == NULL)
        ebb_yaml_fault(r->y, n, "append: cut 'marker' needs a marker with ${step} in it");
    else if (!marks && a->marker[0] != '\0')
        ebb_yaml_fault(r->y, n, "append: a marker is used with cut 'marker' alone, not '%s'",
                       a->cut);
    return a;
}

static void read_appends(struct reader *r, node *n)
{
    if (n == NULL)
        return;
    if (ebb_yaml_kind(n) != EBB_YAML_SEQUENCE) {
        ebb_yaml_fault(r->y, n,
                       "append: expected a list, such as [{glob: \"*.xtc\", cut: length}]");
        return;
    }
    r->p->append = ebb_alloc_array(ebb_yaml_count(n) + 1, sizeof *r->p->append);
    for (size_t i = 0; i < ebb_yaml_count(n); i++)
        r->p->append[r->p->n_append++] = read_append(r, ebb_yaml_item(n, i));
}

static void read_progress(struct reader *r, node *n)
{
    static const char *const names[] = {"file", "pattern", "total_pattern", "total_file"};
    if (n == NULL || !keys(r, n, "progress", names, EBB_ARRAY_LEN(names)))
        return;
    Ebb__ProfileProgress *p = r->p->progress = ebb_alloc(sizeof *p);
    ebb__profile_progress__init(p);
    glob(r, need(r, n, "progress", "file"), "progress.file", &p->file);
    pattern(r, need(r, n, "progress", "pattern"), "progress.pattern", 1, &p->pattern);
    pattern(r, ebb_yaml_get(n, "total_pattern"), "progress.total_pattern", 1, &p->total_pattern);
    glob(r, ebb_yaml_get(n, "total_file"), "progress.total_file", &p->total_file);
}

static void read_done(struct reader *r, node *n)
{
    static const char *const names[] = {"exit_zero", "files", "log_file", "log_pattern",
                                        "all_steps"};
    Ebb__ProfileDone *d = r->p->done = ebb_alloc(sizeof *d);
    ebb__profile_done__init(d);
    d->exit_zero = 1;
    if (n == NULL || !keys(r, n, "done", names, EBB_ARRAY_LEN(names)))
        return;
    flag(r, ebb_yaml_get(n, "exit_zero"), "done.exit_zero", &d->exit_zero);
    flag(r, ebb_yaml_get(n, "all_steps"), "done.all_steps", &d->all_steps);
    globs(r, ebb_yaml_get(n, "files"), "done.files", &d->n_files, &d->files);
    glob(r, ebb_yaml_get(n, "log_file"), "done.log_file", &d->log_file);
    pattern(r, ebb_yaml_get(n, "log_pattern"), "done.log_pattern", 0, &d->log_pattern);
    if ((d->log_file[0] == '\0') != (d->log_pattern[0] == '\0'))
        ebb_yaml_fault(r->y, n, "done: log_file and log_pattern need each other");
    if (d->all_steps && r->p->progress == NULL)
        ebb_yaml_fault(r->y, n, "done.all_steps: the profile reads no progress");
}

static void read_codes(struct reader *r, node *n, Ebb__ProfileExit *e)
{
    bool is_list = ebb_yaml_kind(n) == EBB_YAML_SEQUENCE;
    size_t count = is_list ? ebb_yaml_count(n) : 1;
    e->codes = ebb_alloc_array(count + 1, sizeof *e->codes);
    for (size_t i = 0; i < count; i++) {
        int64_t code = 0;
        if (ebb_yaml_read_int(r->y, is_list ? ebb_yaml_item(n, i) : n, "exit.codes", 0, 255, &code))
            e->codes[e->n_codes++] = (int32_t)code;
    }
}

static Ebb__ProfileExit *read_exit(struct reader *r, node *n)
{
    static const char *const names[] = {"kind", "codes", "pattern", "message"};
    static const char *const kinds[] = {"retry", "fatal", "preempted"};
    Ebb__ProfileExit *e = ebb_alloc(sizeof *e);
    ebb__profile_exit__init(e);
    if (!keys(r, n, "exit", names, EBB_ARRAY_LEN(names)))
        return e;
    choice(r, need(r, n, "exit", "kind"), "exit.kind", kinds, EBB_ARRAY_LEN(kinds), &e->kind);
    if (ebb_yaml_get(n, "codes") != NULL)
        read_codes(r, ebb_yaml_get(n, "codes"), e);
    pattern(r, ebb_yaml_get(n, "pattern"), "exit.pattern", 0, &e->pattern);
    text(r, ebb_yaml_get(n, "message"), "exit.message", &e->message);
    if (ebb_yaml_get(n, "codes") == NULL && ebb_yaml_get(n, "pattern") == NULL)
        ebb_yaml_fault(r->y, n, "exit: give codes, a pattern, or both");
    return e;
}

static void read_exits(struct reader *r, node *n)
{
    if (n == NULL)
        return;
    if (ebb_yaml_kind(n) != EBB_YAML_SEQUENCE) {
        ebb_yaml_fault(r->y, n, "exit: expected a list, such as [{kind: retry, codes: [75]}]");
        return;
    }
    r->p->exit = ebb_alloc_array(ebb_yaml_count(n) + 1, sizeof *r->p->exit);
    for (size_t i = 0; i < ebb_yaml_count(n); i++)
        r->p->exit[r->p->n_exit++] = read_exit(r, ebb_yaml_item(n, i));
}

static void add_environment(void *ctx, const char *name, const char *value)
{
    Ebb__Profile *p = ctx;
    Ebb__Profile__EnvironmentEntry *e = ebb_alloc(sizeof *e);
    ebb__profile__environment_entry__init(e);
    ebb_spec_set_text(&e->key, name);
    ebb_spec_set_text(&e->value, value);
    p->environment =
        ebb_realloc_array(p->environment, p->n_environment + 1, sizeof *p->environment);
    p->environment[p->n_environment++] = e;
}

static void read_must_match(struct reader *r, node *n)
{
    static const char *const known[] = {"engine_version", "cpu_model", "gpu_model", "cpus"};
    if (n == NULL || !ebb_spec_texts(r->y, n, "must_match", &r->p->n_must_match, &r->p->must_match))
        return;
    bool is_list = ebb_yaml_kind(n) == EBB_YAML_SEQUENCE;
    for (size_t i = 0; i < r->p->n_must_match; i++) {
        size_t which;
        ebb_yaml_read_choice(r->y, is_list ? ebb_yaml_item(n, i) : n, "must_match", known,
                             EBB_ARRAY_LEN(known), &which);
    }
}

/* The template must name what is filled in; ${name}s that are none of ours are left to the shell.
 */
static void read_template(struct reader *r, node *n, const char *what, const char *must,
                          char **field)
{
    if (n == NULL || !ebb_spec_text(r->y, n, what, field))
        return;
    if (strstr(*field, must) == NULL)
        ebb_yaml_fault(r->y, n, "%s: '%s' lacks %s", what, *field, must);
}

static void read_root(struct reader *r, node *n)
{
    static const char *const names[] = {
        "name",  "version_command", "start",      "resume",     "environment", "stop",
        "state", "append",          "ignore",     "progress",   "done",        "nondeterministic",
        "exit",  "must_match",      "continuity", "checkpoints"};
    static const char *const continuities[] = {"bitwise", "statistical", "none"};
    if (!keys(r, n, "a profile", names, EBB_ARRAY_LEN(names)))
        return;
    Ebb__Profile *p = r->p;
    text(r, need(r, n, "the profile", "name"), "name", &p->name);
    if (p->name[0] != '\0' && !ebb_spec_is_name(p->name))
        ebb_yaml_fault(r->y, ebb_yaml_get(n, "name"),
                       "name: '%s' may hold letters, digits, '_', '.', '-' alone, at most 64",
                       p->name);
    text(r, ebb_yaml_get(n, "version_command"), "version_command", &p->version_command);
    read_template(r, need(r, n, "the profile", "start"), "start", "${command}", &p->start);
    read_template(r, ebb_yaml_get(n, "resume"), "resume", "${command}", &p->resume);
    ebb_spec_environment(r->y, ebb_yaml_get(n, "environment"), add_environment, p);
    read_stop(r, ebb_yaml_get(n, "stop"));
    read_state(r, ebb_yaml_get(n, "state"));
    read_appends(r, ebb_yaml_get(n, "append"));
    globs(r, ebb_yaml_get(n, "ignore"), "ignore", &p->n_ignore, &p->ignore);
    read_progress(r, ebb_yaml_get(n, "progress"));
    read_done(r, ebb_yaml_get(n, "done"));
    globs(r, ebb_yaml_get(n, "nondeterministic"), "nondeterministic", &p->n_nondeterministic,
          &p->nondeterministic);
    read_exits(r, ebb_yaml_get(n, "exit"));
    read_must_match(r, ebb_yaml_get(n, "must_match"));
    choice(r, ebb_yaml_get(n, "continuity"), "continuity", continuities,
           EBB_ARRAY_LEN(continuities), &p->continuity);
    p->checkpoints = p->state != NULL;
    flag(r, ebb_yaml_get(n, "checkpoints"), "checkpoints", &p->checkpoints);
    if (p->checkpoints && (p->state == NULL || p->resume[0] == '\0'))
        ebb_yaml_fault(r->y, n, "a profile that checkpoints needs 'state' and 'resume'");
}

int ebb_profile_parse(const char *file_name, const char *text_in, size_t len, Ebb__Profile **ret,
                      struct ebb_buffer *faults, struct ebb_error *err)
{
    struct reader r = {0};
    int rc = ebb_yaml_parse(file_name, text_in, len, &r.y, err);
    if (rc < 0) {
        if (faults != NULL && err != NULL)
            ebb_buffer_printf(faults, "%s\n", err->text);
        return rc;
    }
    r.p = ebb_alloc(sizeof *r.p);
    ebb__profile__init(r.p);
    if (ebb_yaml_root(r.y) == NULL)
        rc = ebb_error_set(err, EBB_ERR_INPUT, "%s:1:1: the profile is empty", file_name);
    else
        read_root(&r, ebb_yaml_root(r.y));
    if (rc < 0 && faults != NULL && err != NULL)
        ebb_buffer_printf(faults, "%s\n", err->text);
    if (rc == 0)
        rc = ebb_yaml_faults(r.y, faults, err);
    ebb_yaml_destroy(r.y);
    if (rc < 0)
        ebb__profile__free_unpacked(r.p, NULL);
    else
        *ret = r.p;
    return rc;
}
