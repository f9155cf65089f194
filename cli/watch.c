/* Watching a bag. Each round waits for events (at most a second, then it redraws for the clocks),
 * asks for the state, and draws. The first round reads the log from its beginning, so that the
 * names of VMs are known and, on no terminal, nothing that happened before is left out. */
#include "cli/watch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/bag_view.h"
#include "cli/event_lines.h"
#include "cli/spec_cache.h"
#include "cli/table.h"

#define RECENT_LINES 8
#define OTHER_LINES  (RECENT_LINES + 10) /* of the screen, but for the rows of VMs */
#define EVENTS_LIMIT 1000
#define FEW_EVENTS   200

struct line {
    char *text;
    enum ebb_event_tone tone;
};

struct watch {
    struct ebb_client *client;
    const char *bag;
    bool terminal;
    bool color;
    struct ebb_spec_cache *specs;
    struct ebb_event_names *names;
    struct ebb_event_lines *lines;
    uint64_t last; /* sequence of the last event seen */
    bool caught_up;
    struct line recent[RECENT_LINES];
    size_t recent_count; /* ever added */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

static const char *tone_start(const struct watch *w, enum ebb_event_tone tone)
{
    static const char *const colors[] = {"\x1b[2m", "", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
    return w->color ? colors[tone] : "";
}

static const char *tone_end(const struct watch *w, enum ebb_event_tone tone)
{
    return w->color && tone != EBB_TONE_PLAIN ? "\x1b[0m" : "";
}

/* ---- events ---- */

static void show_line(void *ctx, const struct ebb_event_line *e)
{
    struct watch *w = ctx;
    if (w->terminal) {
        struct line *l = &w->recent[w->recent_count++ % RECENT_LINES];
        free(l->text);
        *l = (struct line){ebb_strdup(e->text), e->tone};
        return;
    }
    char when[EBB_TIME_TEXT_SIZE];
    ebb_time_format(e->wall_ns, when);
    (void)printf("%.8s  %s\n", when + 11, e->text);
    (void)fflush(stdout);
}

static bool is_shown(const struct watch *w, const Ebb__Event *e)
{
    const char *bag = ebb_event_bag(e);
    return bag == NULL || strcmp(bag, w->bag) == 0;
}

static void take_event(struct watch *w, const Ebb__Event *e, int64_t since_wall_ns)
{
    ebb_event_names_learn(w->names, e);
    if (e->sequence > w->last)
        w->last = e->sequence;
    if (is_shown(w, e) && e->wall_ns >= since_wall_ns)
        ebb_event_lines_add(w->lines, e);
}

static int take_events(struct watch *w, int64_t since_wall_ns, struct ebb_error *err)
{
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    double wait_s = w->caught_up ? 1 : 0;
    int rc = ebb_ask_events(w->client, "", w->last, EVENTS_LIMIT, wait_s, &a, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < a->events->n_events; i++)
        take_event(w, a->events->events[i], since_wall_ns);
    ebb_event_lines_flush(w->lines);
    if (a->events->last > w->last)
        w->last = a->events->last; /* events of other bags were passed over */
    w->caught_up = a->events->n_events == 0 || (w->caught_up && a->events->n_events < FEW_EVENTS);
    return 0;
}

/* ---- the screen ---- */

static const char *vm_note(const Ebb__VmStatus *vm, int64_t now_wall_ns, char *out)
{
    char text[EBB_QUANTITY_TEXT_SIZE];
    if (vm->notice_deadline_wall_ns <= now_wall_ns)
        return vm->note;
    double left_s = (double)(vm->notice_deadline_wall_ns - now_wall_ns) / EBB_NS_PER_S;
    (void)snprintf(out, 64, "taken in %s", ebb_format_duration(left_s, text));
    return out;
}

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

static void vm_row(struct ebb_table *t, const Ebb__VmStatus *vm, int64_t now_wall_ns)
{
    char age[EBB_QUANTITY_TEXT_SIZE], cost[EBB_QUANTITY_TEXT_SIZE];
    char price[EBB_QUANTITY_TEXT_SIZE] = "", note[64];
    const Ebb__Offer *o = vm->offer;
    if (o != NULL)
        (void)snprintf(price, sizeof(price), "$%.4f", (double)o->usd_micros_per_hour / 1e6);
    ebb_table_row(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%u\t%s", vm->vm, o == NULL ? "" : o->type,
                  o == NULL ? "" : o->zone,
                  o != NULL && o->market == EBB__MARKET__ON_DEMAND ? "on demand" : "spot",
                  vm->state, ebb_format_duration(vm->age_s, age), price,
                  ebb_format_usd(vm->cost_usd_micros, cost), vm->running,
                  vm_note(vm, now_wall_ns, note));
}

static bool vm_lives(const Ebb__VmStatus *vm)
{
    return strcmp(vm->state, "terminated") != 0 && strcmp(vm->state, "failed") != 0;
}

void ebb_vm_table(const Ebb__BagsAnswer *a, unsigned width, size_t max_rows, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t =
        ebb_table_new("VM\tTYPE\tZONE\tMARKET\tSTATE\t>AGE\t>$/HOUR\t>COST\t>JOBS\t*NOTE");
    size_t living = 0;
    for (size_t i = 0; i < a->n_vms; i++)
        if (vm_lives(a->vms[i]) && living++ < max_rows)
            vm_row(t, a->vms[i], a->wall_ns);
    if (living == 0)
        return;
    ebb_table_render(t, width, "", out);
    if (living > max_rows)
        ebb_buffer_printf(out, "and %zu more\n", living - max_rows);
}

/* Each line is cut to the screen and ends with "erase to the end of the line". */
static void put_lines(const char *text, unsigned width, struct ebb_buffer *screen)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n"), columns = 0, keep = 0;
        for (; keep < len; keep++) {
            columns += ((unsigned char)text[keep] & 0xc0) != 0x80;
            if (columns > width)
                break;
        }
        ebb_buffer_append(screen, text, keep);
        ebb_buffer_append_text(screen, "\x1b[K\n");
        text += text[len] == '\n' ? len + 1 : len;
    }
}

