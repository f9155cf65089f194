/* What an imported file of hazards may hold: whatever is taken leaves finite rates, and comes back
 * from what is saved. */
#include <math.h>
#include <stdlib.h>

#include "proto/decode.h"
#include "scheduler/core/hazards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rates(const struct ebb_hazards *h)
{
    enum ebb_rate rate;
    struct ebb_place place;
    double per_hour[EBB_AGE_BINS], sd[EBB_AGE_BINS];
    size_t cursor = 0;
    for (int n = 0; n < 100 && ebb_hazards_next(h, &cursor, &rate, &place); n++) {
        ebb_hazards_table(h, rate, &place, INT64_C(1700000000000000000), per_hour, sd);
        for (int b = 0; b < EBB_AGE_BINS; b++) {
            if (!isfinite(per_hour[b]) || per_hour[b] < 0 || !isfinite(sd[b]))
                abort();
        }
        double alive = ebb_hazards_survival(h, &place, 0, 1e6, INT64_C(1700000000000000000));
        if (!(alive >= 0 && alive <= 1))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Ebb__HazardState *m = ebb_message_decode(&ebb__hazard_state__descriptor, data, size);
    if (m == NULL)
        return 0;
    struct ebb_hazards *h = ebb_hazards_new(EBB_HAZARD_HALF_LIFE_S);
    if (ebb_hazards_load(h, m, NULL) == 0) {
        const struct ebb_place p = {"aws", "us-east-1", "us-east-1a", "g5.xlarge"};
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &p, 0, 5000, true,
                            INT64_C(1700000000000000000));
        check_rates(h);
        Ebb__HazardState *saved = ebb_hazards_save(h);
        struct ebb_hazards *again = ebb_hazards_new(saved->half_life_s);
        (void)ebb_hazards_load(again, saved, NULL);
        ebb_hazards_destroy(again);
        ebb__hazard_state__free_unpacked(saved, NULL);
    }
    ebb_hazards_destroy(h);
    ebb__hazard_state__free_unpacked(m, NULL);
    return 0;
}
