/* A pickle machine that only looks (Python's pickletools documents the opcodes): a stack, a memo,
 * and containers with what was put into them. In the end the containers are walked from the top,
 * for the tensors' names.
 *
 * Every opcode makes at most a constant number of values, so memory is bounded by the pickle's
 * length; LIMIT bounds it further. */
#include "formats/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "formats/bytes.h"
#include "formats/tensor_range.h"

#define LIMIT     ((size_t)4 << 20) /* values on the stack, in the memo, entries, tuples' items */
#define MAX_DEPTH 100
#define MAX_NAME  1024

enum kind {
    OTHER,
    MARK,
    NONE,
    INTEGER,   /* number */
    STRING,    /* text, len */
    GLOBAL,    /* text: "module name", len */
    TUPLE,     /* number: of its first item, len: how many */
    CONTAINER, /* number */
    STORAGE,   /* number */
    TENSOR,    /* number: of its storage; the name goes there */
};

struct value {
    enum kind kind;
    uint32_t len;
    union {
        int64_t number;
        const uint8_t *text;
    };
};

struct entry {
    struct value key, value;
    uint32_t next; /* 0: the last */
};

struct container {
    uint32_t first, last; /* entries, 0: none */
    bool seen;
};

struct array {
    void *data;
    size_t count, capacity;
};

struct machine {
    const uint8_t *at, *end;
    struct array stack, memo, items, entries, containers;
    struct ebb_pickle_storages *storages;
    size_t storages_capacity;
};

/* One more of `size` bytes; NULL at the limit. */
static void *more(struct array *a, size_t size)
{
    if (a->count == LIMIT)
        return NULL;
    if (a->count == a->capacity) {
        a->capacity = a->capacity == 0 ? 64 : 2 * a->capacity;
        a->data = ebb_realloc_array(a->data, a->capacity, size);
    }
    return (char *)a->data + size * a->count++;
}

static bool push(struct machine *m, struct value v)
{
    struct value *slot = more(&m->stack, sizeof v);
    if (slot != NULL)
        *slot = v;
    return slot != NULL;
}

static bool push_kind(struct machine *m, enum kind kind, int64_t number)
{
    return push(m, (struct value){.kind = kind, .number = number});
}

static struct value *stack_of(const struct machine *m)
{
    return m->stack.data;
}

static bool pop(struct machine *m, struct value *ret)
{
    if (m->stack.count == 0)
        return false;
    *ret = stack_of(m)[--m->stack.count];
    return true;
}

static struct value *top(const struct machine *m)
{
    return m->stack.count > 0 ? &stack_of(m)[m->stack.count - 1] : NULL;
}

/* The stack's place of the last mark; false when there is none. */
static bool find_mark(const struct machine *m, size_t *ret)
{
    for (size_t i = m->stack.count; i-- > 0;)
        if (stack_of(m)[i].kind == MARK) {
            *ret = i;
            return true;
        }
    return false;
}

static bool take_bytes(struct machine *m, uint64_t n, const uint8_t **ret)
{
    if (n > (uint64_t)(m->end - m->at))
        return false;
    *ret = m->at;
    m->at += n;
    return true;
}

/* A little-endian number of `bytes` bytes. */
static bool take_number(struct machine *m, unsigned bytes, uint64_t *ret)
{
    const uint8_t *p;
    uint64_t value = 0;
    if (!take_bytes(m, bytes, &p))
        return false;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    *ret = value;
    return true;
}

static bool take_line(struct machine *m, const uint8_t **ret, size_t *ret_len)
{
    const uint8_t *line = m->at, *end = memchr(line, '\n', (size_t)(m->end - m->at));
    if (end == NULL)
        return false;
    *ret = line;
    *ret_len = (size_t)(end - line);
    m->at = end + 1;
    return true;
}

