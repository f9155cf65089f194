/* XML answers as a tree. Expat does the reading; here are the bounds and the nodes. Nodes live in
 * one list of blocks that goes with the document, so that a tree of any shape is freed without
 * recursion. */
#include "cloud/xml.h"

#include <ctype.h>
#include <expat.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"

#define NODES_A_BLOCK 256

struct ebb_xml_node {
    char *name;
    struct ebb_buffer text;
    struct ebb_xml_node *child, *last_child, *next, *parent;
};

struct block {
    struct ebb_xml_node nodes[NODES_A_BLOCK];
    size_t used;
    struct block *next;
};

struct ebb_xml {
    struct block *blocks;
    struct ebb_xml_node *root;
    /* while reading */
    XML_Parser parser;
    struct ebb_xml_node *at;
    size_t depth, count;
    const char *fault;
};

static struct ebb_xml_node *new_node(struct ebb_xml *x)
{
    if (x->blocks == NULL || x->blocks->used == NODES_A_BLOCK) {
        struct block *b = ebb_alloc(sizeof(*b));
        b->next = x->blocks;
        x->blocks = b;
    }
    x->count++;
    return &x->blocks->nodes[x->blocks->used++];
}

static void stop(struct ebb_xml *x, const char *fault)
{
    x->fault = fault;
    XML_StopParser(x->parser, XML_FALSE);
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct ebb_xml *x = ctx;
    (void)attributes;
    if (x->fault != NULL)
        return;
    if (x->depth == EBB_XML_MAX_DEPTH || x->count == EBB_XML_MAX_NODES) {
        stop(x, x->depth == EBB_XML_MAX_DEPTH ? "nested too deeply" : "too many elements");
        return;
    }
    const char *colon = strrchr(name, ':');
    struct ebb_xml_node *n = new_node(x);
    n->name = ebb_strdup(colon != NULL ? colon + 1 : name);
    n->parent = x->at;
    if (x->at == NULL)
        x->root = n;
    else if (x->at->last_child == NULL)
        x->at->child = n;
    else
        x->at->last_child->next = n;
    if (x->at != NULL)
        x->at->last_child = n;
    x->at = n;
    x->depth++;
}

static void on_end(void *ctx, const XML_Char *name)
{
    struct ebb_xml *x = ctx;
    (void)name;
    if (x->fault != NULL) /* expat still ends the element that it was stopped at */
        return;
    x->at = x->at->parent;
    x->depth--;
}

static void on_text(void *ctx, const XML_Char *text, int len)
{
    struct ebb_xml *x = ctx;
    if (x->at != NULL)
        ebb_buffer_append(&x->at->text, text, (size_t)len);
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    stop(ctx, "a document type is not accepted");
}

static int read_document(struct ebb_xml *x, const char *data, size_t len, struct ebb_error *err)
{
    x->parser = XML_ParserCreate(NULL);
    if (x->parser == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "no memory for an XML parser");
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    int code = 0;
    if (XML_Parse(x->parser, data, (int)len, 1) != XML_STATUS_OK)
        code = ebb_error_set(err, EBB_ERR_CORRUPT, "answer is no XML: line %lu: %s",
                             XML_GetCurrentLineNumber(x->parser),
                             x->fault != NULL ? x->fault
                                              : XML_ErrorString(XML_GetErrorCode(x->parser)));
    XML_ParserFree(x->parser);
    x->parser = NULL;
    return code;
}

int ebb_xml_parse(const void *data, size_t len, struct ebb_xml **ret, struct ebb_error *err)
{
    const char *text = data;
    while (len > 0 && isspace((unsigned char)*text)) {
        text++;
        len--;
    }
    if (len == 0 || len > EBB_XML_MAX_BYTES)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "answer is no XML: %zu bytes", len);
    struct ebb_xml *x = ebb_alloc(sizeof(*x));
    int code = read_document(x, text, len, err);
    if (code < 0) {
        ebb_xml_destroy(x);
        return code;
    }
    *ret = x;
    return 0;
}

void ebb_xml_destroy(struct ebb_xml *x)
{
    if (x == NULL)
        return;
    while (x->blocks != NULL) {
        struct block *b = x->blocks;
        for (size_t i = 0; i < b->used; i++) {
            free(b->nodes[i].name);
            ebb_buffer_clean_up(&b->nodes[i].text);
        }
        x->blocks = b->next;
        free(b);
    }
    free(x);
}

const struct ebb_xml_node *ebb_xml_root(const struct ebb_xml *x)
{
    return x->root;
}

const char *ebb_xml_name(const struct ebb_xml_node *n)
{
    return n->name;
}

const char *ebb_xml_text(const struct ebb_xml_node *n)
{
    return n == NULL ? "" : ebb_buffer_text(&n->text);
}

static const struct ebb_xml_node *first_named(const struct ebb_xml_node *n, const char *name)
{
    while (n != NULL && name != NULL && strcmp(n->name, name) != 0)
        n = n->next;
    return n;
}

const struct ebb_xml_node *ebb_xml_child(const struct ebb_xml_node *n, const char *name)
{
    return n == NULL ? NULL : first_named(n->child, name);
}

const struct ebb_xml_node *ebb_xml_next(const struct ebb_xml_node *n, const char *name)
{
    return n == NULL ? NULL : first_named(n->next, name);
}

const struct ebb_xml_node *ebb_xml_find(const struct ebb_xml_node *n, const char *path)
{
    while (n != NULL && *path != '\0') {
        size_t len = strcspn(path, "/");
        const struct ebb_xml_node *c = n->child;
        while (c != NULL && (strncmp(c->name, path, len) != 0 || c->name[len] != '\0'))
            c = c->next;
        n = c;
        path += len + (path[len] == '/');
    }
    return n;
}

const char *ebb_xml_get(const struct ebb_xml_node *n, const char *path)
{
    return ebb_xml_text(ebb_xml_find(n, path));
}
