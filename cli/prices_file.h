/* The catalogue of prices in use: the one that was imported, else the one built in. */
#ifndef EBB_CLI_PRICES_FILE_H
#define EBB_CLI_PRICES_FILE_H

#include "scheduler/core/catalogue.h"

/* An imported catalogue that cannot be read is an error, not passed over. `*ret_imported` is to be
 * destroyed; it is NULL for the built-in one. Returns the catalogue in use, NULL on failure. */
const struct ebb_catalogue *ebb_prices_load(struct ebb_catalogue **ret_imported,
                                            struct ebb_error *err);
/* Checks the file and keeps it as the catalogue in use. */
int ebb_prices_import(const char *path, size_t *ret_offers, struct ebb_error *err);
/* Back to the built-in catalogue. */
int ebb_prices_forget(struct ebb_error *err);
/* The imported catalogue as the scheduler's log has it; `*ret` is NULL when none is imported. Its
 * texts belong to `*ret_imported`. */
int ebb_prices_event(struct ebb_catalogue **ret_imported, uint8_t ret_sha256[32],
                     Ebb__CatalogueImported **ret, struct ebb_error *err);
/* Days from the catalogue's date to `wall_ns`, -1 when it has no date. */
double ebb_prices_age_days(const struct ebb_catalogue *c, int64_t wall_ns);

#endif
