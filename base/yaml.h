/* Typed reading of YAML documents with the position of every node (libyaml underneath).
 *
 * A reader collects errors, each as "file:line:column: what is wrong, what to do", so that one
 * run shows all of them. Anchors and aliases work; duplicate keys, tabs and several documents are
 * errors. Depth, node count and size are bounded. */
#ifndef EBB_BASE_YAML_H
#define EBB_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum ebb_yaml_kind { EBB_YAML_SCALAR, EBB_YAML_SEQUENCE, EBB_YAML_MAPPING };

struct ebb_yaml;      /* a parsed document; owns its nodes */
struct ebb_yaml_node; /* borrowed from the document */

/* `name` stands in messages (the file's name). On a syntax error: EBB_ERR_INPUT with position. */
int ebb_yaml_parse(const char *name, const char *text, size_t len, struct ebb_yaml **ret,
                   struct ebb_error *err);
void ebb_yaml_destroy(struct ebb_yaml *y);
const struct ebb_yaml_node *ebb_yaml_root(const struct ebb_yaml *y); /* NULL: empty document */

enum ebb_yaml_kind ebb_yaml_kind(const struct ebb_yaml_node *n);
const char *ebb_yaml_scalar(const struct ebb_yaml_node *n); /* NULL when no scalar */
bool ebb_yaml_is_null(const struct ebb_yaml_node *n);       /* plain ~, null or empty */
size_t ebb_yaml_count(const struct ebb_yaml_node *n); /* items of a sequence, pairs of a mapping */
const struct ebb_yaml_node *ebb_yaml_item(const struct ebb_yaml_node *n, size_t i);
const struct ebb_yaml_node *ebb_yaml_key(const struct ebb_yaml_node *n, size_t i);
const struct ebb_yaml_node *ebb_yaml_value(const struct ebb_yaml_node *n, size_t i);
const struct ebb_yaml_node *ebb_yaml_get(const struct ebb_yaml_node *mapping, const char *key);

/* Record an error at a node: "bag.yaml:3:7: <text>". */
void ebb_yaml_fault(struct ebb_yaml *y, const struct ebb_yaml_node *at, const char *fmt, ...)
    EBB_PRINTF(3, 4);
size_t ebb_yaml_fault_count(const struct ebb_yaml *y);
/* EBB_OK, or EBB_ERR_INPUT with the first fault in `err`; all of them, a line each, go to `all` if
 * not NULL. */
int ebb_yaml_faults(const struct ebb_yaml *y, struct ebb_buffer *all, struct ebb_error *err);

/* Fault for every key of `mapping` that is not in `names`, with the nearest right name. Returns
 * false (with a fault) when the node is no mapping. */
bool ebb_yaml_check_keys(struct ebb_yaml *y, const struct ebb_yaml_node *mapping,
                         const char *const *names, size_t count);
/* As ebb_yaml_check_keys; the fault says where: "unknown key 'sweap' in job, ...". */
bool ebb_yaml_check_keys_in(struct ebb_yaml *y, const struct ebb_yaml_node *mapping,
                            const char *where, const char *const *names, size_t count);

/* Typed values. Each returns true and sets *ret, or false after recording a fault that names
 * `what` (the key), the value and the form that is right. */
bool ebb_yaml_read_text(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                        const char **ret); /* owned by the document */
bool ebb_yaml_read_int(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                       int64_t min, int64_t max, int64_t *ret);
bool ebb_yaml_read_double(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                          double min, double max, double *ret);
bool ebb_yaml_read_bool(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                        bool *ret);
bool ebb_yaml_read_duration(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                            double *ret_s);
bool ebb_yaml_read_size(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                        uint64_t *ret_bytes);
bool ebb_yaml_read_usd(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                       int64_t *ret_usd_micros);
/* One of `names` -> its index. */
bool ebb_yaml_read_choice(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                          const char *const *names, size_t count, size_t *ret);

#endif