static bool push_string(struct machine *m, unsigned bytes, enum kind kind)
{
    uint64_t n;
    const uint8_t *text;
    if (!take_number(m, bytes, &n) || !take_bytes(m, n, &text) || n > UINT32_MAX)
        return false;
    return push(m, (struct value){.kind = kind, .len = (uint32_t)n, .text = text});
}

static bool push_container(struct machine *m)
{
    struct container *c = more(&m->containers, sizeof *c);
    if (c == NULL)
        return false;
    *c = (struct container){0};
    return push_kind(m, CONTAINER, (int64_t)m->containers.count - 1);
}

static bool put_in(struct machine *m, int64_t number, struct value key, struct value value)
{
    if (m->entries.count == 0 && more(&m->entries, sizeof(struct entry)) == NULL)
        return false;
    struct entry *e = more(&m->entries, sizeof *e);
    if (e == NULL)
        return false;
    *e = (struct entry){key, value, 0};
    uint32_t own = (uint32_t)m->entries.count - 1;
    struct container *c = (struct container *)m->containers.data + number;
    if (c->last != 0)
        ((struct entry *)m->entries.data)[c->last].next = own;
    else
        c->first = own;
    c->last = own;
    return true;
}

/* The values from `first` on into the container below them: pairs, or numbered when not. */
static bool fill(struct machine *m, size_t first, size_t mark, bool pairs)
{
    if (mark == 0)
        return false;
    struct value into = stack_of(m)[mark - 1];
    size_t n = m->stack.count - first;
    for (size_t i = 0; into.kind == CONTAINER && i + (pairs ? 1 : 0) < n; i += pairs ? 2 : 1) {
        struct value *v = stack_of(m) + first + i;
        struct value key = pairs ? v[0] : (struct value){.kind = INTEGER, .number = (int64_t)i};
        if (!put_in(m, into.number, key, pairs ? v[1] : v[0]))
            return false;
    }
    m->stack.count = mark;
    return true;
}

static bool fill_from_mark(struct machine *m, bool pairs)
{
    size_t mark;
    return find_mark(m, &mark) && fill(m, mark + 1, mark, pairs);
}

/* The `n` values on top as one tuple; `drop` more below them (the mark) go too. */
static bool make_tuple(struct machine *m, size_t n, size_t drop)
{
    if (m->stack.count < n + drop)
        return false;
    struct value tuple = {.kind = TUPLE, .len = (uint32_t)n, .number = (int64_t)m->items.count};
    for (size_t i = 0; i < n; i++) {
        struct value *slot = more(&m->items, sizeof *slot);
        if (slot == NULL)
            return false;
        *slot = stack_of(m)[m->stack.count - n + i];
    }
    m->stack.count -= n + drop;
    return push(m, tuple);
}

static bool tuple_from_mark(struct machine *m)
{
    size_t mark;
    return find_mark(m, &mark) && make_tuple(m, m->stack.count - mark - 1, 1);
}

static bool container_from_mark(struct machine *m, bool pairs)
{
    size_t mark;
    if (!find_mark(m, &mark))
        return false;
    size_t n = m->stack.count;
    if (!push_container(m))
        return false;
    struct value made = stack_of(m)[n];
    m->stack.count = n;
    stack_of(m)[mark] = made; /* in the mark's place, below its values */
    return fill(m, mark + 1, mark + 1, pairs);
}

static const struct value *item(const struct machine *m, struct value tuple, size_t i)
{
    if (tuple.kind != TUPLE || i >= tuple.len)
        return NULL;
    return (const struct value *)m->items.data + tuple.number + i;
}

static bool is_text(struct value v, enum kind kind, const char *text)
{
    return v.kind == kind && v.len == strlen(text) && memcmp(v.text, text, v.len) == 0;
}

