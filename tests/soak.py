#!/usr/bin/env python3
"""A soak: bags of small resumable jobs while VMs, zones, the scheduler and the store are hurt at
random, until the time is over. Every result is compared with the uninterrupted one, no VM may be
left, and the ledger must equal the emulator's bill.

    tests/soak.py [--minutes 10] [--seed 1] [--program build/ebb]
"""
import argparse
import os
import random
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "flow"))

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--minutes", type=float, default=10)
parser.add_argument("--seed", type=int, default=int(time.time()))
parser.add_argument("--jobs", type=int, default=6)
parser.add_argument("--steps", type=int, default=400)
parser.add_argument("--program")
options = parser.parse_args()
if options.program:
    os.environ["EBB_PROGRAM"] = os.path.abspath(options.program)

import harness  # noqa: E402  (reads EBB_PROGRAM)


def hurt(cloud, rng):
    live = [v for v in cloud.live_vms() if v["state"] == "running" and v["spot"] and not v["revocation"]]
    kind = rng.choice(["kill", "kill", "notice", "short", "lost", "zone", "scheduler", "s3", "ec2", "freeze"])
    if kind in ("kill", "notice", "short", "lost", "zone", "freeze") and not live:
        return "nothing"
    if kind == "scheduler":
        pid = cloud.scheduler_pid()
        if pid and harness.alive(pid):
            os.kill(pid, signal.SIGKILL)
            time.sleep(rng.uniform(0, 2))
            cloud.ebb("status", check=False)  # starts it again
    elif kind == "s3":
        cloud.fault(service="s3", kind=rng.choice(["throttle", "error", "lost-answer"]), rate=0.5,
                    for_=f"{rng.uniform(1, 6):.1f}s")
    elif kind == "ec2":
        cloud.fault(service="ec2", kind=rng.choice(["throttle", "error", "lost-answer"]), rate=0.5,
                    for_=f"{rng.uniform(1, 6):.1f}s")
    elif kind == "freeze":
        pids = harness.descendants(rng.choice(live)["supervisor"])
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(rng.uniform(1, 9))
        for pid in pids:
            if harness.alive(pid):
                os.kill(pid, signal.SIGCONT)
    elif kind == "zone":
        cloud.page(f"/_ebb/revoke?zone={rng.choice(live)['zone']}&notice=none", "POST")
    else:
        notice = {"kill": "none", "notice": "20s", "short": "1s", "lost": "lost"}[kind]
        cloud.page(f"/_ebb/revoke?instance={rng.choice(live)['instance']}&notice={notice}&length=5s", "POST")
    return kind


def one_round(rng):
    cloud = harness.Cloud(environment={"EBB_SCHEDULER_OPTIONS": "--lease-ttl 5"})
    tally = {}
    try:
        cloud.submit(harness.counter_bag(jobs=options.jobs, steps=options.steps))
        end = time.monotonic() + options.steps * 0.02 * 4
        while time.monotonic() < end and cloud.json("status", "last")["bags"][0]["state"] == "running":
            time.sleep(rng.uniform(0.5, 3))
            try:
                kind = hurt(cloud, rng)
            except OSError as e:  # a VM that went meanwhile
                kind = f"missed ({e})"
            tally[kind] = tally.get(kind, 0) + 1
        cloud.ebb("wait", "last", timeout=180)
        cloud.results(options.steps, range(1, options.jobs + 1))
        cloud.wait_for("no VM left", lambda: not cloud.live_vms(), 60)
        cloud.wait_for("the log knows", lambda: cloud.json("report", "last")["is_final"], 60)
        report, bill = cloud.json("report", "last"), cloud.bill()
        if round(report["vm_usd"] * 1e6) != bill["vm_usd_micros"]:
            raise AssertionError(f"ledger {report['vm_usd']} is not the bill {bill['vm_usd_micros']}")
        jobs = cloud.json("jobs", "last")["jobs"]
        if any(j["failures"] for j in jobs):
            raise AssertionError(f"revocations counted as failures: {jobs}")
        print(f"ok: {report['attempts']} attempts, {report['revocations']} revocations, hurt by {tally}", flush=True)
    finally:
        cloud.close()


rng = random.Random(options.seed)
print(f"seed {options.seed}", flush=True)
rounds, stop = 0, time.monotonic() + options.minutes * 60
while time.monotonic() < stop:
    one_round(rng)
    rounds += 1
print(f"{rounds} rounds, all results right")
