#!/usr/bin/env python3
"""Resume: seconds from a VM's death, without notice, to the job's first new step on another VM, by
phase.

    death --detection--> the attempt is lost --plan--> a VM is intended --launch--> the cloud has
    answered --boot--> its script runs --fetch--> the agent runs --join--> it is known
    --lease--> the job is its --restore--> claimed and restored, the engine is started
    --engine--> the first step that the job had not done before

The events are in the log with their time; the boot script notes when it began; the first new step
is the first line of the engine's output that tells a step past the one resumed from, watched from
outside every few milliseconds. Boot is the emulated cloud's, detection is the cloud's and a look at
it, the bytes are restored by the store's speed, the engine's start is the engine's: what is left is
ebb's own.

    bench/resume.py [--deaths N] [--engine counter|gromacs] [--boot SECONDS]"""
import argparse
import datetime
import glob
import os
import random
import re
import time

import figures
import harness

PHASES = ("detection", "plan", "launch", "boot", "fetch", "join", "lease", "restore", "engine")
EBBS = ("plan", "launch", "fetch", "join", "lease")  # and what of `restore` is not the store's bytes
WATCH_S = 0.004


def seconds(at):
    return datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


def counter_bag(deaths):
    bag = harness.counter_bag(jobs=1, steps=2000 + 1000 * deaths, sleep=0.005, every=1, name="bench")
    return bag, r"step ([0-9]+) of"


def gromacs_bag(cloud, deaths):
    files = figures.gromacs_files(steps=4000 * (deaths + 3))
    for name, text in files.items():
        cloud.write(name, text)
    # -v tells the step, unbuffered; the log of mdrun itself comes in blocks.
    command = "gmx mdrun -deffnm nvt -ntmpi 1 -ntomp 1 -reprod -v -stepout 10"
    return figures.gromacs_bag(files, command, figures.GROMACS_SETUP, 1, 300), r"step ([0-9]+)[,\s]+(?:will|remaining)"


class Death:
    """One VM is taken; the next attempt is watched until it has done something new."""

    def __init__(self, cloud, pattern, attempt):
        self.cloud, self.pattern, self.attempt = cloud, re.compile(pattern.encode()), attempt
        self.died = self.stepped = self.log = self.script_began = None

    def kill(self, vm):
        self.died = time.time()
        self.cloud.revoke(vm["instance"])

    def find_log(self):
        pattern = os.path.join(self.cloud.state, "emulator/vms/*/root/ebb/attempts", f"*-0-{self.attempt}", "output.log")
        found = glob.glob(pattern)
        return found[0] if found else None

    def read_script_begin(self):
        """The boot script notes it; what the VM had on its disk is gone when it is."""
        with open(os.path.join(self.log.split("/attempts/")[0], "agent.conf")) as f:
            self.script_began = seconds(re.search(r"(?m)^started: (.*)$", f.read()).group(1))

    def wait_new_step(self, resumed_step, limit_s=60):
        """Called once the attempt is under way; a step counts when it is past the one resumed."""
        end, size = time.monotonic() + limit_s, -1
        while time.monotonic() < end:
            now = time.time()
            self.log = self.log or self.find_log()
            if self.log:
                with open(self.log, "rb") as f:
                    text = f.read(1 << 16)
                if len(text) != size:
                    size = len(text)
                    steps = [int(s) for s in self.pattern.findall(text)]
                    if any(s > resumed_step for s in steps):
                        self.stepped = now
                        self.read_script_begin()
                        return
            time.sleep(WATCH_S)
        raise AssertionError(f"no new step within {limit_s} s\n{self.cloud.diagnosis()}")


def committed(cloud, attempt, count):
    return cloud.wait_event("checkpoint_committed", count, where=lambda e: e["attempt"] == attempt)


def vm_of_attempt(cloud, attempt):
    lease = next(e for e in cloud.events() if e["kind"] == "attempt_leased" and e["attempt"] == attempt)
    return cloud.vm_of(lease["vm"])


def phases_of(events, death):
    """The events of one resume, as lengths of phases."""
    def one(kind, **fields):
        return next(e for e in events if e["kind"] == kind and all(e.get(k) == v for k, v in fields.items()))

    lost = one("attempt_ended", attempt=death.attempt - 1)
    lease = one("attempt_leased", attempt=death.attempt)
    vm = lease["vm"]
    joined = one("vm_joined", vm=vm)
    started = one("attempt_started", attempt=death.attempt)
    marks = [death.died, seconds(lost["at"]), seconds(one("vm_intended", vm=vm)["at"]),
             seconds(one("vm_launched", vm=vm)["at"]), death.script_began,
             death.script_began + joined["boot_s"], seconds(joined["at"]), seconds(lease["at"]), seconds(started["at"]), death.stepped]
    result = {phase: b - a for phase, a, b in zip(PHASES, marks, marks[1:])}
    result["total"] = death.stepped - death.died
    result["bytes"] = started["restore_s"]
    result["ebb"] = sum(result[p] for p in EBBS) + result["restore"] - result["bytes"]
    return result


def measure(engine, deaths, boot_s):
    fleet = harness.FLEET.replace("boot: 0.2s", f"boot: {boot_s}s")
    cloud = harness.Cloud(fleet)
    try:
        bag, pattern = counter_bag(deaths) if engine == "counter" else gromacs_bag(cloud, deaths)
        cloud.submit(bag)
        watched, chance = [], random.Random(1)
        for attempt in range(2, deaths + 2):
            committed(cloud, attempt - 1, 2)
            death = Death(cloud, pattern, attempt)
            vm = vm_of_attempt(cloud, attempt - 1)
            time.sleep(chance.uniform(0, 2))  # a death keeps no step with whatever is periodic
            before = max(e["step"] for e in cloud.events() if e["kind"] == "checkpoint_committed")
            death.kill(vm)
            death.wait_new_step(before)
            watched.append(death)
        events = cloud.events()
        return [phases_of(events, death) for death in watched]
    finally:
        cloud.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--deaths", type=int, default=12)
    parser.add_argument("--engine", choices=("counter", "gromacs"), default="counter")
    parser.add_argument("--boot", type=float, default=0.2, help="seconds the emulated cloud takes to boot")
    options = parser.parse_args()
    figures.need_ebb()
    if options.engine == "gromacs":
        figures.need_gromacs()
    results = measure(options.engine, options.deaths, options.boot)
    phases = {k: figures.spread([r[k] for r in results]) for k in (*PHASES, "total", "bytes", "ebb")}
    print(f"{options.engine}, {len(results)} deaths without notice; seconds")
    print(f"{'':12}{'median':>9}{'least':>9}{'most':>9}")
    for name, s in phases.items():
        print(f"{name:12}{s['median']:9.3f}{s['least']:9.3f}{s['most']:9.3f}")
    print("ebb = plan + launch + fetch + join + lease + restore without its bytes; total has all phases")
    figures.print_json("resume", {"engine": options.engine, "boot_s": options.boot, "phases_s": phases})


if __name__ == "__main__":
    main()
