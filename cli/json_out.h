/* What --json prints: one JSON value with a `schema` field, times as ISO-8601 UTC, seconds and
 * dollars as numbers.
 *
 * Messages become objects field by field, with the names of the .proto files, save that a field
 *     x_wall_ns     becomes  x_at    "2026-11-21T10:04:05.123Z", null when 0
 *     x_usd_micros  becomes  x_usd   (and usd_micros_per_hour becomes usd_per_hour)
 *     bytes         becomes  lower-case hex
 *     an enum       becomes  its name in lower case
 * and lists of StateCount and maps become objects. */
#ifndef EBB_CLI_JSON_OUT_H
#define EBB_CLI_JSON_OUT_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#define EBB_MOST_SEED (INT64_C(1) << 53) /* a JSON number holds it exactly */

/* {"schema": "ebb.<what>.v1"}; the caller owns it. */
json_t *ebb_json_new(const char *what);
/* Adds the message's fields to `object`. */
void ebb_json_add_message(json_t *object, const ProtobufCMessage *message);
/* The message as an object; the caller owns it. */
json_t *ebb_json_of_message(const ProtobufCMessage *message);
/* The JSON name of a field ("submitted_wall_ns" -> "submitted_at"), malloc'ed. */
char *ebb_json_field_name(const char *name);
json_t *ebb_json_time(int64_t wall_ns); /* null when 0 */
json_t *ebb_json_usd(int64_t usd_micros);
/* Prints one line on stdout and releases the value; 0, or 1 when stdout takes nothing. */
int ebb_json_print(json_t *value);

#endif
