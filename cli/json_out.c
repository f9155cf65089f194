/* Messages to JSON by protobuf-c's descriptors: a field added to a message shows without further
 * code, and no two commands can print it differently. */
#include "cli/json_out.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

json_t *ebb_json_new(const char *what)
{
    json_t *o = json_object();
    EBB_AUTO_FREE char *schema = ebb_sprintf("ebb.%s.v1", what);
    (void)json_object_set_new(o, "schema", json_string(schema));
    return o;
}

json_t *ebb_json_time(int64_t wall_ns)
{
    char text[EBB_TIME_TEXT_SIZE];
    return wall_ns == 0 ? json_null() : json_string(ebb_time_format(wall_ns, text));
}

json_t *ebb_json_usd(int64_t usd_micros)
{
    return json_real((double)usd_micros / 1e6);
}

int ebb_json_print(json_t *value)
{
    int rc = json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(value);
    return rc == 0 && putchar('\n') == '\n' && fflush(stdout) == 0 ? 0 : 1;
}

char *ebb_json_field_name(const char *name)
{
    static const char usd[] = "usd_micros", at[] = "wall_ns";
    const char *micros = strstr(name, usd);
    if (micros != NULL)
        return ebb_sprintf("%.*susd%s", (int)(micros - name), name, micros + sizeof(usd) - 1);
    if (ebb_ends_with(name, at))
        return ebb_sprintf("%.*sat", (int)(strlen(name) - sizeof(at) + 1), name);
    return ebb_strdup(name);
}

/* Text from outside may be no UTF-8; jansson then refuses it. */
static json_t *text_value(const char *text)
{
    json_t *v = json_string(text == NULL ? "" : text);
    if (v != NULL)
        return v;
    EBB_AUTO_FREE char *ascii = ebb_strdup(text);
    for (char *p = ascii; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(ascii);
}

static json_t *bytes_value(const ProtobufCBinaryData *b)
{
    EBB_AUTO_FREE char *hex = ebb_alloc_array(2 * b->len + 1, 1);
    return json_string(ebb_hex(b->data, b->len, hex));
}

static json_t *enum_value(const ProtobufCFieldDescriptor *f, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, value);
    if (v == NULL)
        return json_integer(value);
    EBB_AUTO_FREE char *name = ebb_strdup(v->name);
    for (char *p = name; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return json_string(name);
}

static json_t *integer_value(const char *name, int64_t value)
{
    if (ebb_ends_with(name, "wall_ns"))
        return ebb_json_time(value);
    if (strstr(name, "usd_micros") != NULL)
        return ebb_json_usd(value);
    return json_integer(value);
}

static json_t *real_value(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* `p` points to the value itself. */
static json_t *field_value(const ProtobufCFieldDescriptor *f, const void *p)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)p);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)p);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return integer_value(f->name, *(const int64_t *)p);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return integer_value(f->name, (int64_t)(*(const uint64_t *)p));
    case PROTOBUF_C_TYPE_FLOAT:
        return real_value((double)*(const float *)p);
    case PROTOBUF_C_TYPE_DOUBLE:
        return real_value(*(const double *)p);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)p);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_value(f, *(const int *)p);
    case PROTOBUF_C_TYPE_STRING:
        return text_value(*(char *const *)p);
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_value(p);
    case PROTOBUF_C_TYPE_MESSAGE:
        return ebb_json_of_message(*(ProtobufCMessage *const *)p);
    }
    return json_null();
}

static size_t value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return 4;
    }
}

/* Pairs that read better as {name: value}: map entries, and counts by state. */
static bool is_pair(const ProtobufCMessageDescriptor *d)
{
    return d->n_fields == 2 &&
           (strcmp(d->fields[0].name, "key") == 0 ||
            (strcmp(d->fields[0].name, "state") == 0 && strcmp(d->fields[1].name, "count") == 0));
}

static const void *member(const ProtobufCMessage *m, unsigned offset)
{
    return (const char *)m + offset;
}

static json_t *pairs_value(ProtobufCMessage *const *messages, size_t count)
{
    json_t *o = json_object();
    for (size_t i = 0; i < count; i++) {
        const ProtobufCFieldDescriptor *f = messages[i]->descriptor->fields;
        const char *key = *(char *const *)member(messages[i], f[0].offset);
        (void)json_object_set_new(o, key, field_value(&f[1], member(messages[i], f[1].offset)));
    }
    return o;
}

static json_t *list_value(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    size_t count = *(const size_t *)member(m, f->quantifier_offset);
    const char *items = *(char *const *)member(m, f->offset);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && is_pair(f->descriptor))
        return pairs_value((ProtobufCMessage *const *)(const void *)items, count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, field_value(f, items + i * value_size(f->type)));
    return list;
}

static bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const int *)member(m, f->quantifier_offset) != (int)f->id)
        return false;
    return f->label == PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE ||
           *(ProtobufCMessage *const *)member(m, f->offset) != NULL;
}

void ebb_json_add_message(json_t *object, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &message->descriptor->fields[i];
        if (!is_set(message, f))
            continue;
        EBB_AUTO_FREE char *name = ebb_json_field_name(f->name);
        json_t *value = f->label == PROTOBUF_C_LABEL_REPEATED
                            ? list_value(message, f)
                            : field_value(f, member(message, f->offset));
        (void)json_object_set_new(object, name, value);
    }
}

json_t *ebb_json_of_message(const ProtobufCMessage *message)
{
    json_t *o = json_object();
    ebb_json_add_message(o, message);
    return o;
}
