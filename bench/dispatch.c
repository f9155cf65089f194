/* Dispatch: no-op jobs through submit, lease, done, with the durable log and agents over mutual TLS
 * on loopback. Three processes:
 *
 *   scheduler  the daemon itself, on a cloud that launches instantly; its CPU and memory count
 *   agents     one loop that joins and answers for every VM: started and done, at once
 *   client     submits over the Unix socket, waits for the end, stops the scheduler
 *
 *     bench/dispatch [jobs] [VMs] [slots a VM]      default 100000, 16, 64 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "scheduler/core/bag.h"
#include "scheduler/daemon.h"

#define MAX_USER_DATA 65536

static uint64_t job_count = 100000;
static uint32_t vm_count = 16, slots = 64;
static char directory[] = "/tmp/ebb-dispatch-XXXXXX";

static _Noreturn void stop(const char *what, const struct ebb_error *err)
{
    (void)fprintf(stderr, "bench: %s: %s\n", what, err->text);
    exit(1);
}

/* ---- a cloud that launches instantly: the boot script goes to the agents' process ---- */

static int to_agents; /* pipe; a message is a length and the script */
static pthread_mutex_t cloud_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ebb_instance instances[4096];
static size_t instance_count;

static int cloud_offers(struct ebb_provider *p, ebb_offer_fn fn, void *ctx, struct ebb_error *err)
{
    Ebb__Offer o = EBB__OFFER__INIT;
    (void)p, (void)err;
    o.provider = (char *)"bench";
    o.region = o.zone = (char *)"loopback-1a";
    o.type = (char *)"bench.large";
    o.market = EBB__MARKET__ON_DEMAND;
    o.cpus = slots;
    o.memory_bytes = UINT64_C(1) << 40;
    o.usd_micros_per_hour = o.on_demand_usd_micros_per_hour = 1000000;
    return fn(ctx, &o);
}

static int cloud_prices(struct ebb_provider *p, int64_t since, ebb_price_fn fn, void *ctx,
                        struct ebb_error *err)
{
    (void)p, (void)since, (void)fn, (void)ctx, (void)err;
    return 0;
}

static int cloud_launch(struct ebb_provider *p, const struct ebb_launch_request *q,
                        struct ebb_instance *ret, struct ebb_error *err)
{
    (void)p;
    uint32_t len = (uint32_t)strlen(q->user_data);
    struct ebb_instance i = {.state = EBB_INSTANCE_RUNNING, .launched_wall_ns = ebb_wall_ns(NULL)};
    pthread_mutex_lock(&cloud_lock);
    snprintf(i.id, sizeof i.id, "i-%zu", instance_count);
    snprintf(i.vm, sizeof i.vm, "%s", q->vm);
    int rc = ebb_write_all(to_agents, &len, sizeof len, err);
    if (rc == 0)
        rc = ebb_write_all(to_agents, q->user_data, len, err);
    instances[instance_count++] = *ret = i;
    pthread_mutex_unlock(&cloud_lock);
    return rc;
}

static int cloud_list(struct ebb_provider *p, const char *scheduler, ebb_instance_fn fn, void *ctx,
                      struct ebb_error *err)
{
    (void)p, (void)scheduler, (void)err;
    int rc = 0;
    pthread_mutex_lock(&cloud_lock);
    for (size_t i = 0; i < instance_count && rc == 0; i++)
        rc = fn(ctx, &instances[i]);
    pthread_mutex_unlock(&cloud_lock);
    return rc;
}

static int cloud_terminate(struct ebb_provider *p, const char *const *ids, size_t count,
                           struct ebb_error *err)
{
    (void)p, (void)ids, (void)count, (void)err;
    return 0;
}

static const struct ebb_provider_methods cloud_methods = {.offers = cloud_offers,
                                                          .prices = cloud_prices,
                                                          .launch = cloud_launch,
                                                          .list = cloud_list,
                                                          .terminate = cloud_terminate};

/* ---- agents ---- */

struct agent {
    struct ebb_loop *loop;
    char vm[64], address[64], token[128], *authority;
    struct ebb_buffer key, csr, certificate;
    struct ssl_ctx_st *tls;
    struct ebb_channel *channel;
    struct ebb_timer *timer;
    bool joined;
};

static void agent_connect(struct agent *a);

static void agent_send(struct agent *a, Ebb__AgentMessage__KindCase kind, void *body)
{
    uint8_t bytes[4096];
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    m.kind_case = kind;
    m.join = body; /* a union of pointers */
    if (ebb__agent_message__get_packed_size(&m) > sizeof bytes)
        abort();
    ebb_channel_send(a->channel, bytes, ebb__agent_message__pack(&m, bytes));
}

