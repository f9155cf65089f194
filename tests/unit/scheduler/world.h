/* A small world for tests of the daemon: a cloud in memory that can misbehave, agents and a client
 * that speak the wire, all on the daemon's own loop and in its own process. */
#ifndef EBB_TEST_WORLD_H
#define EBB_TEST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/profile.h"
#include "scheduler/daemon.h"

#define MAX_VMS 32

struct fake_vm {
    struct ebb_instance instance;
    char token[72];
    char *user_data;
};

struct fake_cloud {
    pthread_mutex_t lock;
    struct fake_vm vms[MAX_VMS];
    size_t count;
    int launch_calls, terminate_calls;
    int lose_answers;      /* this many launches happen, and the answer is lost */
    int refuse_everywhere; /* code for every launch; 0: none */
    const char *full_zone; /* no capacity there */
    bool hide;             /* the list is empty: it lags */
    int fail_terminates;   /* this many calls fail */
};

struct fake_agent {
    struct world *world;
    char vm[64], token[128];
    char *authority;
    struct ebb_buffer key, csr, certificate;
    struct ssl_ctx_st *tls;
    struct ebb_channel *channel;
    struct ebb_timer *connector;
    bool joined, welcome, refused, closed, answers; /* answers: runs every lease at once */
    int leases, cancels, acks, drains;
    char bag[64];
    uint64_t job, beats, beats_acked;
    uint32_t attempt;
    /* of a gang */
    int member_leases, messages;
    uint32_t rank, message_from;
    size_t gang_size;
    bool was_released;
    double within_s;
    bool tells_end;            /* that of its job, when it is welcomed */
    struct ebb_buffer running; /* packed Ebb__AttemptState to name in Hello; len 0: none */
};

struct world {
    char directory[64];
    struct ebb_daemon *daemon;
    struct fake_cloud cloud;
    struct ebb_provider provider;
    struct fake_agent agents[MAX_VMS];
    size_t agent_count;
    bool agents_answer, auto_agents;
    struct ebb_channel *client;
    Ebb__ClientAnswer *answer;
    struct ebb_daemon_options options;
};

void world_start(struct world *w); /* also again, after world_stop */
void world_stop(struct world *w);
int world_set_up(void **state);
int world_tear_down(void **state);

/* Runs the loop until the condition holds; fails the test after so long that no load of the machine
 * explains it. */
#define world_wait(w, condition)                                                                   \
    do {                                                                                           \
        int64_t end_ns_ = ebb_now_ns(NULL) + 60 * EBB_NS_PER_S;                                    \
        while (!(condition)) {                                                                     \
            if (ebb_now_ns(NULL) > end_ns_)                                                        \
                fail_msg("not within a minute: %s", #condition);                                   \
            world_run(w, 5);                                                                       \
        }                                                                                          \
    } while (0)
void world_run(struct world *w, int64_t ms);

Ebb__BagSpec *world_bag(const char *text); /* the groups in YAML, see world.c */
/* Submits and returns the bag's id (static). */
const char *world_submit(struct world *w, const char *jobs, const char *key);
/* The answer stays in w->answer. */
void world_ask(struct world *w, Ebb__ClientRequest *q);

struct fake_agent *world_agent(struct world *w, const char *vm); /* joins with the VM's script */
void agent_hello(struct fake_agent *a); /* (re)connects with the certificate */
void agent_send(struct fake_agent *a, Ebb__AgentMessage__KindCase kind, void *body);
void agent_start(struct fake_agent *a, uint64_t job, uint32_t attempt);
void agent_end(struct fake_agent *a, uint64_t job, uint32_t attempt, int outcome);
void agent_beat(struct fake_agent *a); /* as it also does when it is welcomed */
void agent_drop(struct fake_agent *a); /* the connection alone */

/* Events of a kind in the log so far. */
size_t world_events(struct world *w, Ebb__Event__KindCase kind);

#endif
