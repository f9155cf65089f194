/* Who may ask: the account's own key pair, and temporary ones for the VMs. */
#ifndef EBB_CLOUD_EMULATOR_KEYRING_H
#define EBB_CLOUD_EMULATOR_KEYRING_H

#include <stdint.h>

#include "base/error.h"
#include "base/map.h"

struct ebb_emulator;
struct ebb_exchange;
struct ebb_guest;

struct ebb_key_pair {
    char access_key[24];
    char secret_key[44];
    char token[132]; /* empty for the account's own */
    int64_t issued_wall_ns;
    int64_t expires_wall_ns; /* 0: never */
    struct ebb_guest *vm;    /* NULL: the account's own */
};

struct ebb_keyring {
    char account[13]; /* its number */
    struct ebb_key_pair own;
    struct ebb_map *temporary; /* access key -> struct ebb_key_pair, owned */
};

/* Reads <state>/credentials, or makes it (mode 0600) with random keys. */
int ebb_keyring_init(struct ebb_keyring *a, const char *state_dir, struct ebb_error *err);
void ebb_keyring_clean_up(struct ebb_keyring *a);
/* Credentials for a VM's role: those it has, renewed when little time is left. Borrowed. */
const struct ebb_key_pair *ebb_keyring_for_vm(struct ebb_keyring *a, struct ebb_guest *vm,
                                              int64_t now_wall_ns);

enum ebb_keyring_verdict {
    EBB_KEYRING_GENUINE,
    EBB_KEYRING_ABSENT,
    EBB_KEYRING_MALFORMED,
    EBB_KEYRING_UNKNOWN_KEY,
    EBB_KEYRING_BAD_TOKEN,
    EBB_KEYRING_EXPIRED_TOKEN,
    EBB_KEYRING_SKEWED,
    EBB_KEYRING_EXPIRED,
    EBB_KEYRING_MISMATCH,
};

/* Checks the signature; sets x->vm when a VM's credentials were used. ret_service (33 bytes) gets
 * the service that the request was signed for, "" when it was not. */
enum ebb_keyring_verdict ebb_keyring_check(struct ebb_keyring *a, struct ebb_exchange *x,
                                           char *ret_service);
/* The service a request claims, unchecked, for routing. */
void ebb_keyring_claimed_service(struct ebb_exchange *x, char *ret_service);

#endif