/* "torch FloatStorage", or a type of elements: "torch float8_e4m3fn". */
static bool dtype_of(struct value global, enum ebb_dtype *ret)
{
    static const struct {
        const char *name;
        enum ebb_dtype dtype;
    } storages[] = {
        {"torch FloatStorage", EBB_DTYPE_F32},        {"torch DoubleStorage", EBB_DTYPE_F64},
        {"torch HalfStorage", EBB_DTYPE_F16},         {"torch BFloat16Storage", EBB_DTYPE_BF16},
        {"torch LongStorage", EBB_DTYPE_I64},         {"torch IntStorage", EBB_DTYPE_I32},
        {"torch ShortStorage", EBB_DTYPE_I16},        {"torch CharStorage", EBB_DTYPE_I8},
        {"torch ByteStorage", EBB_DTYPE_U8},          {"torch BoolStorage", EBB_DTYPE_BOOL},
        {"torch ComplexFloatStorage", EBB_DTYPE_F32}, {"torch ComplexDoubleStorage", EBB_DTYPE_F64},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(storages); i++)
        if (is_text(global, GLOBAL, storages[i].name)) {
            *ret = storages[i].dtype;
            return true;
        }
    char name[32];
    if (global.kind != GLOBAL || global.len < 7 || global.len - 6 >= sizeof name ||
        memcmp(global.text, "torch ", 6) != 0)
        return false;
    memcpy(name, global.text + 6, global.len - 6);
    name[global.len - 6] = 0;
    return ebb_dtype_parse(name, ret);
}

/* ('storage', type, key, location, elements). A storage that was seen before is the same one. */
static bool push_storage(struct machine *m, struct value id)
{
    const struct value *tag = item(m, id, 0), *type = item(m, id, 1), *key = item(m, id, 2),
                       *elements = item(m, id, 4);
    if (elements == NULL || !is_text(*tag, STRING, "storage") || key->kind != STRING ||
        elements->kind != INTEGER || elements->number < 0 || key->len > MAX_NAME)
        return push_kind(m, OTHER, 0);
    struct ebb_pickle_storages *all = m->storages;
    if (all->count == LIMIT)
        return false;
    if (all->count == m->storages_capacity) {
        m->storages_capacity = m->storages_capacity == 0 ? 64 : 2 * m->storages_capacity;
        all->items = ebb_realloc_array(all->items, m->storages_capacity, sizeof *all->items);
    }
    struct ebb_pickle_storage *s = &all->items[all->count];
    *s = (struct ebb_pickle_storage){.key = ebb_strndup((const char *)key->text, key->len),
                                     .name = ebb_strdup(""),
                                     .elements = (uint64_t)elements->number,
                                     .rows = 1,
                                     .columns = (uint64_t)elements->number};
    s->known = dtype_of(*type, &s->dtype);
    return push_kind(m, STORAGE, (int64_t)all->count++);
}

/* True and the shape, when the tensor is its whole storage with the last axis contiguous. */
static void set_extents(struct machine *m, struct ebb_pickle_storage *s, struct value args)
{
    const struct value *offset = item(m, args, 1), *size = item(m, args, 2),
                       *stride = item(m, args, 3);
    uint64_t shape[EBB_MAX_DIMENSIONS], step = 1;
    if (stride == NULL || offset->kind != INTEGER || offset->number != 0 || size->kind != TUPLE ||
        stride->kind != TUPLE || size->len != stride->len || size->len > EBB_MAX_DIMENSIONS)
        return;
    for (size_t i = size->len; i-- > 0;) {
        const struct value *axis = item(m, *size, i), *apart = item(m, *stride, i);
        if (axis->kind != INTEGER || apart->kind != INTEGER || axis->number < 0 ||
            (axis->number > 1 && (uint64_t)apart->number != step))
            return;
        shape[i] = (uint64_t)axis->number;
        if (__builtin_mul_overflow(step, shape[i], &step))
            return;
    }
    struct ebb_range range;
    if (step != s->elements || step == 0 || !ebb_tensor_extents(shape, size->len, &range))
        return;
    s->rows = range.rows;
    s->columns = range.columns;
}