static void agent_open(void *ctx, struct ebb_channel *c)
{
    struct agent *a = ctx;
    (void)c;
    if (!a->joined) {
        Ebb__Join join = EBB__JOIN__INIT;
        join.vm = a->vm;
        join.token = a->token;
        join.csr_pem = (char *)(uintptr_t)ebb_buffer_text(&a->csr);
        agent_send(a, EBB__AGENT_MESSAGE__KIND_JOIN, &join);
        return;
    }
    Ebb__Hello hello = EBB__HELLO__INIT;
    hello.vm = a->vm;
    hello.protocol = 1;
    hello.cpus = slots;
    hello.memory_bytes = UINT64_C(1) << 40;
    agent_send(a, EBB__AGENT_MESSAGE__KIND_HELLO, &hello);
}

static void agent_run(struct agent *a, const Ebb__Lease *lease)
{
    Ebb__AttemptStarted started = EBB__ATTEMPT_STARTED__INIT;
    started.bag = lease->bag;
    started.job = lease->job;
    started.attempt = lease->attempt;
    started.epoch = 1;
    started.resumed_step = -1;
    agent_send(a, EBB__AGENT_MESSAGE__KIND_ATTEMPT_STARTED, &started);
    Ebb__AttemptEnded ended = EBB__ATTEMPT_ENDED__INIT;
    Ebb__AttemptTimes times = EBB__ATTEMPT_TIMES__INIT;
    ended.bag = lease->bag;
    ended.job = lease->job;
    ended.attempt = lease->attempt;
    ended.outcome = EBB__ATTEMPT_ENDED__OUTCOME__DONE;
    ended.times = &times;
    ended.final_sequence = 1;
    agent_send(a, EBB__AGENT_MESSAGE__KIND_ATTEMPT_ENDED, &ended);
}

static void agent_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    struct agent *a = ctx;
    (void)c;
    Ebb__SchedulerMessage *m = ebb__scheduler_message__unpack(NULL, len, data);
    if (m == NULL)
        abort();
    if (m->kind_case == EBB__SCHEDULER_MESSAGE__KIND_JOINED) {
        ebb_buffer_append_text(&a->certificate, m->joined->certificate_pem);
        a->joined = true;
        ebb_channel_destroy(a->channel);
        ebb_tls_context_destroy(a->tls);
        agent_connect(a);
    } else if (m->kind_case == EBB__SCHEDULER_MESSAGE__KIND_LEASE_GRANT) {
        for (size_t i = 0; i < m->lease_grant->n_leases; i++)
            agent_run(a, m->lease_grant->leases[i]);
    }
    ebb__scheduler_message__free_unpacked(m, NULL);
}

static void agent_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    struct agent *a = ctx;
    (void)err;
    a->channel = NULL;
    ebb_channel_destroy(c);
}

static void agent_connect(struct agent *a)
{
    static const struct ebb_channel_handlers handlers = {
        .on_open = agent_open, .on_message = agent_message, .on_close = agent_close};
    struct ebb_error err = {0};
    if (ebb_tls_client_context(a->authority, a->joined ? ebb_buffer_text(&a->certificate) : NULL,
                               a->joined ? ebb_buffer_text(&a->key) : NULL, &a->tls, &err) < 0 ||
        ebb_channel_connect(a->loop, a->address, a->tls, EBB_SERVER_NAME, NULL, &handlers, a,
                            &a->channel, &err) < 0)
        stop("agent", &err);
}

static void agent_beat(void *ctx)
{
    struct agent *a = ctx;
    Ebb__Heartbeat beat = EBB__HEARTBEAT__INIT;
    if (a->channel != NULL && a->joined)
        agent_send(a, EBB__AGENT_MESSAGE__KIND_HEARTBEAT, &beat);
    ebb_timer_set(a->timer, 2 * EBB_NS_PER_S);
}

/* The value after "key: " in the boot script, without quotes. */
static void take_value(const char *script, const char *key, char *out, size_t size)
{
    const char *at = strstr(script, key);
    if (at == NULL)
        abort();
    at += strlen(key);
    at += *at == '"';
    size_t len = strcspn(at, "\"\n");
    snprintf(out, size, "%.*s", (int)len, at);
}

static char *take_authority(const char *script)
{
    struct ebb_buffer b = {0};
    const char *line = strstr(script, "  -----BEGIN");
    while (line != NULL && strncmp(line, "  ", 2) == 0) {
        size_t len = strcspn(line, "\n");
        ebb_buffer_printf(&b, "%.*s\n", (int)len - 2, line + 2);
        line += len + 1;
    }
    return ebb_buffer_take_text(&b);
}

