/* IMDSv2: a session token first (PUT with a lifetime), then GETs that carry it. Requests that came
 * through a proxy (X-Forwarded-For) are refused, as AWS does. The service of a VM stays reachable
 * whatever happens to the network: it is link-local. */
#include <event2/http.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/exchange.h"
#include "cloud/emulator/guest.h"

#define MAX_TOKENS 256

struct token {
    char text[57];
    int64_t expires_ns;
};

struct ebb_metadata_service {
    struct ebb_guest *vm;
    struct evhttp *http;
    int port;
    struct token tokens[MAX_TOKENS]; /* a ring: the oldest is forgotten */
    size_t next;
};

static void reply(struct ebb_exchange *x, int status, const char *type, const char *text)
{
    struct ebb_buffer body = {0};

    ebb_buffer_append_text(&body, text);
    ebb_exchange_set_header(x, "Content-Type", type);
    ebb_exchange_set_header(x, "Server", "EC2ws");
    ebb_exchange_write(x, &body);
    ebb_buffer_clean_up(&body);
    ebb_exchange_send(x, status);
}

static void refuse(struct ebb_exchange *x, int status, const char *reason)
{
    EBB_AUTO_FREE char *page =
        ebb_sprintf("<html><head><title>%d - %s</title></head></html>\n", status, reason);

    reply(x, status, "text/html", page);
}

static void give_token(struct ebb_metadata_service *m, struct ebb_exchange *x)
{
    const char *ttl = ebb_exchange_header(x, "X-aws-ec2-metadata-token-ttl-seconds");
    struct token *t = &m->tokens[m->next];
    int64_t seconds;

    if (ttl == NULL || ebb_parse_int(ttl, 1, 21600, &seconds, NULL) < 0) {
        refuse(x, 400, "Bad Request");
        return;
    }
    m->next = (m->next + 1) % MAX_TOKENS;
    ebb_random_hex(t->text, 28);
    t->expires_ns = ebb_now_ns(NULL) + seconds * EBB_NS_PER_S;
    ebb_exchange_set_header(x, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl);
    reply(x, 200, "text/plain", t->text);
}

static bool token_is_good(const struct ebb_metadata_service *m, const struct ebb_exchange *x)
{
    const char *given = ebb_exchange_header(x, "X-aws-ec2-metadata-token");

    for (size_t i = 0; given != NULL && i < MAX_TOKENS; i++)
        if (m->tokens[i].text[0] != '\0' && strcmp(m->tokens[i].text, given) == 0)
            return ebb_now_ns(NULL) < m->tokens[i].expires_ns;
    return false;
}

static void reply_json(struct ebb_exchange *x, json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2));

    json_decref(value);
    reply(x, 200, "application/json", text != NULL ? text : "{}");
    free(text);
}

static char *time_text(int64_t wall_ns, char out[EBB_TIME_TEXT_SIZE])
{
    /* Whole seconds: "2026-11-21T11:05:00Z". */
    ebb_time_format(wall_ns / EBB_NS_PER_S * EBB_NS_PER_S, out);
    char *dot = strchr(out, '.');
    if (dot != NULL)
        memcpy(dot, "Z", 2);
    return out;
}

static void give_identity(const struct ebb_guest *vm, struct ebb_exchange *x)
{
    char when[EBB_TIME_TEXT_SIZE];

    reply_json(x, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "accountId",
                            vm->emulator->keyring.account, "architecture", "x86_64",
                            "availabilityZone", vm->zone_name, "imageId", vm->image, "instanceId",
                            vm->id, "instanceType", vm->type_name, "pendingTime",
                            time_text(vm->launch_wall_ns, when), "privateIp", vm->address, "region",
                            vm->emulator->fleet->region, "version", "2017-09-30"));
}

static void give_credentials(struct ebb_guest *vm, struct ebb_exchange *x)
{
    const struct ebb_key_pair *pair =
        ebb_keyring_for_vm(&vm->emulator->keyring, vm, ebb_wall_ns(NULL));
    char updated[EBB_TIME_TEXT_SIZE], expires[EBB_TIME_TEXT_SIZE];

    reply_json(x, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Code", "Success", "LastUpdated",
                            time_text(pair->issued_wall_ns, updated), "Type", "AWS-HMAC",
                            "AccessKeyId", pair->access_key, "SecretAccessKey", pair->secret_key,
                            "Token", pair->token, "Expiration",
                            time_text(pair->expires_wall_ns, expires)));
}

static void give_tags(const struct ebb_guest *vm, struct ebb_exchange *x, const char *key)
{
    struct ebb_buffer list = {0};

    for (size_t i = 0; i < vm->tags.count; i++) {
        if (key != NULL && strcmp(vm->tags.items[i].name, key) == 0) {
            reply(x, 200, "text/plain", vm->tags.items[i].value);
            ebb_buffer_clean_up(&list);
            return;
        }
        ebb_buffer_printf(&list, "%s%s", i > 0 ? "\n" : "", vm->tags.items[i].name);
    }
    if (key != NULL)
        refuse(x, 404, "Not Found");
    else
        reply(x, 200, "text/plain", ebb_buffer_text(&list));
    ebb_buffer_clean_up(&list);
}

