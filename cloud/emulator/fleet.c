/* Reads what a fleet offers: zones, types, prices. What goes wrong in it is read by
 * fleet_trouble.c, after the names of zones and types are known. Every fault of the file is
 * collected with its place before the file is refused. */
#include "cloud/emulator/fleet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/yaml.h"

#define MAX_FILE_BYTES (8u << 20)
#define MAX_STEPS      100000

extern const unsigned char ebb_default_fleet[];
extern const size_t ebb_default_fleet_len;

static bool copy_name(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                      char out[EBB_FLEET_NAME_SIZE])
{
    const char *text;

    if (n == NULL)
        return false;
    if (!ebb_yaml_read_text(y, n, what, &text))
        return false;
    if (text[0] == '\0' || strlen(text) >= EBB_FLEET_NAME_SIZE ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
            strlen(text)) {
        ebb_yaml_fault(y, n, "%s '%.60s': 1 to %d letters, digits, '.', '-' or '_'", what, text,
                       EBB_FLEET_NAME_SIZE - 1);
        return false;
    }
    snprintf(out, EBB_FLEET_NAME_SIZE, "%s", text);
    return true;
}

static bool read_choice_index(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                              const char *const *names, size_t count, int *ret)
{
    size_t index;

    if (!ebb_yaml_read_choice(y, n, what, names, count, &index))
        return false;
    *ret = (int)index;
    return true;
}

bool ebb_fleet_read_zone(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *n,
                         int *ret)
{
    const char *names[EBB_FLEET_MAX_ZONES];

    for (size_t i = 0; i < f->zone_count; i++)
        names[i] = f->zones[i].name;
    return read_choice_index(y, n, "zone", names, f->zone_count, ret);
}

bool ebb_fleet_read_type(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *n,
                         int *ret)
{
    const char *names[EBB_FLEET_MAX_TYPES];

    for (size_t i = 0; i < f->type_count; i++)
        names[i] = f->types[i].name;
    return read_choice_index(y, n, "type", names, f->type_count, ret);
}

static void read_range(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                       struct ebb_fleet_range *ret)
{
    static const char *const keys[] = {"from", "to"};
    struct ebb_fleet_range range = *ret;

    if (n == NULL)
        return;
    if (ebb_yaml_kind(n) == EBB_YAML_SCALAR) {
        if (ebb_yaml_read_duration(y, n, what, &range.from_s)) {
            range.to_s = range.from_s;
            *ret = range;
        }
        return;
    }
    if (!ebb_yaml_check_keys(y, n, keys, EBB_ARRAY_LEN(keys)))
        return;
    if (ebb_yaml_get(n, "from") == NULL || ebb_yaml_get(n, "to") == NULL) {
        ebb_yaml_fault(y, n, "%s: a duration, or both from and to", what);
        return;
    }
    if (!ebb_yaml_read_duration(y, ebb_yaml_get(n, "from"), "from", &range.from_s) ||
        !ebb_yaml_read_duration(y, ebb_yaml_get(n, "to"), "to", &range.to_s))
        return;
    if (range.to_s < range.from_s) {
        ebb_yaml_fault(y, n, "%s: 'to' is less than 'from'", what);
        return;
    }
    *ret = range;
}

static void read_zones(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *root)
{
    static const char *const keys[] = {"name", "capacity"};
    const struct ebb_yaml_node *list = ebb_yaml_get(root, "zones");
    size_t count;

    if (list == NULL || ebb_yaml_kind(list) != EBB_YAML_SEQUENCE || ebb_yaml_count(list) == 0 ||
        ebb_yaml_count(list) > EBB_FLEET_MAX_ZONES) {
        ebb_yaml_fault(y, list != NULL ? list : root, "zones: a list of 1 to %d zones is needed",
                       EBB_FLEET_MAX_ZONES);
        return;
    }
    count = ebb_yaml_count(list);
    f->zones = ebb_alloc_array(count, sizeof(*f->zones));
    for (size_t i = 0; i < count; i++) {
        const struct ebb_yaml_node *n = ebb_yaml_item(list, i);
        struct ebb_fleet_zone *zone = &f->zones[f->zone_count];

        zone->capacity = 1000;
        for (size_t t = 0; t < EBB_FLEET_MAX_TYPES; t++)
            zone->type_capacity[t] = -1;
        if (ebb_yaml_kind(n) == EBB_YAML_SCALAR) {
            if (!copy_name(y, n, "zone", zone->name))
                continue;
        } else {
            if (!ebb_yaml_check_keys(y, n, keys, EBB_ARRAY_LEN(keys)))
                continue;
            if (ebb_yaml_get(n, "name") == NULL) {
                ebb_yaml_fault(y, n, "zone: 'name' is missing");
                continue;
            }
            if (!copy_name(y, ebb_yaml_get(n, "name"), "name", zone->name))
                continue;
        }
        if (ebb_fleet_zone_index(f, zone->name) >= 0) {
            ebb_yaml_fault(y, n, "zone '%s' is there already", zone->name);
            continue;
        }
        f->zone_count++;
    }
}

