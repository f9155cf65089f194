/* HTTP/1.1 requests over libcurl's easy interface.
 *
 * A call takes a handle from a stack (last in, first out, so that warm connections are used
 * first), and gives it back; a handle owns its connections, hence no sharing between threads.
 *
 * What failed must be told apart: nothing was sent (try again freely) or the request may have
 * reached the server (the outcome is unknown, read back). libcurl by itself sends a request again
 * when a kept connection dies under it; for a request with a body that is refused here (the body
 * cannot be rewound), else a conditional put could succeed, be repeated, and come back as lost. */
#include "base/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

#define DEFAULT_MAX_ANSWER_BYTES ((size_t)64 << 20)
#define MAX_HEADER_BYTES         ((size_t)256 << 10)
#define TRANSFER_BUFFER_BYTES    (256L << 10)
/* S3 closes idle connections after some 20 s; a younger one is rarely dead. */
#define MAX_IDLE_CONNECTION_S 15L

struct handle {
    struct handle *next;
    CURL *curl;
};

struct ebb_http_client {
    pthread_mutex_t lock; /* guards the stack */
    struct handle *free_handles;
    char *ca_file; /* from the environment, or NULL */
};

/* One call's state, reached from libcurl's callbacks. */
struct call {
    const struct ebb_http_request *request;
    struct ebb_http_answer *answer;
    size_t sent;
    size_t max_answer_bytes;
    bool too_large;
};

static void global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort(); /* no memory at start-up */
}

struct ebb_http_client *ebb_http_client_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    struct ebb_http_client *c = ebb_alloc(sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    static const char *const variables[] = {"AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(variables) && c->ca_file == NULL; i++) {
        const char *value = getenv(variables[i]);
        if (value != NULL && value[0] != '\0')
            c->ca_file = ebb_strdup(value);
    }
    return c;
}

void ebb_http_client_destroy(struct ebb_http_client *c)
{
    if (c == NULL)
        return;
    while (c->free_handles != NULL) {
        struct handle *h = c->free_handles;
        c->free_handles = h->next;
        curl_easy_cleanup(h->curl);
        free(h);
    }
    pthread_mutex_destroy(&c->lock);
    free(c->ca_file);
    free(c);
}

static struct handle *take_handle(struct ebb_http_client *c)
{
    pthread_mutex_lock(&c->lock);
    struct handle *h = c->free_handles;
    if (h != NULL)
        c->free_handles = h->next;
    pthread_mutex_unlock(&c->lock);
    if (h != NULL)
        return h;
    h = ebb_alloc(sizeof *h);
    h->curl = curl_easy_init();
    if (h->curl == NULL)
        abort(); /* out of memory */
    return h;
}

static void give_handle_back(struct ebb_http_client *c, struct handle *h)
{
    curl_easy_reset(h->curl); /* options go, connections stay */
    pthread_mutex_lock(&c->lock);
    h->next = c->free_handles;
    c->free_handles = h;
    pthread_mutex_unlock(&c->lock);
}

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct call *call = ctx;
    size_t len = size * count;
    struct ebb_buffer *body = &call->answer->body;
    if (len > call->max_answer_bytes - body->len) {
        call->too_large = true;
        return 0; /* aborts the transfer */
    }
    ebb_buffer_append(body, data, len);
    return len;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct call *call = ctx;
    size_t len = size * count;
    struct ebb_buffer *headers = &call->answer->headers;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* an interim answer (1xx) came before */
        ebb_buffer_reset(headers);
        return len;
    }
    if (len > MAX_HEADER_BYTES - headers->len) {
        call->too_large = true;
        return 0;
    }
    if (len > 2)
        ebb_buffer_append(headers, line, len);
    return len;
}

static size_t on_read(char *out, size_t size, size_t count, void *ctx)
{
    struct call *call = ctx;
    size_t room = size * count;
    size_t left = call->request->body_len - call->sent;
    size_t n = left < room ? left : room;
    if (n > 0)
        memcpy(out, (const char *)call->request->body + call->sent, n);
    call->sent += n;
    return n;
}

/* Refuses a second sending, see the top. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    (void)ctx, (void)offset, (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    (void)down_total, (void)down, (void)up_total, (void)up;
    const struct call *call = ctx;
    return call->request->cancel != NULL && atomic_load(call->request->cancel) != 0;
}

/* ---- a request ---- */

static bool is_clean_text(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 && *s != '\t')
            return false;
        if (*s == 0x7f)
            return false;
    }
    return true;
}

static struct curl_slist *append(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    if (longer == NULL)
        abort(); /* out of memory */
    return longer;
}

/* libcurl takes "Name:" as "do not send this header", and sends "Name;" as an empty one. */
static struct curl_slist *append_header(struct curl_slist *list, const char *line)
{
    const char *colon = strchr(line, ':');
    if (colon == NULL || colon[1 + strspn(colon + 1, " \t")] != '\0')
        return append(list, line);
    EBB_AUTO_FREE char *empty = ebb_sprintf("%.*s;", (int)(colon - line), line);
    return append(list, empty);
}

static bool has_header(const char *const *headers, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i++) {
        if (strncasecmp(headers[i], name, len) == 0 && headers[i][len] == ':')
            return true;
    }
    return false;
}

