/* The price catalogue that `ebb prices import` has put into the state folder. Its bands are priors
 * of hazards and its caps ends of VMs, so what it says goes into the log, and a replay decides as
 * the scheduler did. The file is looked at now and then; one that cannot be read changes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "scheduler/core/catalogue.h"
#include "scheduler/daemon.h"

#define MOST_BYTES ((size_t)64 << 20)
#define LOOK_NS    (5 * EBB_NS_PER_S)

static void tell(struct ebb_daemon *d, const struct ebb_catalogue *c, uint8_t sha256[32])
{
    static char no_date[] = "";
    static const struct ebb_catalogue none = {.dated = no_date};
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_CATALOGUE_IMPORTED;
    e.catalogue_imported = ebb_catalogue_event_new(c != NULL ? c : &none, sha256);
    ebb_turn_emit_own(d, &e);
    ebb_catalogue_event_destroy(e.catalogue_imported);
    d->offers_ns = 0; /* with their caps */
    if (c != NULL)
        ebb_log_info("an imported price catalogue: %zu offers%s%s", c->count,
                     c->dated[0] != '\0' ? ", of " : "", c->dated);
    else
        ebb_log_info("back to the price catalogue that is built in");
}

static void read_catalogue(struct ebb_daemon *d, const char *path)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *c = NULL;
    struct ebb_error err = {0};
    uint8_t sha256[EBB_SHA256_SIZE];
    if (ebb_file_read(path, MOST_BYTES, &text, &err) < 0) {
        ebb_log_warn("the imported prices are not used: %s", err.text);
        return;
    }
    ebb_sha256(text.data, text.len, sha256);
    if (memcmp(sha256, d->state->catalogue_sha256, sizeof sha256) == 0)
        return;
    if (ebb_catalogue_read(path, ebb_buffer_text(&text), text.len, &c, &err) < 0)
        ebb_log_warn("the imported prices are not used: %s", err.text);
    else
        tell(d, c, sha256);
}

void ebb_prices_tick(struct ebb_daemon *d, int64_t now_ns)
{
    struct stat st = {0};
    uint8_t none[EBB_SHA256_SIZE] = {0};
    if (now_ns < d->prices_ns)
        return;
    d->prices_ns = now_ns + LOOK_NS;
    EBB_AUTO_FREE char *path = ebb_path_join(d->state_dir, "prices.csv");
    if (stat(path, &st) < 0) {
        bool was = memcmp(none, d->state->catalogue_sha256, sizeof none) != 0;
        if (errno == ENOENT && was)
            tell(d, NULL, none);
        d->prices_seen_ns = 0;
        return;
    }
    int64_t changed_ns = (int64_t)st.st_mtim.tv_sec * EBB_NS_PER_S + st.st_mtim.tv_nsec;
    if (changed_ns == d->prices_seen_ns && st.st_ino == d->prices_inode)
        return;
    d->prices_seen_ns = changed_ns;
    d->prices_inode = st.st_ino;
    read_catalogue(d, path);
}
