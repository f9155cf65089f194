/* Messages from outside: from a peer, a store, a file. */
#ifndef EBB_PROTO_DECODE_H
#define EBB_PROTO_DECODE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/* The message, or NULL when the bytes are none. A field numbered 0 is no protobuf, but the library
 * keeps it as an unknown field when its key is written overlong, and then cannot read back what it
 * packs; such bytes are refused here, at every depth, so that a copy of a decoded message always
 * succeeds. The caller frees it with protobuf_c_message_free_unpacked(m, NULL). */
void *ebb_message_decode(const ProtobufCMessageDescriptor *descriptor, const void *data,
                         size_t len);

#endif
