/* Facts about this VM from /proc and statvfs. */
#include "agent/machine.h"

#include <ctype.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"

/* The value behind "name<blanks>:<blanks>" in a /proc file. */
static void field(const char *path, const char *name, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    char line[512];
    size_t len = strlen(name);
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, name, len) != 0 || colon == NULL)
            continue;
        char *value = colon + 1;
        while (isspace((unsigned char)*value))
            value++;
        value[strcspn(value, "\n")] = '\0';
        snprintf(out, size, "%s", value);
        break;
    }
    if (f != NULL)
        fclose(f);
}

/* "NVIDIA L4" -> "l4", "NVIDIA A100-SXM4-40GB" -> "a100-sxm4-40gb". */
static void read_gpus(struct ebb_machine *m)
{
    glob_t g = {0};
    if (glob("/proc/driver/nvidia/gpus/*/information", 0, NULL, &g) == 0) {
        m->gpus = (uint32_t)g.gl_pathc;
        char model[64] = "";
        field(g.gl_pathv[0], "Model", model, sizeof model);
        const char *name = strncasecmp(model, "NVIDIA ", 7) == 0 ? model + 7 : model;
        size_t n = 0;
        for (; name[n] != '\0' && n + 1 < sizeof m->gpu_model; n++)
            m->gpu_model[n] = name[n] == ' ' ? '-' : (char)tolower((unsigned char)name[n]);
        m->gpu_model[n] = '\0';
    }
    globfree(&g);
}

uint64_t ebb_gpus_pick(uint64_t taken, uint32_t total, uint32_t wanted)
{
    uint64_t picked = 0;
    for (uint32_t i = 0; i < total && i < 64 && wanted > 0; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if ((taken & bit) != 0)
            continue;
        picked |= bit;
        wanted--;
    }
    return picked;
}

void ebb_machine_read(struct ebb_machine *ret)
{
    *ret = (struct ebb_machine){.cpus = 1};
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        ret->cpus = CPU_COUNT(&set);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0)
        ret->memory_bytes = (uint64_t)pages * (uint64_t)page;
    field("/proc/cpuinfo", "model name", ret->cpu_model, sizeof ret->cpu_model);
    read_gpus(ret);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    if (ebb_file_read("/proc/uptime", 4096, &text, NULL) == 0)
        ret->uptime_s = strtod(ebb_buffer_text(&text), NULL);
}

uint64_t ebb_disk_free_bytes(const char *path)
{
    struct statvfs v;
    if (statvfs(path, &v) < 0)
        return UINT64_MAX;
    return (uint64_t)v.f_bavail * v.f_frsize;
}
