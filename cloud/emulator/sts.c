/* STS: GetCallerIdentity, what clients ask to see whether their credentials work. */
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/exchange.h"
#include "cloud/emulator/guest.h"
#include "cloud/emulator/markup.h"

#define XMLNS "https://sts.amazonaws.com/doc/2011-06-15/"

static void send_xml(struct ebb_exchange *x, int status, const struct ebb_buffer *body)
{
    ebb_exchange_set_header(x, "Content-Type", "text/xml");
    ebb_exchange_write(x, body);
    ebb_exchange_send(x, status);
}

static void fail(struct ebb_exchange *x, int status, const char *code, const char *message)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer body = {0};

    ebb_buffer_append_text(&body, "<ErrorResponse xmlns=\"" XMLNS "\"><Error><Type>Sender</Type>");
    ebb_markup_text(&body, "Code", code);
    ebb_markup_text(&body, "Message", message);
    ebb_buffer_append_text(&body, "</Error>");
    ebb_markup_text(&body, "RequestId", x->id);
    ebb_buffer_append_text(&body, "</ErrorResponse>");
    send_xml(x, status, &body);
}

static void give_identity(struct ebb_exchange *x)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer body = {0};
    const char *account = x->emulator->keyring.account;

    ebb_buffer_append_text(&body, "<GetCallerIdentityResponse xmlns=\"" XMLNS "\">"
                                  "<GetCallerIdentityResult>");
    if (x->vm != NULL) {
        ebb_markup_format(&body, "Arn", "arn:aws:sts::%s:assumed-role/%s/%s", account, x->vm->role,
                          x->vm->id);
        ebb_markup_format(&body, "UserId", "AROAEBB:%s", x->vm->id);
    } else {
        ebb_markup_format(&body, "Arn", "arn:aws:iam::%s:user/ebb", account);
        ebb_markup_text(&body, "UserId", "AIDAEBB");
    }
    ebb_markup_text(&body, "Account", account);
    ebb_buffer_append_text(&body, "</GetCallerIdentityResult><ResponseMetadata>");
    ebb_markup_text(&body, "RequestId", x->id);
    ebb_buffer_append_text(&body, "</ResponseMetadata></GetCallerIdentityResponse>");
    send_xml(x, 200, &body);
}

void ebb_sts_handle(struct ebb_exchange *x)
{
    const char *action = ebb_params_get(&x->params, "Action");
    char service[33];

    switch (ebb_keyring_check(&x->emulator->keyring, x, service)) {
    case EBB_KEYRING_GENUINE:
        if (action != NULL && strcmp(action, "GetCallerIdentity") == 0)
            give_identity(x);
        else
            fail(x, 400, "InvalidAction", "The emulated STS knows GetCallerIdentity alone.");
        break;
    case EBB_KEYRING_UNKNOWN_KEY:
    case EBB_KEYRING_BAD_TOKEN:
        fail(x, 403, "InvalidClientTokenId",
             "The security token included in the request is invalid.");
        break;
    case EBB_KEYRING_EXPIRED_TOKEN:
        fail(x, 403, "ExpiredToken", "The security token included in the request is expired");
        break;
    case EBB_KEYRING_ABSENT:
        fail(x, 403, "MissingAuthenticationToken", "Request is missing Authentication Token");
        break;
    default:
        fail(x, 403, "SignatureDoesNotMatch",
             "The request signature we calculated does not match the signature you provided.");
        break;
    }
}