/* A call: what rebuilds tensors is known, OrderedDict and the like are containers, all else an
 * object that may get a state. */
static bool reduce(struct machine *m)
{
    struct value args, callee;
    if (!pop(m, &args) || !pop(m, &callee))
        return false;
    bool v2 = is_text(callee, GLOBAL, "torch._utils _rebuild_tensor_v2");
    bool v3 = is_text(callee, GLOBAL, "torch._utils _rebuild_tensor_v3");
    const struct value *first = item(m, args, 0);
    if ((v2 || v3 || is_text(callee, GLOBAL, "torch._utils _rebuild_tensor")) && first != NULL &&
        first->kind == STORAGE) {
        struct ebb_pickle_storage *s = &m->storages->items[first->number];
        const struct value *dtype = v3 ? item(m, args, 6) : NULL;
        enum ebb_dtype known;
        if (dtype != NULL && dtype_of(*dtype, &known)) {
            /* An untyped storage counts bytes. */
            s->elements /= s->known ? 1 : ebb_dtype_size(known);
            s->columns = s->elements;
            s->dtype = known;
            s->known = true;
        }
        set_extents(m, s, args);
        return push_kind(m, TENSOR, first->number);
    }
    if (is_text(callee, GLOBAL, "torch._utils _rebuild_parameter") && first != NULL)
        return push(m, *first);
    return push_container(m);
}

/* state into object */
static bool build(struct machine *m)
{
    struct value state;
    if (!pop(m, &state) || top(m) == NULL)
        return false;
    if (top(m)->kind != CONTAINER)
        return true;
    return put_in(m, top(m)->number, (struct value){.kind = NONE}, state);
}

static bool set_memo(struct machine *m, uint64_t index)
{
    struct value kept;
    if (!pop(m, &kept) || index >= LIMIT)
        return false;
    while (m->memo.count <= index) {
        struct value *slot = more(&m->memo, sizeof *slot);
        if (slot == NULL)
            return false;
        *slot = (struct value){.kind = OTHER};
    }
    ((struct value *)m->memo.data)[index] = kept;
    return push(m, kept);
}

static bool get_memo(struct machine *m, uint64_t index)
{
    return index < m->memo.count && push(m, ((struct value *)m->memo.data)[index]);
}

static bool memo_op(struct machine *m, unsigned bytes, bool set)
{
    uint64_t index;
    if (!take_number(m, bytes, &index))
        return false;
    return set ? set_memo(m, index) : get_memo(m, index);
}

static bool push_integer(struct machine *m, unsigned bytes)
{
    uint64_t n;
    if (!take_number(m, bytes, &n))
        return false;
    return push_kind(m, INTEGER, bytes == 4 ? (int32_t)n : (int64_t)n);
}

/* LONG1: a signed number of as many bytes as its first says. */
static bool push_long(struct machine *m)
{
    uint64_t len, n;
    if (!take_number(m, 1, &len))
        return false;
    if (len > 8) {
        const uint8_t *skipped;
        return take_bytes(m, len, &skipped) && push_kind(m, OTHER, 0);
    }
    if (!take_number(m, (unsigned)len, &n))
        return false;
    unsigned unused = 64 - 8 * (unsigned)len;
    return push_kind(m, INTEGER, len == 0 ? 0 : (int64_t)(n << unused) >> unused);
}