static void put_recent(const struct watch *w, unsigned width, struct ebb_buffer *screen)
{
    size_t first = w->recent_count > RECENT_LINES ? w->recent_count - RECENT_LINES : 0;
    for (size_t i = first; i < w->recent_count; i++) {
        const struct line *l = &w->recent[i % RECENT_LINES];
        ebb_buffer_append_text(screen, tone_start(w, l->tone));
        put_lines(l->text, width, screen);
        ebb_buffer_append_text(screen, tone_end(w, l->tone));
    }
}

static void draw(struct watch *w, const Ebb__BagsAnswer *a)
{
    unsigned width = ebb_terminal_width(STDOUT_FILENO);
    width = width < 20 ? 80 : width;
    const Ebb__BagStatus *b = a->bags[0];
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer screen = {0};
    ebb_bag_view_title(b, a->wall_ns, &text);
    ebb_buffer_append_text(&text, "\n");
    ebb_bag_view_bar(b, width > 62 ? 60 : width - 2, &text);
    ebb_buffer_append_text(&text, "\n");
    ebb_bag_view_counts(b, &text);
    ebb_buffer_append_text(&text, "\n");
    ebb_bag_view_money(b, &text);
    ebb_buffer_append_text(&text, "\n");
    ebb_bag_view_finish(b, a->wall_ns, &text);
    ebb_buffer_append_text(&text, "\n\n");
    unsigned height = ebb_terminal_height(STDOUT_FILENO);
    size_t rows = height > OTHER_LINES ? height - OTHER_LINES : 1;
    size_t before = text.len;
    ebb_vm_table(a, width, rows, &text);
    if (text.len > before)
        ebb_buffer_append_text(&text, "\n");
    ebb_buffer_append_text(&screen, "\x1b[H");
    put_lines(ebb_buffer_text(&text), width, &screen);
    put_recent(w, width, &screen);
    ebb_buffer_append_text(&screen, "\x1b[J");
    (void)fwrite(screen.data, 1, screen.len, stdout);
    (void)fflush(stdout);
}

