/* agent.conf: what the boot script leaves on the VM (docs/agent.md).
 *
 *     vm: vm-000012
 *     scheduler: 10.0.0.5:7443
 *     server_name: ebb-scheduler        # in the scheduler's certificate; this is the default
 *     token: 3fd0...                    # one use: worthless after the join
 *     directory: /var/lib/ebb           # default: the folder of the file
 *     proxy: http://proxy:3128          # optional; agents reach the scheduler through it
 *     cpus: 4                           # optional, as the offer says: default what the kernel says
 *     memory: 16 GiB                    # optional
 *     started: 2026-11-21T10:04:05Z     # optional: when the VM started; default the kernel's boot
 *     authority: |                      # PEM of the scheduler's authority
 *       -----BEGIN CERTIFICATE-----
 */
#ifndef EBB_AGENT_CONFIG_H
#define EBB_AGENT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ebb_agent_config {
    char *vm;
    char *scheduler;
    char *server_name;
    char *token; /* NULL: joined before */
    char *directory;
    char *proxy; /* NULL: none */
    char *authority_pem;
    double cpus;             /* 0: ask the kernel */
    uint64_t memory_bytes;   /* 0: ask the kernel */
    int64_t started_wall_ns; /* 0: ask the kernel */
};

/* `name` stands in messages; `folder` is the default directory. */
int ebb_agent_config_parse(const char *name, const char *folder, const char *text, size_t len,
                           struct ebb_agent_config *ret, struct ebb_error *err);
int ebb_agent_config_load(const char *path, struct ebb_agent_config *ret, struct ebb_error *err);
void ebb_agent_config_clean_up(struct ebb_agent_config *c);

#endif