/* capacity: a number for every type, or a mapping from type (or default) to a number. Read after
 * the types. */
static void read_capacities(struct ebb_fleet *f, struct ebb_yaml *y,
                            const struct ebb_yaml_node *root)
{
    const struct ebb_yaml_node *list = ebb_yaml_get(root, "zones");

    for (size_t i = 0; list != NULL && i < ebb_yaml_count(list); i++) {
        const struct ebb_yaml_node *n = ebb_yaml_item(list, i);
        const struct ebb_yaml_node *c;
        const char *name = NULL;
        int zone;

        if (ebb_yaml_kind(n) != EBB_YAML_MAPPING || (c = ebb_yaml_get(n, "capacity")) == NULL)
            continue;
        if (ebb_yaml_get(n, "name") != NULL)
            name = ebb_yaml_scalar(ebb_yaml_get(n, "name"));
        zone = name != NULL ? ebb_fleet_zone_index(f, name) : -1;
        if (zone < 0)
            continue;
        if (ebb_yaml_kind(c) != EBB_YAML_MAPPING) {
            ebb_yaml_read_int(y, c, "capacity", 0, 1000000, &f->zones[zone].capacity);
            continue;
        }
        for (size_t k = 0; k < ebb_yaml_count(c); k++) {
            const struct ebb_yaml_node *key = ebb_yaml_key(c, k);
            int64_t *target = &f->zones[zone].capacity;
            int type;

            if (ebb_yaml_scalar(key) == NULL || strcmp(ebb_yaml_scalar(key), "default") != 0) {
                if (!ebb_fleet_read_type(f, y, key, &type))
                    continue;
                target = &f->zones[zone].type_capacity[type];
            }
            ebb_yaml_read_int(y, ebb_yaml_value(c, k), "capacity", 0, 1000000, target);
        }
    }
}

static void add_step(struct ebb_fleet_prices *p, double at_s, int64_t usd_micros)
{
    p->steps = ebb_realloc_array(p->steps, p->count + 1, sizeof(*p->steps));
    p->steps[p->count].at_s = at_s;
    p->steps[p->count].usd_micros_per_hour = usd_micros;
    p->count++;
}

/* A price file: lines "seconds,usd per hour", ascending; a heading and '#' lines are skipped. */
static void read_price_file(struct ebb_yaml *y, const struct ebb_yaml_node *at, const char *path,
                            double speed, struct ebb_fleet_prices *ret)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    struct ebb_error err = {0};
    char *save = NULL;
    unsigned number = 0;

    if (ebb_file_read(path, MAX_FILE_BYTES, &text, &err) < 0) {
        ebb_yaml_fault(y, at, "price file: %s", err.text);
        return;
    }
    if (text.len == 0 || memchr(text.data, 0, text.len) != NULL) {
        ebb_yaml_fault(y, at, "price file %s: no text in it", path);
        return;
    }
    for (char *line = strtok_r((char *)text.data, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *comma = strchr(line, ',');
        double at_s, usd;

        number++;
        line[strcspn(line, "\r")] = '\0';
        if (line[0] == '#' || line[0] == '\0' || (number == 1 && strspn(line, "0123456789") == 0))
            continue;
        if (comma != NULL)
            *comma = '\0';
        if (comma == NULL || ebb_parse_double(line, &at_s, NULL) < 0 ||
            ebb_parse_double(comma + 1, &usd, NULL) < 0 || at_s < 0 || usd < 0 || usd > 1e6 ||
            (ret->count > 0 && at_s / speed <= ret->steps[ret->count - 1].at_s) ||
            ret->count >= MAX_STEPS) {
            ebb_yaml_fault(y, at,
                           "price file %s, line %u: wanted 'seconds,usd per hour', seconds "
                           "ascending, at most %d lines",
                           path, number, MAX_STEPS);
            return;
        }
        add_step(ret, at_s / speed, llround(usd * 1e6));
    }
    if (ret->count == 0)
        ebb_yaml_fault(y, at, "price file %s: no price in it", path);
}

