/* Who may ask: the account's own key pair, and temporary ones for the VMs. */
#ifndef EBB_CLOUD_EMULATOR_ACCOUNT_H
#define EBB_CLOUD_EMULATOR_ACCOUNT_H

#include <stdint.h>

#include "base/error.h"
#include "base/map.h"

struct ebb_emulator;
struct ebb_exchange;
struct ebb_vm;

struct ebb_key_pair {
    char access_key[24];
    char secret_key[44];
    char token[132]; /* empty for the account's own */
    int64_t issued_wall_ns;
    int64_t expires_wall_ns; /* 0: never */
    struct ebb_vm *vm;       /* NULL: the account's own */
};

struct ebb_account {
    char number[13];
    struct ebb_key_pair own;
    struct ebb_map *temporary; /* access key -> struct ebb_key_pair, owned */
};

/* Reads <state>/credentials, or makes it (mode 0600) with random keys. */
int ebb_account_init(struct ebb_account *a, const char *state_dir, struct ebb_error *err);
void ebb_account_clean_up(struct ebb_account *a);
/* Credentials for a VM's role: those it has, renewed when little time is left. Borrowed. */
const struct ebb_key_pair *ebb_account_for_vm(struct ebb_account *a, struct ebb_vm *vm,
                                              int64_t now_wall_ns);

enum ebb_account_verdict {
    EBB_ACCOUNT_GENUINE,
    EBB_ACCOUNT_ABSENT,
    EBB_ACCOUNT_MALFORMED,
    EBB_ACCOUNT_UNKNOWN_KEY,
    EBB_ACCOUNT_BAD_TOKEN,
    EBB_ACCOUNT_EXPIRED_TOKEN,
    EBB_ACCOUNT_SKEWED,
    EBB_ACCOUNT_EXPIRED,
    EBB_ACCOUNT_MISMATCH,
};

/* Checks the signature; sets x->vm when a VM's credentials were used. ret_service (33 bytes) gets
 * the service that the request was signed for, "" when it was not. */
enum ebb_account_verdict ebb_account_check(struct ebb_account *a, struct ebb_exchange *x,
                                           char *ret_service);
/* The service a request claims, unchecked, for routing. */
void ebb_account_claimed_service(struct ebb_exchange *x, char *ret_service);

#endif