static void on_boot(void *ctx, int fd, bool readable, bool writable)
{
    static char script[MAX_USER_DATA];
    (void)readable, (void)writable;
    uint32_t len, got = 0;
    if (read(fd, &len, sizeof len) != sizeof len || len >= sizeof script)
        exit(0); /* the scheduler has ended */
    while (got < len) {
        ssize_t n = read(fd, script + got, len - got);
        if (n <= 0)
            exit(1);
        got += (uint32_t)n;
    }
    script[len] = '\0';
    struct agent *a = ebb_alloc(sizeof *a);
    a->loop = ctx;
    take_value(script, "\nvm: ", a->vm, sizeof a->vm);
    take_value(script, "\nscheduler: ", a->address, sizeof a->address);
    take_value(script, "\ntoken: ", a->token, sizeof a->token);
    a->authority = take_authority(script);
    a->timer = ebb_timer_new(a->loop, agent_beat, a);
    struct ebb_error err = {0};
    if (ebb_tls_request(&a->key, &a->csr, &err) < 0)
        stop("agent", &err);
    agent_connect(a);
    agent_beat(a);
}

static _Noreturn void run_agents(int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct ebb_loop *loop = ebb_loop_new();
    ebb_watch_new(loop, fd, true, false, on_boot, loop);
    ebb_loop_run(loop, NULL);
    exit(0);
}

/* ---- client ---- */

static Ebb__BagSpec *make_bag(void)
{
    EBB_AUTO_FREE char *text =
        ebb_sprintf("name: dispatch\nstore: file://%s\njobs:\n  - name: noop\n    engine: command\n"
                    "    sweep: {i: {from: 1, to: %llu}}\n"
                    "    resources: {cpus: 1, memory: 16 MiB, time: 10m}\n    command: 'true'\n",
                    directory, (unsigned long long)job_count);
    Ebb__BagSpec *spec = NULL;
    struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    if (ebb_bag_parse("bench.yaml", text, strlen(text), NULL, &spec, &faults, &err) < 0)
        stop(ebb_buffer_text(&faults), &err);
    return spec;
}

static Ebb__ClientAnswer *ask(struct ebb_blocking_channel *c, const Ebb__ClientRequest *q)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer request = {0}, answer = {0};
    ebb_buffer_reserve(&request, ebb__client_request__get_packed_size(q));
    request.len = ebb__client_request__pack(q, request.data);
    if (ebb_blocking_channel_call(c, request.data, request.len, &answer, &err) < 0)
        stop("client", &err);
    Ebb__ClientAnswer *a = ebb__client_answer__unpack(NULL, answer.len, answer.data);
    if (a == NULL || a->code != 0) {
        ebb_error_set(&err, EBB_ERR_INTERNAL, "%s", a == NULL ? "no answer" : a->text);
        stop("client", &err);
    }
    return a;
}

static bool is_done(struct ebb_blocking_channel *c)
{
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__BagsRequest bags = EBB__BAGS_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_BAGS;
    q.bags = &bags;
    Ebb__ClientAnswer *a = ask(c, &q);
    bool done = strcmp(a->bags->bags[0]->state, "done") == 0;
    ebb__client_answer__free_unpacked(a, NULL);
    return done;
}

struct result {
    double submit_s, total_s;
};

static _Noreturn void run_client(int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct ebb_blocking_channel *c = NULL;
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *address = ebb_sprintf("unix:%s/scheduler.sock", directory);
    while (ebb_blocking_channel_connect(address, 60, &c, &err) < 0)
        usleep(10000);
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__SubmitRequest submit = EBB__SUBMIT_REQUEST__INIT;
    submit.spec = make_bag();
    q.kind_case = EBB__CLIENT_REQUEST__KIND_SUBMIT;
    q.submit = &submit;
    int64_t start_ns = ebb_now_ns(NULL);
    ebb__client_answer__free_unpacked(ask(c, &q), NULL);
    struct result r = {.submit_s = (double)(ebb_now_ns(NULL) - start_ns) / 1e9};
    while (!is_done(c))
        usleep(20000);
    r.total_s = (double)(ebb_now_ns(NULL) - start_ns) / 1e9;
    Ebb__StopRequest end = EBB__STOP_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_STOP;
    q.stop = &end;
    ebb__client_answer__free_unpacked(ask(c, &q), NULL);
    if (write(fd, &r, sizeof r) != sizeof r)
        exit(1);
    exit(0);
}

/* ---- the scheduler, and the figures ---- */

struct span {
    int64_t first_ns, last_ns;
};