static void read_steps(struct ebb_yaml *y, const struct ebb_yaml_node *list,
                       struct ebb_fleet_prices *ret)
{
    static const char *const keys[] = {"at", "usd"};

    for (size_t i = 0; i < ebb_yaml_count(list) && i < MAX_STEPS; i++) {
        const struct ebb_yaml_node *n = ebb_yaml_item(list, i);
        double at_s;
        int64_t usd;

        if (!ebb_yaml_check_keys(y, n, keys, EBB_ARRAY_LEN(keys)))
            continue;
        if (ebb_yaml_get(n, "at") == NULL || ebb_yaml_get(n, "usd") == NULL) {
            ebb_yaml_fault(y, n, "price step: {at: <duration>, usd: <price>} is needed");
            continue;
        }
        if (!ebb_yaml_read_duration(y, ebb_yaml_get(n, "at"), "at", &at_s) ||
            !ebb_yaml_read_usd(y, ebb_yaml_get(n, "usd"), "usd", &usd))
            continue;
        if (ret->count > 0 && at_s <= ret->steps[ret->count - 1].at_s) {
            ebb_yaml_fault(y, n, "price step: 'at' must be later than that of the step before");
            continue;
        }
        add_step(ret, at_s, usd);
    }
    if (ebb_yaml_count(list) == 0)
        ebb_yaml_fault(y, list, "price: at least one step is needed");
}

/* One price: a number, a list of steps, or {file: ..., speed: ...}. */
static void read_prices(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *directory,
                        struct ebb_fleet_prices *ret)
{
    static const char *const keys[] = {"file", "speed"};
    double speed = 1;
    int64_t usd;

    if (ebb_yaml_kind(n) == EBB_YAML_SCALAR) {
        if (ebb_yaml_read_usd(y, n, "spot", &usd))
            add_step(ret, 0, usd);
    } else if (ebb_yaml_kind(n) == EBB_YAML_SEQUENCE) {
        read_steps(y, n, ret);
    } else if (ebb_yaml_check_keys(y, n, keys, EBB_ARRAY_LEN(keys))) {
        const char *file = NULL;

        if (ebb_yaml_get(n, "speed") != NULL &&
            !ebb_yaml_read_double(y, ebb_yaml_get(n, "speed"), "speed", 1e-6, 1e9, &speed))
            return;
        if (ebb_yaml_get(n, "file") == NULL) {
            ebb_yaml_fault(y, n, "price: 'file' is missing");
            return;
        }
        if (ebb_yaml_read_text(y, ebb_yaml_get(n, "file"), "file", &file)) {
            EBB_AUTO_FREE char *path =
                file[0] == '/' ? ebb_strdup(file) : ebb_path_join(directory, file);

            read_price_file(y, n, path, speed, ret);
        }
    }
}

/* spot: one price for all zones, or a mapping from zone to price. */
static void read_spot(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *n,
                      const char *directory, struct ebb_fleet_type *type)
{
    if (ebb_yaml_kind(n) != EBB_YAML_MAPPING || ebb_yaml_get(n, "file") != NULL) {
        struct ebb_fleet_prices all = {0};

        read_prices(y, n, directory, &all);
        for (size_t z = 0; z < f->zone_count && all.count > 0; z++) {
            type->spot[z].steps = ebb_memdup(all.steps, all.count * sizeof(*all.steps));
            type->spot[z].count = all.count;
        }
        free(all.steps);
        return;
    }
    for (size_t i = 0; i < ebb_yaml_count(n); i++) {
        int zone;

        if (ebb_fleet_read_zone(f, y, ebb_yaml_key(n, i), &zone))
            read_prices(y, ebb_yaml_value(n, i), directory, &type->spot[zone]);
    }
}

