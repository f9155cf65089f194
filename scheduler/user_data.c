/* The boot script of a VM. It fetches this very program by a presigned URL (a VM needs no other
 * software and no credentials for it), leaves agent.conf beside it, and becomes the agent. When the
 * agent ends by itself the VM shuts down, which ends its bill. */
#include <string.h>

#include "base/text.h"
#include "scheduler/core/timings.h"
#include "scheduler/daemon.h"

/* What is signed, and tokens, go to curl through its standard input: anybody can read arguments. */
static const char fetch[] = "tries=0\n"
                            "until printf 'url = \"%s\"\\n' \"$url\" |"
                            " curl -fsS --connect-timeout 5 --max-time 300 -o ebb.part -K -; do\n"
                            "  tries=$((tries + 1))\n"
                            "  if [ $tries -ge 60 ]; then shutdown -h now; exit 1; fi\n"
                            "  sleep 1\n"
                            "done\n"
                            "chmod 700 ebb.part && mv ebb.part ebb\n"
                            "./ebb agent --config agent.conf\n";

/* A spot VM that the cloud itself interrupts in its first hour is free; one that shuts down a
 * moment before is not. So after a notice whose deadline lies within that hour the cloud is let do
 * it; a later one would only be paid for longer. A metadata service that is slow is asked again. */
static const char end[] =
    "imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254} answer=\n"
    "for try in 1 2 3 4 5; do\n"
    "  token=$(curl -fs --noproxy '*' -m 2 -X PUT"
    " -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \"$imds/latest/api/token\") &&\n"
    "    answer=$(printf 'header = \"X-aws-ec2-metadata-token: %s\"\\n' \"$token\" |"
    " curl -s --noproxy '*' -m 2 -K - \"$imds/latest/meta-data/spot/instance-action\") && break\n"
    "  sleep 1\n"
    "done\n"
    "taken=$(printf %s \"$answer\" | sed -n 's/.*\"time\": *\"\\([^\"]*\\)\".*/\\1/p')\n"
    "taken_s=; [ -z \"$taken\" ] || taken_s=$(date -d \"$taken\" +%s)\n"
    "if [ -n \"$taken_s\" ] && [ $((taken_s - started_s)) -lt $free_s ]; then\n"
    "  wait_s=$((taken_s - $(date +%s) + 30))\n"
    "  [ $wait_s -le 0 ] || sleep $wait_s\n"
    "fi\n"
    "shutdown -h now\n";

static void append_indented(struct ebb_buffer *out, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        ebb_buffer_printf(out, "  %.*s\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static void append_config(struct ebb_buffer *out, const struct ebb_user_data *u)
{
    ebb_buffer_printf(out, "cat > agent.conf <<'END'\nvm: %s\nscheduler: \"%s\"\ntoken: %s\n",
                      u->vm, u->scheduler, u->token);
    if (u->proxy != NULL)
        ebb_buffer_printf(out, "proxy: \"%s\"\n", u->proxy);
    if (u->cpus > 0)
        ebb_buffer_printf(out, "cpus: %g\n", u->cpus);
    if (u->memory_bytes > 0)
        ebb_buffer_printf(out, "memory: %llu\n", (unsigned long long)u->memory_bytes);
    ebb_buffer_append_text(out, "authority: |\n");
    append_indented(out, u->authority_pem);
    ebb_buffer_append_text(out, "END\n");
}

char *ebb_user_data_new(const struct ebb_user_data *u)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_printf(&b, "#!/bin/bash\n# Boot script of %s, made by ebb.\n", u->vm);
    ebb_buffer_printf(&b, "started_s=$(date +%%s) free_s=%.0f\n",
                      EBB_TIMING_FREE_BILLED_S / (u->bill_time_scale > 0 ? u->bill_time_scale : 1));
    if (u->emulated)
        ebb_buffer_append_text(&b, "started=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)\n");
    ebb_buffer_append_text(&b, "umask 077\n"
                               "directory=${HOME:-/root}/ebb\n"
                               "mkdir -p \"$directory\" && cd \"$directory\" || exit 1\n");
    append_config(&b, u);
    if (u->emulated)
        ebb_buffer_append_text(&b, "echo \"started: $started\" >> agent.conf\n");
    if (u->proxy == NULL)
        ebb_buffer_append_text(&b, "if [ -n \"${http_proxy:-}\" ]; then"
                                   " echo \"proxy: $http_proxy\" >> agent.conf; fi\n");
    ebb_buffer_append_text(&b, "url=");
    ebb_shell_quote(&b, u->program_url);
    ebb_buffer_append_text(&b, "\n");
    ebb_buffer_append_text(&b, fetch);
    ebb_buffer_append_text(&b, end);
    return ebb_buffer_take_text(&b);
}