static int build_headers(const struct ebb_http_request *q, struct curl_slist **ret,
                         struct ebb_error *err)
{
    for (size_t i = 0; q->headers != NULL && q->headers[i] != NULL; i++) {
        if (!is_clean_text(q->headers[i]) || strchr(q->headers[i], ':') == NULL)
            return ebb_error_set(err, EBB_ERR_INPUT, "request header %zu is malformed", i + 1);
    }
    /* Waiting for "100 Continue" costs a round trip, or a second where it never comes. */
    struct curl_slist *list = append(NULL, "Expect:");
    if (!has_header(q->headers, "Content-Type"))
        list = append(list, "Content-Type:");
    for (size_t i = 0; q->headers != NULL && q->headers[i] != NULL; i++)
        list = append_header(list, q->headers[i]);
    *ret = list;
    return 0;
}

static void set_method(CURL *curl, const struct ebb_http_request *q, struct call *call)
{
    bool sends_body =
        q->body_len > 0 || strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0;
    if (sends_body) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_len);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, call);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, call);
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER_BYTES);
    } else if (strcmp(q->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method);
}

static long milliseconds(double s, double otherwise_s)
{
    double ms = (s > 0 ? s : otherwise_s) * 1000.0;
    return ms < 1 ? 1 : ms > 1e9 ? 1000000000L : (long)ms;
}

static void set_options(const struct ebb_http_client *c, CURL *curl,
                        const struct ebb_http_request *q, struct call *call, char *error_text)
{
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(curl, CURLOPT_URL, q->url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "ebb/" EBB_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, MAX_IDLE_CONNECTION_S);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, TRANSFER_BUFFER_BYTES);
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(q->connect_timeout_s, 5));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, milliseconds(q->timeout_s, 60));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
    if (q->no_proxy)
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (c->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca_file);
    set_method(curl, q, call);
}

/* ---- the outcome ---- */

/* For messages: without credentials and query, which may carry a signature. */
static char *printable_url(const char *url)
{
    size_t len = strcspn(url, "?#");
    const char *host = strstr(url, "://");
    host = host != NULL && host < url + len ? host + 3 : url;
    const char *path = host + strcspn(host, "/?#");
    const char *at = memrchr(host, '@', (size_t)(path - host));
    if (at == NULL)
        return ebb_strndup(url, len);
    return ebb_sprintf("%.*s%.*s", (int)(host - url), url, (int)(url + len - at - 1), at + 1);
}

static int code_of(CURL *curl, CURLcode rc)
{
    long request_bytes = 0;
    switch (rc) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return EBB_ERR_INPUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return EBB_ERR_UNAVAILABLE;
    case CURLE_PEER_FAILED_VERIFICATION:
        return EBB_ERR_DENIED;
    case CURLE_SSL_CACERT_BADFILE:
        return EBB_ERR_INPUT;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return EBB_ERR_INTERNAL;
    case CURLE_ABORTED_BY_CALLBACK:
        return EBB_ERR_CANCELLED;
    default:
        break;
    }
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &request_bytes);
    return request_bytes > 0 ? EBB_ERR_TIMEOUT : EBB_ERR_UNAVAILABLE;
}

static int outcome(CURL *curl, CURLcode rc, const struct call *call, const char *error_text,
                   struct ebb_error *err)
{
    const struct ebb_http_request *q = call->request;
    EBB_AUTO_FREE char *url = printable_url(q->url);
    if (call->too_large)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s %s: the answer is over %zu bytes", q->method,
                             url, call->max_answer_bytes);
    if (rc == CURLE_OK)
        return 0;
    int code = code_of(curl, rc);
    if (code == EBB_ERR_CANCELLED)
        return ebb_error_set(err, code, "%s %s: cancelled", q->method, url);
    return ebb_error_set(err, code, "%s %s: %s%s", q->method, url,
                         error_text[0] != '\0' ? error_text : curl_easy_strerror(rc),
                         code == EBB_ERR_TIMEOUT ? " (outcome unknown)" : "");
}

int ebb_http_call(struct ebb_http_client *c, const struct ebb_http_request *q,
                  struct ebb_http_answer *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    struct call call = {
        .request = q,
        .answer = &answer,
        .max_answer_bytes = q->max_answer_bytes ? q->max_answer_bytes : DEFAULT_MAX_ANSWER_BYTES,
    };
    char error_text[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    int rc = build_headers(q, &headers, err);
    if (rc < 0)
        return rc;
    struct handle *h = take_handle(c);
    set_options(c, h->curl, q, &call, error_text);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode curl_rc = curl_easy_perform(h->curl);
    long status = 0;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    rc = outcome(h->curl, curl_rc, &call, error_text, err);
    give_handle_back(c, h);
    curl_slist_free_all(headers);
    if (rc < 0)
        return rc;
    answer.status = (int)status;
    *ret = answer;
    memset(&answer, 0, sizeof answer);
    return 0;
}

void ebb_http_answer_clean_up(struct ebb_http_answer *a)
{
    ebb_buffer_clean_up(&a->headers);
    ebb_buffer_clean_up(&a->body);
    a->status = 0;
}

char *ebb_http_header(const struct ebb_http_answer *a, const char *name)
{
    size_t name_len = strlen(name);
    const char *line = ebb_buffer_text(&a->headers);
    const char *end = line + a->headers.len;
    while (line < end) {
        const char *eol = memchr(line, '\n', (size_t)(end - line));
        if (eol == NULL)
            eol = end;
        if ((size_t)(eol - line) > name_len && line[name_len] == ':' &&
            strncasecmp(line, name, name_len) == 0) {
            const char *from = line + name_len + 1, *to = eol;
            while (from < to && (*from == ' ' || *from == '\t'))
                from++;
            while (to > from && (to[-1] == '\r' || to[-1] == ' ' || to[-1] == '\t'))
                to--;
            return ebb_strndup(from, (size_t)(to - from));
        }
        line = eol + 1;
    }
    return NULL;
}