static bool read_type(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *n,
                      const char *directory, struct ebb_fleet_type *type)
{
    static const char *const keys[] = {"name", "vcpus",     "memory", "gpus",
                                       "gpu",  "on_demand", "spot",   "cap"};
    static const char *const needed[] = {"name", "vcpus", "memory", "on_demand"};
    size_t before = ebb_yaml_fault_count(y);

    if (!ebb_yaml_check_keys(y, n, keys, EBB_ARRAY_LEN(keys)))
        return false;
    for (size_t i = 0; i < EBB_ARRAY_LEN(needed); i++)
        if (ebb_yaml_get(n, needed[i]) == NULL)
            ebb_yaml_fault(y, n, "type: '%s' is missing", needed[i]);
    if (ebb_yaml_fault_count(y) != before)
        return false;
    copy_name(y, ebb_yaml_get(n, "name"), "name", type->name);
    ebb_yaml_read_int(y, ebb_yaml_get(n, "vcpus"), "vcpus", 1, 1024, &type->vcpus);
    ebb_yaml_read_size(y, ebb_yaml_get(n, "memory"), "memory", &type->memory_bytes);
    ebb_yaml_read_usd(y, ebb_yaml_get(n, "on_demand"), "on_demand",
                      &type->on_demand_usd_micros_per_hour);
    if (ebb_yaml_get(n, "gpus") != NULL)
        ebb_yaml_read_int(y, ebb_yaml_get(n, "gpus"), "gpus", 0, 64, &type->gpus);
    if (ebb_yaml_get(n, "gpu") != NULL)
        copy_name(y, ebb_yaml_get(n, "gpu"), "gpu", type->gpu_model);
    if (type->gpus > 0 && type->gpu_model[0] == '\0')
        ebb_yaml_fault(y, n, "type: 'gpu' (the model) is missing");
    if (ebb_yaml_get(n, "spot") != NULL)
        read_spot(f, y, ebb_yaml_get(n, "spot"), directory, type);
    if (ebb_yaml_get(n, "cap") != NULL &&
        ebb_yaml_read_duration(y, ebb_yaml_get(n, "cap"), "cap", &type->cap_s) && type->cap_s <= 0)
        ebb_yaml_fault(y, ebb_yaml_get(n, "cap"),
                       "cap: more than nothing (24h); leave it out for none");
    return ebb_yaml_fault_count(y) == before;
}

static void read_types(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *root,
                       const char *directory)
{
    const struct ebb_yaml_node *list = ebb_yaml_get(root, "types");
    size_t count;

    if (list == NULL || ebb_yaml_kind(list) != EBB_YAML_SEQUENCE || ebb_yaml_count(list) == 0 ||
        ebb_yaml_count(list) > EBB_FLEET_MAX_TYPES) {
        ebb_yaml_fault(y, list != NULL ? list : root, "types: a list of 1 to %d types is needed",
                       EBB_FLEET_MAX_TYPES);
        return;
    }
    count = ebb_yaml_count(list);
    f->types = ebb_alloc_array(count, sizeof(*f->types));
    for (size_t i = 0; i < count; i++) {
        struct ebb_fleet_type *type = &f->types[i];

        if (read_type(f, y, ebb_yaml_item(list, i), directory, type) &&
            ebb_fleet_type_index(f, type->name) >= 0)
            ebb_yaml_fault(y, ebb_yaml_item(list, i), "type '%s' is there already", type->name);
        f->type_count = i + 1;
    }
}

static void read_root(struct ebb_fleet *f, struct ebb_yaml *y, const char *directory)
{
    static const char *const keys[] = {"region",  "seed",      "time_scale", "boot",
                                       "pending", "zones",     "types",      "revocations",
                                       "notices", "lifetimes", "traces",     "faults"};
    const struct ebb_yaml_node *root = ebb_yaml_root(y);
    int64_t seed = 1;

    if (root == NULL || !ebb_yaml_check_keys(y, root, keys, EBB_ARRAY_LEN(keys)))
        return;
    if (ebb_yaml_get(root, "region") != NULL)
        copy_name(y, ebb_yaml_get(root, "region"), "region", f->region);
    if (ebb_yaml_get(root, "seed") != NULL &&
        ebb_yaml_read_int(y, ebb_yaml_get(root, "seed"), "seed", 0, INT64_MAX, &seed))
        f->seed = (uint64_t)seed;
    if (ebb_yaml_get(root, "time_scale") != NULL)
        ebb_yaml_read_int(y, ebb_yaml_get(root, "time_scale"), "time_scale", 1, 100000,
                          &f->time_scale);
    read_range(y, ebb_yaml_get(root, "boot"), "boot", &f->boot);
    read_range(y, ebb_yaml_get(root, "pending"), "pending", &f->pending);
    read_zones(f, y, root);
    read_types(f, y, root, directory);
    if (f->type_count == 0 || f->zone_count == 0)
        return;
    read_capacities(f, y, root);
    ebb_fleet_parse_trouble(f, y, root, directory);
}