static void give_notice(const struct ebb_guest *vm, struct ebb_exchange *x, const char *what)
{
    char when[EBB_TIME_TEXT_SIZE];

    if (strcmp(what, "spot/instance-action") == 0 && vm->notice_shown)
        reply_json(x, json_pack("{s:s, s:s}", "action", "terminate", "time",
                                time_text(vm->deadline_wall_ns, when)));
    else if (strcmp(what, "spot/termination-time") == 0 && vm->notice_shown)
        reply(x, 200, "text/plain", time_text(vm->deadline_wall_ns, when));
    else if (strcmp(what, "events/recommendations/rebalance") == 0 && vm->rebalance_wall_ns != 0)
        reply_json(x, json_pack("{s:s}", "noticeTime", time_text(vm->rebalance_wall_ns, when)));
    else
        refuse(x, 404, "Not Found");
}

struct fact {
    const char *path;
    const char *value;
};

static void give_fact(struct ebb_guest *vm, struct ebb_exchange *x, const char *path)
{
    const struct fact facts[] = {
        {"", "ami-id\nevents/\niam/\ninstance-id\ninstance-life-cycle\ninstance-type\nlocal-ipv4\n"
             "placement/\nspot/\ntags/"},
        {"ami-id", vm->image},
        {"iam/", "security-credentials/"},
        {"iam/security-credentials", vm->role},
        {"iam/security-credentials/", vm->role},
        {"instance-id", vm->id},
        {"instance-life-cycle", vm->spot ? "spot" : "on-demand"},
        {"instance-type", vm->type_name},
        {"local-ipv4", vm->address},
        {"placement/", "availability-zone\nregion"},
        {"placement/availability-zone", vm->zone_name},
        {"placement/region", vm->emulator->fleet->region},
    };

    for (size_t i = 0; i < EBB_ARRAY_LEN(facts); i++)
        if (strcmp(path, facts[i].path) == 0) {
            reply(x, 200, "text/plain", facts[i].value);
            return;
        }
    if (ebb_starts_with(path, "iam/security-credentials/") &&
        strcmp(path + strlen("iam/security-credentials/"), vm->role) == 0)
        give_credentials(vm, x);
    else if (strcmp(path, "tags/instance") == 0 || strcmp(path, "tags/instance/") == 0)
        give_tags(vm, x, NULL);
    else if (ebb_starts_with(path, "tags/instance/"))
        give_tags(vm, x, path + strlen("tags/instance/"));
    else
        give_notice(vm, x, path);
}

static void give_user_data(const struct ebb_guest *vm, struct ebb_exchange *x)
{
    struct ebb_buffer body = {0};

    if (vm->user_data_len == 0) {
        refuse(x, 404, "Not Found");
        return;
    }
    ebb_buffer_append(&body, vm->user_data, vm->user_data_len);
    ebb_exchange_set_header(x, "Content-Type", "application/octet-stream");
    ebb_exchange_write(x, &body);
    ebb_buffer_clean_up(&body);
    ebb_exchange_send(x, 200);
}

static void handle(void *ctx, struct ebb_exchange *x)
{
    struct ebb_metadata_service *m = ctx;
    EBB_AUTO_FREE char *path = ebb_percent_decode(x->path, strlen(x->path), false, NULL);
    const char *rest;

    x->vm = m->vm;
    if (path == NULL || ebb_exchange_header(x, "X-Forwarded-For") != NULL) {
        refuse(x, path == NULL ? 400 : 403, path == NULL ? "Bad Request" : "Forbidden");
        return;
    }
    if (strcmp(path, "/latest/api/token") == 0) {
        if (strcmp(x->method, "PUT") == 0)
            give_token(m, x);
        else
            refuse(x, 405, "Method Not Allowed");
        return;
    }
    if (strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0) {
        refuse(x, 405, "Method Not Allowed");
        return;
    }
    if (!token_is_good(m, x)) {
        refuse(x, 401, "Unauthorized");
        return;
    }
    rest = strchr(path + 1, '/'); /* "/latest" or a dated version */
    if (rest != NULL && ebb_starts_with(rest, "/meta-data/"))
        give_fact(m->vm, x, rest + strlen("/meta-data/"));
    else if (rest != NULL && strcmp(rest, "/meta-data") == 0)
        give_fact(m->vm, x, "");
    else if (rest != NULL && strcmp(rest, "/user-data") == 0)
        give_user_data(m->vm, x);
    else if (rest != NULL && strcmp(rest, "/dynamic/instance-identity/document") == 0)
        give_identity(m->vm, x);
    else
        refuse(x, 404, "Not Found");
}

int ebb_metadata_service_new(struct ebb_guest *vm, struct ebb_metadata_service **ret,
                             struct ebb_error *err)
{
    struct ebb_metadata_service *m = ebb_alloc(sizeof(*m));

    m->vm = vm;
    int code = ebb_exchange_listen(vm->emulator, EBB_METADATA_ADDRESS, 0, 1 << 16, handle, m,
                                   &m->http, &m->port, err);
    if (code < 0) {
        free(m);
        return ebb_error_wrap(err, code, "metadata service");
    }
    *ret = m;
    return 0;
}

int ebb_metadata_service_port(const struct ebb_metadata_service *m)
{
    return m->port;
}

void ebb_metadata_service_destroy(struct ebb_metadata_service *m)
{
    if (m == NULL)
        return;
    evhttp_free(m->http);
    free(m);
}