/* "module\nname\n" as one text, with the newline between them as a space. */
static bool push_global(struct machine *m)
{
    static const struct value unknown = {.kind = GLOBAL, .len = 0, .text = (const uint8_t *)""};
    const uint8_t *module, *name;
    size_t module_len, name_len;
    if (!take_line(m, &module, &module_len) || !take_line(m, &name, &name_len))
        return false;
    /* The names that matter, so that nothing needs to be copied. */
    static const char *const wanted[] = {
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_tensor_v3",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_parameter",
        "torch FloatStorage",
        "torch DoubleStorage",
        "torch HalfStorage",
        "torch BFloat16Storage",
        "torch LongStorage",
        "torch IntStorage",
        "torch ShortStorage",
        "torch CharStorage",
        "torch ByteStorage",
        "torch BoolStorage",
        "torch ComplexFloatStorage",
        "torch ComplexDoubleStorage",
        "torch float8_e4m3fn",
        "torch float8_e5m2",
        "torch uint16",
        "torch uint32",
        "torch uint64",
        "torch bfloat16",
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(wanted); i++) {
        const char *w = wanted[i];
        if (strlen(w) == module_len + 1 + name_len && memcmp(w, module, module_len) == 0 &&
            w[module_len] == ' ' && memcmp(w + module_len + 1, name, name_len) == 0)
            return push(m, (struct value){.kind = GLOBAL,
                                          .len = (uint32_t)strlen(w),
                                          .text = (const uint8_t *)w});
    }
    return push(m, unknown);
}

static bool drop(struct machine *m, size_t n)
{
    if (m->stack.count < n)
        return false;
    m->stack.count -= n;
    return true;
}

static bool drop_to_mark(struct machine *m)
{
    size_t mark;
    if (!find_mark(m, &mark))
        return false;
    m->stack.count = mark;
    return true;
}

static bool skip(struct machine *m, uint64_t n, bool pushes)
{
    const uint8_t *skipped;
    return take_bytes(m, n, &skipped) && (!pushes || push_kind(m, OTHER, 0));
}

/* What pops `n` values and leaves something unknown, which may be filled. */
static bool replace(struct machine *m, size_t n)
{
    return drop(m, n) && push_container(m);
}

static bool persistent(struct machine *m)
{
    struct value id;
    return pop(m, &id) && push_storage(m, id);
}

static bool put_one(struct machine *m, bool pair)
{
    size_t n = pair ? 2 : 1;
    return m->stack.count > n && fill(m, m->stack.count - n, m->stack.count - n, pair);
}

/* Opcodes of numbers and strings. */
static bool push_literal(struct machine *m, uint64_t op)
{
    switch (op) {
    case 'K':
        return push_integer(m, 1);
    case 'M':
        return push_integer(m, 2);
    case 'J':
        return push_integer(m, 4);
    case 0x8a:
        return push_long(m);
    case 'G':
        return skip(m, 8, true);
    case 'X':
        return push_string(m, 4, STRING);
    case 0x8c:
        return push_string(m, 1, STRING);
    case 0x8d:
        return push_string(m, 8, STRING);
    case 'U':
    case 'C':
        return push_string(m, 1, OTHER);
    case 'T':
    case 'B':
        return push_string(m, 4, OTHER);
    case 0x8e:
    case 0x96:
        return push_string(m, 8, OTHER);
    default: /* STOP, and what torch.save does not write */
        return false;
    }
}

/* One opcode; false: the end, or nothing more that can be understood. */
static bool step(struct machine *m)
{
    uint64_t op;
    if (!take_number(m, 1, &op))
        return false;
    switch (op) {
    case 0x80: /* PROTO */
        return skip(m, 1, false);
    case 0x95: /* FRAME */
        return skip(m, 8, false);
    case '(':
        return push_kind(m, MARK, 0);
    case '0':
        return drop(m, 1);
    case '1':
        return drop_to_mark(m);
    case '2':
        return top(m) != NULL && push(m, *top(m));
    case 'N':
    case 0x88: /* True */
    case 0x89: /* False */
        return push_kind(m, NONE, 0);
    case ']':
    case '}':
    case 0x8f:
        return push_container(m);
    case ')':
        return make_tuple(m, 0, 0);
    case 0x85:
    case 0x86:
    case 0x87:
        return make_tuple(m, (size_t)op - 0x84, 0);
    case 't':
        return tuple_from_mark(m);
    case 'l':
        return container_from_mark(m, false);
    case 'd':
        return container_from_mark(m, true);
    case 'a':
        return put_one(m, false);
    case 'e':
    case 0x90:
        return fill_from_mark(m, false);
    case 's':
        return put_one(m, true);
    case 'u':
        return fill_from_mark(m, true);
    case 'c':
        return push_global(m);
    case 0x81:
    case 0x93:
        return replace(m, 2);
    case 0x92:
        return replace(m, 3);
    case 'R':
        return reduce(m);
    case 'b':
        return build(m);
    case 'q':
        return memo_op(m, 1, true);
    case 'r':
        return memo_op(m, 4, true);
    case 'h':
        return memo_op(m, 1, false);
    case 'j':
        return memo_op(m, 4, false);
    case 0x94:
        return set_memo(m, m->memo.count);
    case 'Q':
        return persistent(m);
    default:
        return push_literal(m, op);
    }
}

