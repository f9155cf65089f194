/* A small tree over an XML answer (expat reads it). Bounded in size, depth and number of elements;
 * document types, and with them entity definitions, are refused. Attributes are dropped and
 * elements go by their local name: AWS answers carry nothing in either. */
#ifndef EBB_CLOUD_XML_H
#define EBB_CLOUD_XML_H

#include <stddef.h>

#include "base/error.h"

#define EBB_XML_MAX_BYTES (32u << 20)
#define EBB_XML_MAX_DEPTH 32
#define EBB_XML_MAX_NODES 500000

struct ebb_xml;      /* owns its nodes */
struct ebb_xml_node; /* borrowed from the document */

/* White space before the document is skipped (S3 sends some to keep a connection alive).
 * EBB_ERR_CORRUPT when it is no XML or out of bounds. */
int ebb_xml_parse(const void *data, size_t len, struct ebb_xml **ret, struct ebb_error *err);
void ebb_xml_destroy(struct ebb_xml *x);
const struct ebb_xml_node *ebb_xml_root(const struct ebb_xml *x);

const char *ebb_xml_name(const struct ebb_xml_node *n);
/* The element's own character data; "" for NULL and for none. */
const char *ebb_xml_text(const struct ebb_xml_node *n);
/* Children and siblings of that name, or of any name when NULL; NULL nodes have none. */
const struct ebb_xml_node *ebb_xml_child(const struct ebb_xml_node *n, const char *name);
const struct ebb_xml_node *ebb_xml_next(const struct ebb_xml_node *n, const char *name);
/* Descends "a/b/c", first of each name; NULL when one is not there. */
const struct ebb_xml_node *ebb_xml_find(const struct ebb_xml_node *n, const char *path);
/* Text of the node at the path, "" when it is not there. */
const char *ebb_xml_get(const struct ebb_xml_node *n, const char *path);

#endif
