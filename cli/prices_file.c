/* An imported catalogue is kept as CSV in the folder of ebb's state, in ebb's own order. */
#include "cli/prices_file.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/client.h"
#include "cli/doctor_checks.h"

#define MOST_BYTES ((size_t)64 << 20)

static char *kept_path(void)
{
    EBB_AUTO_FREE char *folder = ebb_state_dir();
    return ebb_path_join(folder, "prices.csv");
}

static int read_file(const char *path, struct ebb_catalogue **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    int rc = ebb_file_read(path, MOST_BYTES, &text, err);
    return rc < 0 ? rc : ebb_catalogue_read(path, ebb_buffer_text(&text), text.len, ret, err);
}

const struct ebb_catalogue *ebb_prices_load(struct ebb_catalogue **ret_imported,
                                            struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = kept_path();
    *ret_imported = NULL;
    if (!ebb_file_exists(path))
        return ebb_catalogue_builtin();
    int rc = read_file(path, ret_imported, err);
    if (rc < 0) {
        (void)ebb_error_wrap(err, rc,
                             "the imported prices ('ebb prices import --built-in' drops them)");
        return NULL;
    }
    return *ret_imported;
}

int ebb_prices_import(const char *path, size_t *ret_offers, struct ebb_error *err)
{
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *c = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    EBB_AUTO_FREE char *folder = ebb_state_dir();
    EBB_AUTO_FREE char *kept = kept_path();
    int rc = read_file(path, &c, err);
    if (rc == 0)
        rc = ebb_mkdir_p(folder, 0700, err);
    if (rc < 0)
        return rc;
    ebb_catalogue_write(c, &out);
    rc = ebb_file_write_atomic(kept, out.data, out.len, 0600, err);
    if (rc == 0)
        *ret_offers = c->count;
    return rc;
}

int ebb_prices_forget(struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = kept_path();
    if (unlink(path) != 0 && errno != ENOENT)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot remove %s", path);
    return 0;
}

int ebb_prices_event(struct ebb_catalogue **ret_imported, uint8_t ret_sha256[32],
                     Ebb__CatalogueImported **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *path = kept_path();
    *ret = NULL;
    if (ebb_prices_load(ret_imported, err) == NULL)
        return err->code;
    if (*ret_imported == NULL)
        return 0;
    int rc = ebb_file_read(path, MOST_BYTES, &text, err);
    if (rc < 0)
        return rc;
    ebb_sha256(text.data, text.len, ret_sha256);
    *ret = ebb_catalogue_event_new(*ret_imported, ret_sha256);
    return 0;
}

double ebb_prices_age_days(const struct ebb_catalogue *c, int64_t wall_ns)
{
    int64_t dated_ns = 0;
    EBB_AUTO_FREE char *time = ebb_sprintf("%.10sT00:00:00Z", c->dated);
    if (ebb_time_parse(time, &dated_ns, NULL) < 0)
        return -1;
    double days = (double)(wall_ns - dated_ns) / 86400e9;
    return days > 0 ? days : 0;
}

#define OLD_DAYS 270

void ebb_check_prices(struct ebb_findings *f)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *imported = NULL;
    const struct ebb_catalogue *c = ebb_prices_load(&imported, &err);
    if (c == NULL) {
        ebb_findings_add(f, EBB_FINDING_FAULT, "prices", ebb_strdup(err.text), NULL);
        return;
    }
    double age = ebb_prices_age_days(c, ebb_wall_ns(NULL));
    bool old = age < 0 || age > OLD_DAYS;
    char *state =
        age < 0 ? ebb_sprintf("%s, %zu offers, without a date", c->source, c->count)
                : ebb_sprintf("%s, %zu offers, %.0f days old", c->source, c->count, floor(age));
    ebb_findings_add(f, old ? EBB_FINDING_NOTE : EBB_FINDING_OK, "prices", state,
                     old ? ebb_strdup("newer ones come in by 'ebb prices import'") : NULL);
}