/* Names, from the top down. */
struct walk {
    struct machine *m;
    struct ebb_buffer path;
    size_t steps; /* left: a tuple may be in many places */
};

static void add_key(struct ebb_buffer *path, struct value key)
{
    if (path->len > MAX_NAME || key.kind == NONE)
        return;
    if (path->len > 0)
        ebb_buffer_append(path, ".", 1);
    if (key.kind == STRING)
        ebb_buffer_append(path, key.text, key.len < MAX_NAME ? key.len : MAX_NAME);
    else if (key.kind == INTEGER)
        ebb_buffer_printf(path, "%lld", (long long)key.number);
    else
        ebb_buffer_append(path, "?", 1);
}

static void visit(struct walk *w, struct value v, unsigned depth)
{
    struct machine *m = w->m;
    if (v.kind == TENSOR) {
        struct ebb_pickle_storage *s = &m->storages->items[v.number];
        if (s->name[0] == 0 && w->path.len > 0) {
            free(s->name);
            s->name = ebb_strdup(ebb_buffer_text(&w->path));
        }
        return;
    }
    size_t len = w->path.len;
    for (size_t i = 0; v.kind == TUPLE && depth < MAX_DEPTH && i < v.len && w->steps > 0; i++) {
        const struct value *inside = item(m, v, i);
        w->steps--;
        if (inside->kind != CONTAINER && inside->kind != TENSOR)
            continue;
        add_key(&w->path, (struct value){.kind = INTEGER, .number = (int64_t)i});
        visit(w, *inside, depth + 1);
        w->path.len = len;
    }
    if (v.kind != CONTAINER || depth == MAX_DEPTH)
        return;
    struct container *c = (struct container *)m->containers.data + v.number;
    if (c->seen)
        return;
    c->seen = true;
    const struct entry *entries = m->entries.data;
    for (uint32_t i = c->first; i != 0; i = entries[i].next) {
        add_key(&w->path, entries[i].key);
        visit(w, entries[i].value, depth + 1);
        w->path.len = len;
        if (w->path.data != NULL)
            w->path.data[len] = 0;
    }
}

void ebb_pickle_scan(const uint8_t *bytes, size_t len, struct ebb_pickle_storages *ret)
{
    struct machine m = {.at = bytes, .end = bytes + len, .storages = ret};
    *ret = (struct ebb_pickle_storages){0};
    while (step(&m))
        continue;
    struct walk w = {.m = &m, .steps = LIMIT};
    if (m.stack.count > 0)
        visit(&w, stack_of(&m)[0], 0);
    ebb_buffer_clean_up(&w.path);
    free(m.stack.data);
    free(m.memo.data);
    free(m.items.data);
    free(m.entries.data);
    free(m.containers.data);
}

void ebb_pickle_storages_clean_up(struct ebb_pickle_storages *storages)
{
    for (size_t i = 0; i < storages->count; i++) {
        free(storages->items[i].key);
        free(storages->items[i].name);
    }
    free(storages->items);
    *storages = (struct ebb_pickle_storages){0};
}