int ebb_fleet_parse(const char *name, const char *directory, const char *text, size_t len,
                    struct ebb_fleet **ret, struct ebb_buffer *faults, struct ebb_error *err)
{
    struct ebb_yaml *y = NULL;
    struct ebb_fleet *f;
    int code;

    if (ebb_yaml_parse(name, text, len, &y, err) < 0)
        return err != NULL ? err->code : EBB_ERR_INPUT;
    f = ebb_alloc(sizeof(*f));
    snprintf(f->region, sizeof(f->region), "us-east-1");
    f->seed = 1;
    f->time_scale = 1;
    f->boot = (struct ebb_fleet_range){1, 1};
    f->pending = (struct ebb_fleet_range){0.2, 0.2};
    if (ebb_yaml_root(y) == NULL)
        code = ebb_error_set(err, EBB_ERR_INPUT,
                             "%s: the file is empty; zones and types are "
                             "needed",
                             name);
    else {
        read_root(f, y, directory);
        code = ebb_yaml_faults(y, faults, err);
    }
    ebb_yaml_destroy(y);
    if (code < 0) {
        ebb_fleet_destroy(f);
        return code;
    }
    *ret = f;
    return 0;
}

int ebb_fleet_load(const char *path, struct ebb_fleet **ret, struct ebb_buffer *faults,
                   struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *directory = ebb_strdup(path);
    char *slash = strrchr(directory, '/');

    if (slash == NULL)
        directory[strlen(directory) > 0 ? 1 : 0] = '\0', directory[0] = '.';
    else
        slash[slash == directory ? 1 : 0] = '\0';
    int code = ebb_file_read(path, MAX_FILE_BYTES, &text, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "fleet file");
    return ebb_fleet_parse(path, directory, ebb_buffer_text(&text), text.len, ret, faults, err);
}

int ebb_fleet_load_default(struct ebb_fleet **ret, struct ebb_error *err)
{
    return ebb_fleet_parse("default_fleet.yaml", ".", (const char *)ebb_default_fleet,
                           ebb_default_fleet_len, ret, NULL, err);
}

void ebb_fleet_destroy(struct ebb_fleet *f)
{
    if (f == NULL)
        return;
    for (size_t t = 0; t < f->type_count; t++)
        for (size_t z = 0; z < EBB_FLEET_MAX_ZONES; z++)
            free(f->types[t].spot[z].steps);
    for (size_t i = 0; i < f->trace_count; i++)
        free(f->traces[i].data);
    free(f->zones);
    free(f->types);
    free(f->revocations);
    free(f->lifetimes);
    free(f->traces);
    free(f->faults);
    free(f);
}

int ebb_fleet_zone_index(const struct ebb_fleet *f, const char *name)
{
    for (size_t i = 0; i < f->zone_count; i++)
        if (strcmp(f->zones[i].name, name) == 0)
            return (int)i;
    return -1;
}

int ebb_fleet_type_index(const struct ebb_fleet *f, const char *name)
{
    for (size_t i = 0; i < f->type_count; i++)
        if (strcmp(f->types[i].name, name) == 0)
            return (int)i;
    return -1;
}

int64_t ebb_fleet_capacity(const struct ebb_fleet *f, int zone, int type)
{
    const struct ebb_fleet_zone *z = &f->zones[zone];

    return z->type_capacity[type] >= 0 ? z->type_capacity[type] : z->capacity;
}

bool ebb_fleet_has_fault(const struct ebb_fleet *f, enum ebb_fleet_fault_kind kind)
{
    for (size_t i = 0; i < f->fault_count; i++)
        if (f->faults[i].kind == kind)
            return true;
    return false;
}
