/* The EC2 Query API's envelope: form encoding, errors, pages, retries. */
#include "cloud/ec2_call.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cloud/credentials.h"
#include "cloud/ec2_answer.h"
#include "cloud/retry.h"

#define API_VERSION "2016-11-15"
#define TIMEOUT_S   30.0
#define MAX_PAGES   2000

void ebb_ec2_init(struct ebb_ec2 *e, struct ebb_aws_client *client)
{
    e->client = client;
    e->origin = ebb_aws_endpoint("EC2");
    if (e->origin == NULL)
        e->origin = ebb_sprintf("https://ec2.%s.amazonaws.com", ebb_aws_client_region(client));
}

void ebb_ec2_clean_up(struct ebb_ec2 *e)
{
    free(e->origin);
}

void ebb_ec2_form_begin(struct ebb_buffer *form, const char *action)
{
    ebb_buffer_printf(form, "Action=%s&Version=" API_VERSION, action);
}

void ebb_ec2_form_add(struct ebb_buffer *form, const char *name, const char *value)
{
    ebb_buffer_printf(form, "&%s=", name);
    ebb_percent_encode(form, value, strlen(value), false);
}

void ebb_ec2_form_add_filter(struct ebb_buffer *form, int index, const char *name,
                             const char *value)
{
    char parameter[48];
    snprintf(parameter, sizeof(parameter), "Filter.%d.Name", index);
    ebb_ec2_form_add(form, parameter, name);
    snprintf(parameter, sizeof(parameter), "Filter.%d.Value.1", index);
    ebb_ec2_form_add(form, parameter, value);
}

/* "DescribeInstances", for messages. */
static char *action_of(const struct ebb_buffer *form)
{
    const char *text = ebb_buffer_text(form) + strlen("Action=");
    return ebb_strndup(text, strcspn(text, "&"));
}

static int send_once(struct ebb_ec2 *e, const struct ebb_buffer *form, const char *action,
                     struct ebb_xml **ret, int *ret_status, struct ebb_error *err)
{
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    struct ebb_aws_request q = {
        .service = "ec2",
        .method = "POST",
        .origin = e->origin,
        .target = "/",
        .headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
        .header_count = 1,
        .body = form->data,
        .body_len = form->len,
        .timeout_s = TIMEOUT_S,
        .max_answer_bytes = EBB_XML_MAX_BYTES};
    int code = ebb_aws_call(e->client, &q, &answer, err);
    *ret_status = answer.status;
    if (code < 0)
        return ebb_error_wrap(err, code, "%s", action);
    if (answer.status != 200)
        return ebb_ec2_read_error(action, answer.status, answer.body.data, answer.body.len, err);
    code = ebb_xml_parse(answer.body.data, answer.body.len, ret, err);
    return code < 0 ? ebb_error_wrap(err, code, "%s", action) : 0;
}

int ebb_ec2_call(struct ebb_ec2 *e, const struct ebb_buffer *form, double retry_for_s,
                 struct ebb_xml **ret, int *ret_status, struct ebb_error *err)
{
    EBB_AUTO_FREE char *action = action_of(form);
    struct ebb_retry retry;
    int status = 0, code;
    ebb_retry_init(&retry, retry_for_s, NULL);
    do {
        code = send_once(e, form, action, ret, &status, err);
    } while (code < 0 && ebb_retry_again(&retry, code));
    if (ret_status != NULL)
        *ret_status = status;
    return code;
}

int ebb_ec2_call_pages(struct ebb_ec2 *e, const struct ebb_buffer *form, double retry_for_s,
                       int (*page)(void *ctx, const struct ebb_xml_node *root,
                                   struct ebb_error *err),
                       void *ctx, struct ebb_error *err)
{
    EBB_AUTO_FREE char *token = NULL;
    for (int pages = 0; pages < MAX_PAGES; pages++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer next = {0};
        struct ebb_xml *x = NULL;
        ebb_buffer_append(&next, form->data, form->len);
        if (token != NULL)
            ebb_ec2_form_add(&next, "NextToken", token);
        int code = ebb_ec2_call(e, &next, retry_for_s, &x, NULL, err);
        if (code < 0)
            return code;
        code = page(ctx, ebb_xml_root(x), err);
        free(token);
        token = ebb_strdup(ebb_xml_get(ebb_xml_root(x), "nextToken"));
        ebb_xml_destroy(x);
        if (code != 0 || token[0] == '\0')
            return code;
    }
    return ebb_error_set(err, EBB_ERR_CORRUPT, "EC2 answers with more than %d pages", MAX_PAGES);
}
