/* Unpacking, and a walk over the fields for what the library lets pass and should not. */
#include "proto/decode.h"

#include <stdbool.h>
#include <stdint.h>

static bool has_field_zero(const ProtobufCMessage *m);

static bool field_has_zero(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const uint8_t *base = (const uint8_t *)m;
    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)(base + f->quantifier_offset);
        ProtobufCMessage *const *list =
            *(ProtobufCMessage *const *const *)(const void *)(base + f->offset);
        for (size_t i = 0; i < count; i++) {
            if (has_field_zero(list[i]))
                return true;
        }
        return false;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)(base + f->quantifier_offset) != f->id)
        return false;
    const ProtobufCMessage *child =
        *(const ProtobufCMessage *const *)(const void *)(base + f->offset);
    return child != NULL && has_field_zero(child);
}

static bool has_field_zero(const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->n_unknown_fields; i++) {
        if (m->unknown_fields[i].tag == 0)
            return true;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        if (field_has_zero(m, &m->descriptor->fields[i]))
            return true;
    }
    return false;
}

void *ebb_message_decode(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t len)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(descriptor, NULL, len, data);
    if (m != NULL && has_field_zero(m)) {
        protobuf_c_message_free_unpacked(m, NULL);
        return NULL;
    }
    return m;
}
