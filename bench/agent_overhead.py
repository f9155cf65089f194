#!/usr/bin/env python3
"""What the agent costs a running GROMACS job: the same mdrun, bare and under the agent on an
emulated VM, in alternating pairs, and the agent's own CPU time and memory meanwhile.

The ratio compares the engine's seconds: bare, from its start to its exit; under the agent, `run_s`
of the attempt (and `checkpoint_s`, if it was stopped for checkpoints). Everything the job pays for
being looked after is in it: the agent, the scheduler and the emulated cloud share the machine with
it, which on a real cloud only the agent does. On a machine with other work those seconds tell more of
that than of the agent: so the processor seconds of mdrun ("Core t" in its log) are compared too. CPU and memory of the agent are read from /proc while
the engine runs undisturbed: no notice, checkpoints every --interval seconds.

    bench/agent_overhead.py [--pairs N] [--steps N] [--interval SECONDS] [--together]"""
import argparse
import concurrent.futures
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

import figures
import harness

MDRUN = "gmx mdrun -deffnm nvt -ntmpi 1 -ntomp 1 -reprod"
TICKS = os.sysconf("SC_CLK_TCK")


def make_input(steps):
    """nvt.tpr, made once: both sides run the very same file."""
    folder = tempfile.mkdtemp(prefix="ebb-bench-")
    for name, text in figures.gromacs_files(steps).items():
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    subprocess.run(["bash", "-c", figures.GROMACS_SETUP], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return os.path.join(folder, "nvt.tpr")


def core_s(log):
    with open(log) as f:
        return float(re.findall(r"(?m)^ +Time: +([0-9.]+) ", f.read())[-1])


def bare(tpr, interval_s):
    """As a user would run it by hand, with checkpoints as often as under the agent."""
    folder = tempfile.mkdtemp(prefix="ebb-bench-")
    shutil.copy(tpr, folder)
    environment = {**os.environ, "GMX_MAXBACKUP": "-1"}
    environment.pop("OMP_NUM_THREADS", None)
    with open(os.path.join(folder, "output.log"), "w") as log:
        began = time.monotonic()
        subprocess.run([*MDRUN.split(), "-cpt", f"{interval_s / 60:.6g}"], cwd=folder, env=environment, check=True,
                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        took = time.monotonic() - began
    core = core_s(os.path.join(folder, "nvt.log"))
    shutil.rmtree(folder)
    return took, core


class Watch(threading.Thread):
    """Samples the agent: CPU seconds and memory."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.samples, self.ended = pid, [], threading.Event()

    def sample(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        with open(f"/proc/{self.pid}/smaps_rollup") as f:
            memory = {line.split(":")[0]: int(line.split()[1]) for line in f if line.endswith("kB\n")}
        cpu_s = (int(fields[11]) + int(fields[12])) / TICKS
        self.samples.append((time.monotonic(), cpu_s, memory.get("Rss", 0), memory.get("Pss", 0)))

    def run(self):
        try:
            while not self.ended.wait(2):
                self.sample()
        except (OSError, IndexError):
            pass  # it is gone: so is the VM

    def figures(self):
        (t0, c0, *_), (t1, c1, *_) = self.samples[0], self.samples[-1]
        return {"cpu_share": (c1 - c0) / (t1 - t0), "seconds": t1 - t0,
                "rss_bytes": 1024 * max(s[2] for s in self.samples),
                "pss_bytes": 1024 * max(s[3] for s in self.samples)}


def agent_pid(cloud):
    for vm in cloud.live_vms():
        for pid in harness.descendants(vm["supervisor"]):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if f.read().split(b"\0")[1:2] == [b"agent"]:
                        return pid
            except OSError:
                pass
    return None


def under_agent(cloud, interval_s, time_s):
    cloud.submit(figures.gromacs_bag(["nvt.tpr"], MDRUN, None, interval_s, time_s))
    bag = cloud.json("status", "last")["bags"][0]["bag"]

    def mine(kind):
        return [e for e in cloud.events() if e["kind"] == kind and e.get("bag") == bag]

    cloud.wait_for("a start", lambda: mine("attempt_started"), 60)
    watch = Watch(agent_pid(cloud))
    watch.start()
    cloud.ebb("wait", "last", timeout=280)
    watch.ended.set()
    watch.join()
    times = mine("attempt_ended")[-1]["times"]
    out = os.path.join(cloud.root, bag)
    cloud.ebb("fetch", bag, out)
    log = next(os.path.join(folder, "nvt.log") for folder, _, files in os.walk(out) if "nvt.log" in files)
    return {"agent_s": times["run_s"] + times.get("checkpoint_s", 0), "agent_core_s": core_s(log),
            "checkpoints": len(mine("checkpoint_committed")), **watch.figures()}


def measure(options):
    tpr = make_input(options.steps)
    cloud = harness.Cloud()
    pairs = []
    try:
        shutil.copy(tpr, cloud.work)
        for n in range(options.pairs):
            with concurrent.futures.ThreadPoolExecutor(1) as beside:
                first = beside.submit(bare, tpr, options.interval) if n % 2 == 0 or options.together else None
                if not options.together and first:
                    first.result()
                pair = under_agent(cloud, options.interval, 30)
                alone, alone_core = first.result() if first else bare(tpr, options.interval)
            pair.update(bare_s=alone, bare_core_s=alone_core, ratio=pair["agent_s"] / alone,
                        core_ratio=pair["agent_core_s"] / alone_core)
            pairs.append(pair)
            print("pair {0}: bare {bare_s:.2f} s, under the agent {agent_s:.2f} s, ratio {ratio:.4f}; "
                  "processor {bare_core_s:.2f} s and {agent_core_s:.2f} s, ratio {core_ratio:.4f}; agent "
                  "{1:.2f} % of a core, {2:.1f} MiB, {checkpoints} checkpoints".format(
                      n + 1, 100 * pair["cpu_share"], pair["rss_bytes"] / 2**20, **pair), flush=True)
        return pairs
    finally:
        cloud.close()
        shutil.rmtree(os.path.dirname(tpr))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=56000, help="of mdrun; the demo has 14000")
    parser.add_argument("--interval", type=int, default=5, help="seconds between checkpoints")
    parser.add_argument("--together", action="store_true",
                        help="both of a pair at once, so that other work on the machine meets both alike")
    options = parser.parse_args()
    figures.need_ebb()
    figures.need_gromacs()
    pairs = measure(options)
    ratios = figures.spread([p["ratio"] for p in pairs])
    core_ratios = figures.spread([p["core_ratio"] for p in pairs])
    share = statistics.median(p["cpu_share"] for p in pairs)
    rss, pss = (statistics.median(p[k] for p in pairs) for k in ("rss_bytes", "pss_bytes"))
    print(f"ratio to bare: median {ratios['median']:.4f} (least {ratios['least']:.4f}, most {ratios['most']:.4f})")
    print(f"processor seconds: median {core_ratios['median']:.4f} (least {core_ratios['least']:.4f}, "
          f"most {core_ratios['most']:.4f})")
    print(f"agent: {100 * share:.2f} % of a core, {rss / 2**20:.1f} MiB resident "
          f"({pss / 2**20:.1f} MiB its own share)")
    figures.print_json("agent_overhead", {
        "pairs": len(pairs), "steps": options.steps, "checkpoint_interval_s": options.interval, "ratio": ratios,
        "core_ratio": core_ratios,
        "bare_s": figures.spread([p["bare_s"] for p in pairs]), "agent_cpu_share": round(share, 5),
        "agent_rss_bytes": rss, "agent_pss_bytes": pss})


if __name__ == "__main__":
    main()