/* ---- the whole ---- */

static void say_end(const struct watch *w, const Ebb__BagsAnswer *a)
{
    const Ebb__BagStatus *b = a->bags[0];
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_bag_view_title(b, a->wall_ns, &out);
    ebb_buffer_append_text(&out, "\n");
    ebb_bag_view_counts(b, &out);
    ebb_buffer_append_text(&out, "\n");
    ebb_bag_view_money(b, &out);
    ebb_buffer_printf(&out, "\n\n  ebb report %s   what it cost\n  ebb fetch %s    the outputs\n",
                      w->bag, w->bag);
    if (ebb_bag_count(b, "failed") > 0)
        ebb_buffer_printf(&out, "  ebb jobs %s --state failed\n", w->bag);
    (void)fputs(ebb_buffer_text(&out), stdout);
}

static int follow(struct watch *w, Ebb__ClientAnswer **last, struct ebb_error *err)
{
    int64_t since_wall_ns = 0;
    while (!interrupted) {
        Ebb__ClientAnswer *a = NULL;
        int rc = ebb_ask_bags(w->client, w->bag, &a, err);
        if (rc < 0)
            return rc;
        ebb_answer_destroy(*last);
        *last = a;
        if (a->bags->n_bags == 0)
            return ebb_error_set(err, EBB_ERR_NOT_FOUND, "no bag '%s'", w->bag);
        since_wall_ns = a->bags->bags[0]->submitted_wall_ns;
        bool over = ebb_bag_is_over(a->bags->bags[0]);
        if (w->terminal && w->caught_up)
            draw(w, a->bags);
        if (over && w->caught_up)
            return 0;
        rc = take_events(w, since_wall_ns, err);
        if (rc < 0)
            return rc;
    }
    return EBB_ERR_CANCELLED;
}

/* The other screen buffer, without a cursor; what stood on the terminal comes back at the end. */
static void enter_screen(const struct watch *w)
{
    if (w->terminal)
        (void)fputs("\x1b[?1049h\x1b[?25l\x1b[2J", stdout);
}

static void leave_screen(const struct watch *w)
{
    if (w->terminal)
        (void)fputs("\x1b[?25h\x1b[?1049l", stdout);
    (void)fflush(stdout);
}

static void clean_up(struct watch *w)
{
    ebb_event_lines_destroy(w->lines);
    ebb_event_names_destroy(w->names);
    ebb_spec_cache_destroy(w->specs);
    for (size_t i = 0; i < RECENT_LINES; i++)
        free(w->recent[i].text);
}

int ebb_watch_bag(struct ebb_client *client, const char *bag)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;
    struct watch w = {.client = client,
                      .bag = bag,
                      .terminal = isatty(STDOUT_FILENO) && !dumb,
                      .specs = ebb_spec_cache_new(client)};
    w.color = w.terminal && (no_color == NULL || no_color[0] == '\0');
    w.names = ebb_event_names_new(ebb_spec_cache_get, w.specs);
    w.lines = ebb_event_lines_new(w.names, show_line, &w);
    struct sigaction act = {.sa_handler = on_interrupt}, before;
    (void)sigaction(SIGINT, &act, &before);
    interrupted = 0;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *last = NULL;
    enter_screen(&w);
    int rc = follow(&w, &last, &err);
    leave_screen(&w);
    (void)sigaction(SIGINT, &before, NULL);
    int status = 130;
    if (interrupted) {
        (void)printf("%s goes on without you; come back with: ebb status --watch %s\n", bag, bag);
    } else if (rc < 0) {
        status = ebb_command_fail(&err);
    } else {
        say_end(&w, last->bags);
        status = ebb_bag_exit_status(last->bags->bags[0]);
    }
    clean_up(&w);
    return status;
}
