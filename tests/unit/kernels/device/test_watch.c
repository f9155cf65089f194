/* The runner of the device kernels finds the faults that it is there for, in whatever order threads
 * run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/faults.h"
#include "memory.h"

static int outcome(enum fault fault, const char *seed)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int nowhere = open("/dev/null", O_WRONLY);
        signal(SIGABRT, SIG_DFL);
        if (nowhere >= 0)
            dup2(nowhere, 2);
        setenv("EBB_DEVICE_SEED", seed, 1);
        run_fault(fault, device_alloc(4096));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void each_fault_is_found(void **state)
{
    (void)state;
    static const char *const seeds[] = {"0", "1", "7"};
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        assert_int_equal(outcome(FAULT_NONE, seeds[s]), 0);
        for (int fault = FAULT_NONE + 1; fault < FAULTS; fault++) {
            const int status = outcome((enum fault)fault, seeds[s]);
            if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
                fail_msg("fault %d is not found (seed %s)", fault, seeds[s]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_fault_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
