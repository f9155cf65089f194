/* Checks of this machine. */
#include "cli/doctor_checks.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <yaml.h>
#include <zstd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/client.h"

#define MIN_FREE_BYTES (UINT64_C(1) << 30)

void ebb_findings_clean_up(struct ebb_findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->list[i].what);
        free(f->list[i].state);
        free(f->list[i].advice);
    }
    free(f->list);
    *f = (struct ebb_findings){0};
}

void ebb_findings_add(struct ebb_findings *f, enum ebb_finding_level level, const char *what,
                      char *state, char *advice)
{
    if (f->count == f->capacity) {
        f->capacity = f->capacity == 0 ? 16 : f->capacity * 2;
        f->list = ebb_realloc_array(f->list, f->capacity, sizeof(*f->list));
    }
    f->list[f->count++] = (struct ebb_finding){level, ebb_strdup(what), state, advice};
}

/* The first line that a command writes, or NULL when it fails. The commands are our own. */
static char *first_line(const char *command)
{
    FILE *p = popen(command, "r");
    if (p == NULL)
        return NULL;
    char line[512] = "", rest[512];
    bool got = fgets(line, sizeof(line), p) != NULL;
    while (fgets(rest, sizeof(rest), p) != NULL) {
    }
    if (pclose(p) != 0 || !got)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return ebb_strdup(line);
}

void ebb_check_libraries(struct ebb_findings *f)
{
    EBB_AUTO_FREE char *curl = ebb_strdup(curl_version());
    curl[strcspn(curl, " ")] = '\0';
    ebb_findings_add(f, EBB_FINDING_OK, "program",
                     ebb_sprintf("ebb %s, %s, %s, libyaml %s, zstd %s", EBB_VERSION, curl,
                                 OpenSSL_version(OPENSSL_VERSION), yaml_get_version_string(),
                                 ZSTD_versionString()),
                     NULL);
}

void ebb_check_state_dir(struct ebb_findings *f)
{
    EBB_AUTO_FREE char *folder = ebb_state_dir();
    EBB_AUTO_FREE char *probe = ebb_path_join(folder, ".doctor");
    struct ebb_error err = {0};
    int rc = ebb_mkdir_p(folder, 0700, &err);
    if (rc == 0)
        rc = ebb_file_write_atomic(probe, "", 0, 0600, &err);
    if (rc < 0) {
        ebb_findings_add(f, EBB_FINDING_FAULT, "state folder", ebb_strdup(err.text),
                         ebb_strdup("make it writable, or set EBB_STATE_DIR to another folder"));
        return;
    }
    (void)unlink(probe);
    struct statvfs v;
    char size[EBB_QUANTITY_TEXT_SIZE];
    uint64_t free_bytes = statvfs(folder, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : 0;
    bool enough = free_bytes >= MIN_FREE_BYTES;
    ebb_findings_add(f, enough ? EBB_FINDING_OK : EBB_FINDING_FAULT, "state folder",
                     ebb_sprintf("%s, %s free", folder, ebb_format_size(free_bytes, size)),
                     enough ? NULL
                            : ebb_strdup("the event log and the emulated cloud need at least "
                                         "1 GiB: free some space"));
}

void ebb_check_engines(struct ebb_findings *f)
{
    static const struct {
        const char *name, *command, *advice;
    } engines[] = {
        {"GROMACS", "gmx --version 2>/dev/null | grep -m1 '^GROMACS version'",
         "for jobs of engine gromacs on this machine: apt install gromacs"},
        {"LAMMPS", "lmp -help 2>/dev/null | grep -m1 Simulator",
         "for jobs of engine lammps on this machine: apt install lammps"},
        {"PyTorch",
         "python3 -c 'import torch.version as v; print(\"torch\", v.__version__)' 2>/dev/null",
         "for jobs of engine pytorch on this machine: apt install python3-torch"},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(engines); i++) {
        char *line = first_line(engines[i].command);
        if (line != NULL)
            ebb_findings_add(f, EBB_FINDING_OK, engines[i].name, line, NULL);
        else
            ebb_findings_add(f, EBB_FINDING_NOTE, engines[i].name, ebb_strdup("not found in PATH"),
                             ebb_strdup(engines[i].advice));
    }
}

void ebb_check_gpu(struct ebb_findings *f)
{
    char *line = first_line("nvidia-smi --query-gpu=name,memory.total,driver_version "
                            "--format=csv,noheader 2>/dev/null");
    if (line != NULL)
        ebb_findings_add(f, EBB_FINDING_OK, "GPU", line, NULL);
    else
        ebb_findings_add(f, EBB_FINDING_NOTE, "GPU",
                         ebb_strdup("none here (VMs in the cloud have their own)"), NULL);
}

void ebb_check_scheduler(struct ebb_findings *f)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    int rc = ebb_client_connect(&client, &err);
    if (rc == EBB_ERR_NOT_FOUND) {
        ebb_findings_add(f, EBB_FINDING_OK, "scheduler",
                         ebb_strdup("not running; a command that needs it starts it"), NULL);
        return;
    }
    if (rc == 0)
        rc = ebb_ask_ping(client, &a, &err);
    if (rc < 0) {
        ebb_findings_add(f, EBB_FINDING_FAULT, "scheduler", ebb_strdup(err.text),
                         ebb_strdup("see scheduler.log in the state folder"));
        return;
    }
    const Ebb__PingAnswer *p = a->ping;
    bool same = strcmp(p->version, EBB_VERSION) == 0;
    ebb_findings_add(f, same ? EBB_FINDING_OK : EBB_FINDING_FAULT, "scheduler",
                     ebb_sprintf("pid %llu, ebb %s, cloud %s%s, %llu bags run, %llu VMs live",
                                 (unsigned long long)p->pid, p->version, p->cloud,
                                 p->emulated ? " (emulated)" : "",
                                 (unsigned long long)p->active_bags,
                                 (unsigned long long)p->live_vms),
                     same ? NULL
                          : ebb_sprintf("it is of another version than this program (%s): "
                                        "'ebb stop', it starts again when needed",
                                        EBB_VERSION));
}
