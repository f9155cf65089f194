/* EC2's Query protocol: parameters in the query or a form body, XML answers. Here is what all
 * actions share: authentication, faults, the error form, filters and paging. */
#include "cloud/emulator/ec2.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/faults.h"
#include "cloud/emulator/markup.h"

#define XMLNS "http://ec2.amazonaws.com/doc/2016-11-15/"

struct action {
    const char *name;
    ebb_ec2_action run;
};

static const struct action actions[] = {
    {"CreateFleet", ebb_ec2_create_fleet},
    {"CreateLaunchTemplate", ebb_ec2_create_launch_template},
    {"CreateTags", ebb_ec2_create_tags},
    {"DeleteLaunchTemplate", ebb_ec2_delete_launch_template},
    {"DescribeAvailabilityZones", ebb_ec2_describe_availability_zones},
    {"DescribeImages", ebb_ec2_describe_images},
    {"DescribeInstanceTypeOfferings", ebb_ec2_describe_instance_type_offerings},
    {"DescribeInstanceTypes", ebb_ec2_describe_instance_types},
    {"DescribeInstances", ebb_ec2_describe_instances},
    {"DescribeRegions", ebb_ec2_describe_regions},
    {"DescribeSpotPriceHistory", ebb_ec2_describe_spot_price_history},
    {"DescribeTags", ebb_ec2_describe_tags},
    {"RunInstances", ebb_ec2_run_instances},
    {"TerminateInstances", ebb_ec2_terminate_instances},
};

const char *ebb_ec2_refuse(struct ebb_ec2_request *q, const char *code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(q->message, sizeof(q->message), fmt, args);
    va_end(args);
    return code;
}

const char *ebb_ec2_param(const struct ebb_ec2_request *q, const char *name)
{
    return ebb_params_get(q->params, name);
}

/* ---- filters ---- */

const char *ebb_ec2_check_filters(struct ebb_ec2_request *q, const char *const *known, size_t count)
{
    for (size_t n = 1; n <= 200; n++) {
        const char *name = ebb_params_getf(q->params, "Filter.%zu.Name", n);
        bool found = name != NULL && ebb_starts_with(name, "tag:");

        if (name == NULL)
            break;
        for (size_t i = 0; i < count; i++)
            found = found || strcmp(known[i], name) == 0;
        if (!found)
            return ebb_ec2_refuse(q, "InvalidParameterValue", "The filter '%.100s' is invalid",
                                  name);
    }
    return NULL;
}

static bool value_fits(const struct ebb_ec2_request *q, size_t n, const char *value)
{
    for (size_t m = 1; m <= 200; m++) {
        const char *pattern = ebb_params_getf(q->params, "Filter.%zu.Value.%zu", n, m);

        if (pattern == NULL)
            return false;
        if (value != NULL && fnmatch(pattern, value, 0) == 0)
            return true;
    }
    return false;
}

bool ebb_ec2_matches(const struct ebb_ec2_request *q, const void *item, ebb_ec2_property property)
{
    for (size_t n = 1; n <= 200; n++) {
        const char *name = ebb_params_getf(q->params, "Filter.%zu.Name", n);

        if (name == NULL)
            return true;
        if (!value_fits(q, n, property(item, name)))
            return false;
    }
    return true;
}

bool ebb_ec2_listed(const struct ebb_ec2_request *q, const char *name, const char *value)
{
    if (ebb_params_getf(q->params, "%s.1", name) == NULL)
        return true;
    for (size_t n = 1; n <= 1000; n++) {
        const char *item = ebb_params_getf(q->params, "%s.%zu", name, n);

        if (item == NULL)
            return false;
        if (strcmp(item, value) == 0)
            return true;
    }
    return false;
}

/* ---- paging: the token is the index of the next item ---- */

const char *ebb_ec2_page(struct ebb_ec2_request *q, size_t limit, size_t *ret_first,
                         size_t *ret_max)
{
    const char *max = ebb_ec2_param(q, "MaxResults"), *token = ebb_ec2_param(q, "NextToken");
    int64_t number;

    *ret_first = 0;
    *ret_max = limit;
    if (max != NULL) {
        if (ebb_parse_int(max, 1, 1000000, &number, NULL) < 0)
            return ebb_ec2_refuse(q, "InvalidParameterValue",
                                  "Value ( %.40s ) for parameter maxResults is invalid.", max);
        if ((size_t)number < limit)
            *ret_max = (size_t)number;
    }
    if (token != NULL && token[0] != '\0') {
        if (!ebb_starts_with(token, "ebb-") ||
            ebb_parse_int(token + 4, 0, INT32_MAX, &number, NULL) < 0)
            return ebb_ec2_refuse(q, "InvalidNextToken", "The token is invalid.");
        *ret_first = (size_t)number;
    }
    return NULL;
}

void ebb_ec2_put_next_token(struct ebb_ec2_request *q, size_t next)
{
    ebb_markup_format(&q->body, "nextToken", "ebb-%zu", next);
}