static int find_span(void *ctx, const Ebb__Event *e, struct ebb_error *err)
{
    struct span *s = ctx;
    (void)err;
    if (e->kind_case == EBB__EVENT__KIND_ATTEMPT_LEASED && s->first_ns == 0)
        s->first_ns = e->wall_ns;
    if (e->kind_case == EBB__EVENT__KIND_ATTEMPT_ENDED)
        s->last_ns = e->wall_ns;
    return 0;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_figures(const struct result *r, double scheduler_cpu_s, long rss_kib,
                          uint64_t events)
{
    struct ebb_event_log *log = NULL;
    struct ebb_error err = {0};
    struct span span = {0};
    struct stat st = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(directory, "events.db");
    if (ebb_event_log_open(directory, true, &log, &err) < 0 ||
        ebb_event_log_read(log, 0, 0, find_span, &span, &err) < 0)
        stop("log", &err);
    ebb_event_log_destroy(log);
    (void)stat(path, &st);
    double dispatch_s = (double)(span.last_ns - span.first_ns) / 1e9;
    double n = (double)job_count;
    printf("%llu jobs, %u VMs of %u slots, %llu events, log %.1f MB\n",
           (unsigned long long)job_count, vm_count, slots, (unsigned long long)events,
           (double)st.st_size / 1e6);
    printf("dispatch   %9.0f jobs/s   (first lease to last end, %.2f s)\n", n / dispatch_s,
           dispatch_s);
    printf("all in all %9.0f jobs/s   (submit to done seen, %.2f s; submit %.3f s)\n",
           n / r->total_s, r->total_s, r->submit_s);
    printf("scheduler  %9.1f us CPU a job, %.1f MiB memory\n", scheduler_cpu_s / n * 1e6,
           (double)rss_kib / 1024);
    printf("{\"schema\":\"ebb.bench.dispatch.v1\",\"jobs\":%llu,\"vms\":%u,\"slots\":%u,"
           "\"dispatch_jobs_per_s\":%.0f,\"total_jobs_per_s\":%.0f,\"submit_s\":%.4f,"
           "\"cpu_us_per_job\":%.2f,\"max_rss_bytes\":%ld,\"log_bytes\":%lld,\"events\":%llu}\n",
           (unsigned long long)job_count, vm_count, slots, n / dispatch_s, n / r->total_s,
           r->submit_s, scheduler_cpu_s / n * 1e6, rss_kib * 1024, (long long)st.st_size,
           (unsigned long long)events);
}

static void run_scheduler(struct ebb_provider *provider, int from_client)
{
    struct ebb_daemon_options o = {.state_dir = directory,
                                   .provider = provider,
                                   .bill_time_scale = 1,
                                   .store_url = "file:///nonexistent",
                                   .heartbeat_s = 2,
                                   .lease_ttl_s = 60,
                                   .orphan_timeout_s = 600,
                                   .boot_timeout_s = 600,
                                   .drain_s = 60,
                                   .list_interval_s = 15,
                                   .offers_interval_s = 300,
                                   .seed = 1};
    struct ebb_daemon *d = NULL;
    struct ebb_error err = {0};
    struct result r;
    struct rusage u;
    ebb_policy_default(&o.policy);
    o.policy.max_vms = vm_count;
    if (ebb_daemon_new(&o, &d, &err) < 0)
        stop("scheduler", &err);
    double before_s = cpu_s();
    if (ebb_daemon_run(d, &err) < 0)
        stop("scheduler", &err);
    double used_s = cpu_s() - before_s;
    getrusage(RUSAGE_SELF, &u);
    uint64_t events = ebb_event_log_last(d->log);
    ebb_daemon_destroy(d);
    if (read(from_client, &r, sizeof r) != sizeof r)
        exit(1);
    print_figures(&r, used_s, u.ru_maxrss, events);
}

int main(int argc, char **argv)
{
    job_count = argc > 1 ? strtoull(argv[1], NULL, 10) : job_count;
    vm_count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : vm_count;
    slots = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : slots;
    int boots[2], results[2];
    struct ebb_error err = {0};
    if (mkdtemp(directory) == NULL || pipe(boots) < 0 || pipe(results) < 0)
        return 1;
    ebb_log_init("bench", EBB_LOG_WARN, NULL);
    if (fork() == 0) {
        close(boots[1]);
        run_agents(boots[0]);
    }
    if (fork() == 0)
        run_client(results[1]);
    to_agents = boots[1];
    struct ebb_provider provider = {
        .methods = &cloud_methods, .name = "bench", .region = "loopback"};
    run_scheduler(&provider, results[0]);
    close(to_agents);
    (void)ebb_remove_tree(directory, &err);
    return 0;
}
