/* A scripted scheduler for tests of the real agent: a TLS listener of its own authority, a
 * directory as the store, and agents as child processes, each a session of its own like a VM. */
#ifndef EBB_TESTS_FLOW_AGENT_HARNESS_H
#define EBB_TESTS_FLOW_AGENT_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/wire.pb-c.h"

#define MAX_VMS    20
#define MAX_EVENTS 2048
#define LIMIT_S    90 /* for what comes in a second or two, on a machine that is not busy */

struct ebb_channel;
struct harness;

struct vm {
    struct harness *h;
    char name[32];
    char *directory;
    pid_t pid; /* leader of the VM's session; 0 when it has been reaped */
    int wait_status;
    struct ebb_channel *channel;
    bool has_said_hello;
    bool is_muted; /* what it sends is not answered */
    uint64_t heartbeats;
    char last_phase[32]; /* of its first running attempt */
    int64_t last_step;
};

struct harness *harness_new(void);
void harness_destroy(struct harness *h); /* kills what is left, removes the directory */
const char *harness_directory(const struct harness *h);
const char *harness_store(const struct harness *h); /* file:///... */
void harness_set_lease_ttl(struct harness *h, double ttl_s, double orphan_timeout_s);
/* AttemptEnded is acknowledged from now on, or not. */
void harness_set_acks(struct harness *h, bool on);
void harness_close_connections(struct harness *h);
/* Stops listening (the scheduler is dead), or listens again at the same port. */
void harness_listen(struct harness *h, bool on);

/* The bag that leases are about; borrowed. Files are put into the store as inputs. */
void harness_set_bag(struct harness *h, Ebb__BagContext *bag);
void harness_put_input(struct harness *h, Ebb__Input *input, const char *text);
/* Puts the text where the input's hash says, whatever it is. */
void harness_put_input_as(struct harness *h, const Ebb__Input *input, const char *text);

/* `env` is a list of NAME=value, NULL-terminated, or NULL. */
struct vm *harness_start_vm(struct harness *h, const char *name, const char *const *env);
void harness_signal_vm(struct vm *vm, int signo); /* every process of it */
void harness_lease(struct vm *vm, uint64_t job, uint32_t attempt, double interval_s, bool resume);
/* As rank 1 of a gang of two. */
void harness_lease_member(struct vm *vm, uint64_t job, uint32_t attempt);
void harness_cancel(struct vm *vm, uint64_t job, uint32_t attempt, bool release);
void harness_drain(struct vm *vm, double within_s);

/* The metadata service of all VMs: announces the revocation in so many seconds; 0 withdraws it. */
void harness_announce(struct harness *h, double in_s);

/* Runs the loop until `condition` holds; fails the test after `limit_s`. */
void harness_wait(struct harness *h, bool (*condition)(void *ctx), void *ctx, double limit_s,
                  const char *what);
void harness_run_for(struct harness *h, double s);
/* Until its attempt has got so far, or so many more heartbeats have come. */
void harness_wait_step(struct vm *vm, int64_t step);
void harness_wait_heartbeats(struct vm *vm, uint64_t more);

/* The newest event of that kind for job and attempt, NULL when there is none. */
const Ebb__AttemptStarted *harness_started(const struct harness *h, uint64_t job, uint32_t attempt);
const Ebb__AttemptEnded *harness_ended(const struct harness *h, uint64_t job, uint32_t attempt);
size_t harness_starts(const struct harness *h, uint64_t job, uint32_t attempt);
size_t harness_commits(const struct harness *h, uint64_t job, uint32_t attempt);
size_t harness_ends(const struct harness *h, uint64_t job,
                    uint32_t attempt); /* told, with repeats */
const Ebb__AttemptEnded *harness_wait_ended(struct harness *h, uint64_t job, uint32_t attempt,
                                            double limit_s);
void harness_wait_commits(struct harness *h, uint64_t job, uint32_t attempt, size_t count,
                          double limit_s);
/* The same; false when the attempt ended before. */
bool harness_wait_commits_or_end(struct harness *h, uint64_t job, uint32_t attempt, size_t count,
                                 double limit_s);
void harness_wait_vm_end(struct harness *h, struct vm *vm, double limit_s);

/* Content of an output in the job's final checkpoint, malloc'ed; NULL when it is not final. */
char *harness_output(const struct harness *h, const char *job_name, const char *file,
                     size_t *ret_len);
/* The attempt's log as the store has it, malloc'ed. */
char *harness_log(const struct harness *h, const char *job_name, uint32_t attempt);

#endif