/* ---- answers ---- */

static int status_of(const char *code)
{
    if (strcmp(code, "RequestLimitExceeded") == 0)
        return 503;
    if (strcmp(code, "InternalError") == 0)
        return 500;
    if (strcmp(code, "AuthFailure") == 0)
        return 401;
    if (strcmp(code, "InsufficientInstanceCapacity") == 0)
        return 500; /* a server fault in EC2's own reckoning */
    return 400;
}

static void send_error(struct ebb_exchange *x, const char *code, const char *message)
{
    struct ebb_buffer body = {0};

    ebb_buffer_append_text(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                                  "<Response><Errors><Error>");
    ebb_markup_text(&body, "Code", code);
    ebb_markup_text(&body, "Message", message);
    ebb_buffer_append_text(&body, "</Error></Errors>");
    ebb_markup_text(&body, "RequestID", x->id);
    ebb_buffer_append_text(&body, "</Response>");
    ebb_exchange_set_header(x, "Content-Type", "text/xml;charset=UTF-8");
    ebb_exchange_write(x, &body);
    ebb_buffer_clean_up(&body);
    ebb_exchange_send(x, status_of(code));
}

static void send_result(struct ebb_ec2_request *q)
{
    struct ebb_buffer body = {0};

    ebb_buffer_printf(&body,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<%sResponse xmlns=\"" XMLNS "\">",
                      q->action);
    ebb_markup_text(&body, "requestId", q->x->id);
    ebb_buffer_append(&body, q->body.data, q->body.len);
    ebb_buffer_printf(&body, "</%sResponse>", q->action);
    ebb_exchange_set_header(q->x, "Content-Type", "text/xml;charset=UTF-8");
    ebb_exchange_write(q->x, &body);
    ebb_buffer_clean_up(&body);
    ebb_exchange_send(q->x, 200);
}

static void run_action(struct ebb_ec2_request *q, const struct action *action)
{
    struct ebb_exchange *x = q->x;
    const char *code = NULL;

    q->action = action->name;
    ebb_faults_shape_answer(x, EBB_FLEET_SERVICE_EC2, action->name);
    if (ebb_faults_hit(q->emulator, EBB_FLEET_FAULT_THROTTLE, EBB_FLEET_SERVICE_EC2, action->name,
                       -1, -1))
        code = ebb_ec2_refuse(q, "RequestLimitExceeded", "Request limit exceeded.");
    else if (ebb_faults_hit(q->emulator, EBB_FLEET_FAULT_ERROR, EBB_FLEET_SERVICE_EC2, action->name,
                            -1, -1))
        code = ebb_ec2_refuse(q, "InternalError", "An internal error has occurred");
    else
        code = action->run(q);
    if (code != NULL)
        send_error(x, code, q->message);
    else
        send_result(q);
}

static bool authenticate(struct ebb_exchange *x)
{
    char service[33];

    switch (ebb_keyring_check(&x->emulator->keyring, x, service)) {
    case EBB_KEYRING_GENUINE:
        return true;
    case EBB_KEYRING_ABSENT:
        send_error(x, "MissingAuthenticationToken", "Request is missing Authentication Token");
        return false;
    case EBB_KEYRING_SKEWED:
    case EBB_KEYRING_EXPIRED:
    case EBB_KEYRING_EXPIRED_TOKEN:
        send_error(x, "RequestExpired", "Request has expired.");
        return false;
    case EBB_KEYRING_MALFORMED:
        send_error(x, "IncompleteSignature",
                   "The request signature does not conform to AWS "
                   "standards.");
        return false;
    default:
        send_error(x, "AuthFailure",
                   "AWS was not able to validate the provided access credentials");
        return false;
    }
}

static void request_clean_up(struct ebb_ec2_request *q)
{
    ebb_buffer_clean_up(&q->body);
}

void ebb_ec2_handle(struct ebb_exchange *x)
{
    EBB_AUTO(request_clean_up)
    struct ebb_ec2_request q = {.emulator = x->emulator, .x = x, .params = &x->params};
    const char *name;

    if (x->query_malformed) {
        send_error(x, "InvalidParameterValue", "The parameters are malformed.");
        return;
    }
    if (!authenticate(x))
        return;
    if (x->vm != NULL && ebb_faults_vm_is_partitioned(x->emulator, x->vm)) {
        ebb_exchange_blackhole(x);
        return;
    }
    name = ebb_ec2_param(&q, "Action");
    for (size_t i = 0; name != NULL && i < EBB_ARRAY_LEN(actions); i++)
        if (strcmp(actions[i].name, name) == 0) {
            run_action(&q, &actions[i]);
            return;
        }
    if (name == NULL)
        send_error(x, "MissingAction", "The request must contain the parameter Action");
    else
        send_error(x, "InvalidAction", "The action is not valid for this web service.");
}
