"""The same bag on the same fleet, once with the real programs and once in simulated time: the same
decisions, and reports that agree."""
import json
import os
import statistics
import unittest
from datetime import datetime

import harness
from harness import FlowTest, counter_bag

STEPS, SLEEP = 500, 0.02

# Revocations are tied to launches, so that both runs meet them at the same point of a VM's life.
FLEET = harness.FLEET.replace("seed: 7", "seed: 7\ntime_scale: 60") + """
pending: 0.3s
revocations:
  - {vm: 2, phase: running, after: 6s, notice: none}
  - {vm: 3, phase: running, after: 2s, notice: 8s}
faults:
  - {kind: no-capacity, zone: us-east-1b, at: 0s, for: 1h}
"""


def launches(events):
    return [(e["offer"]["type"], e["offer"]["zone"], e["offer"]["market"]) for e in events if e["kind"] == "vm_intended"]


def refused(events):
    failed = {e["vm"] for e in events if e["kind"] == "vm_launch_failed"}
    return [e["offer"]["zone"] for e in events if e["kind"] == "vm_intended" and e["vm"] in failed]


def outcomes(events):
    """How each attempt ended, by job."""
    ends = {}
    for e in events:
        if e["kind"] == "attempt_ended":
            ends.setdefault(int(e["job"]), []).append(e["outcome"])
    return ends


def placed(events):
    """Which VM each attempt ran on. Two jobs that come back together may do so in either order, so
    their VMs are told as a set."""
    on = {}
    for e in events:
        if e["kind"] == "attempt_leased":
            on.setdefault((int(e["attempt"]), e["vm"]), set()).add(int(e["job"]))
    return on


def ends(events):
    return {e["vm"]: bool(e["interrupted"]) for e in events if e["kind"] == "vm_terminated"}


def interval(events):
    """Useful seconds between two checkpoints of an attempt: the median."""
    last, gaps = {}, []
    for e in events:
        if e["kind"] == "checkpoint_committed":
            key = (int(e["job"]), int(e["attempt"]))
            if key in last:
                gaps.append(e["run_s"] - last[key])
            last[key] = e["run_s"]
    return statistics.median(gaps)


def seconds(events, kind):
    at = [e["at"] for e in events if e["kind"] == kind][0]
    return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


class Simulated(FlowTest):
    fleet = FLEET

    def simulate(self, *args):
        path = os.path.join(self.cloud.root, "events.jsonl")
        out = self.cloud.json("simulate", "bag.yaml", "--fleet", "fleet.yaml", "--events", path, *args)
        with open(path) as f:
            return [json.loads(line) for line in f], out["report"]

    def test_a_bag_takes_the_same_decisions_simulated_and_emulated(self):
        # Work for 13 s: what two VMs leave is on others seconds before the third has room, also when those
        # boot slowly.
        self.cloud.submit(counter_bag(jobs=6, steps=650, sleep=SLEEP))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.wait_for("the log knows", lambda: self.cloud.json("report", "last")["is_final"], 120)
        real, report = self.cloud.events(), self.cloud.json("report", "last")
        ours, simulated = self.simulate()
        self.assertEqual(launches(real), launches(ours))
        self.assertEqual(refused(real), refused(ours))
        self.assertEqual(outcomes(real), outcomes(ours))
        self.assertEqual(placed(real), placed(ours))
        self.assertEqual(ends(real), ends(ours))
        for key in ("attempts", "revocations", "failures"):
            self.assertEqual(report[key], simulated[key], key)
        # A state file may be a little younger than the interval asks, so a real run commits more.
        self.assertGreaterEqual(simulated["checkpoints"], 0.6 * report["checkpoints"])
        self.assertLessEqual(simulated["checkpoints"], report["checkpoints"] + 2)
        a, b = report["split"], simulated["split"]
        self.assertAlmostEqual(a["useful_s"], b["useful_s"], delta=0.15 * b["useful_s"])
        self.assertAlmostEqual(a["idle_s"], b["idle_s"], delta=6)
        self.assertAlmostEqual(a["lost_s"], b["lost_s"], delta=3)
        self.assertAlmostEqual(report["vm_usd"], simulated["vm_usd"], delta=0.35 * report["vm_usd"])
        # The engine writes its state every fifth of a second.
        self.assertAlmostEqual(interval(real), interval(ours), delta=0.5)

    def test_what_a_real_run_comes_to_lies_in_the_range_of_its_plan(self):
        self.cloud.write("fleet.yaml", harness.FLEET.replace("seed: 7", "seed: 7\ntime_scale: 60"))
        self.cloud.write("bag.yaml", counter_bag(jobs=6, steps=STEPS, sleep=SLEEP))
        plan = self.cloud.json("plan", "bag.yaml", "--fleet", "fleet.yaml", "--points", "0")
        self.cloud.submit(counter_bag(jobs=6, steps=STEPS, sleep=SLEEP))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.wait_for("the log knows", lambda: self.cloud.json("report", "last")["is_final"], 120)
        events, report = self.cloud.events(), self.cloud.json("report", "last")
        self.assertTrue(plan["cost_usd"]["p5"] <= report["total_usd"] <= plan["cost_usd"]["p95"],
                        (plan["cost_usd"], report["total_usd"]))
        took = seconds(events, "bag_finished") - seconds(events, "bag_submitted")
        # A busy machine starts programs late, which no plan foresees.
        self.assertTrue(plan["finish_s"]["p5"] <= took <= plan["finish_s"]["p95"] + 3, (plan["finish_s"], took))

    def test_a_plan_and_a_simulation_need_no_scheduler_and_repeat_by_their_seed(self):
        self.cloud.write("bag.yaml", counter_bag(jobs=6, steps=STEPS, sleep=SLEEP))
        plans = [self.cloud.json("plan", "bag.yaml", "--fleet", "fleet.yaml", "--runs", "20", "--points", "3",
                                 "--plot", "plan.svg", "--seed", seed) for seed in ("1", "1", "2")]
        self.assertEqual(plans[0], plans[1])
        self.assertNotEqual(plans[0]["cost_usd"], plans[2]["cost_usd"])
        cost = plans[0]["cost_usd"]
        self.assertTrue(0 < cost["low"] <= cost["p5"] <= cost["p50"] <= cost["p95"] <= cost["high"])
        self.assertEqual(20, plans[0]["runs"])
        with open(os.path.join(self.cloud.work, "plan.svg")) as f:
            self.assertIn("</svg>", f.read())
        runs = [self.cloud.json("simulate", "bag.yaml", "--fleet", "fleet.yaml", "--runs", "5", "--seed", seed)["runs"]
                for seed in ("3", "3")]
        self.assertEqual(runs[0], runs[1])
        self.assertIsNone(self.cloud.scheduler_pid())
        catalogue = self.cloud.json("plan", "bag.yaml", "--region", "us-east-1", "--runs", "5", "--points", "0")
        self.assertGreater(catalogue["offers"], 100)
        bad = self.cloud.ebb("plan", "bag.yaml", "--region", "mars-1", check=False)
        self.assertEqual(2, bad.returncode)
        self.assertIn("mars-1", bad.stderr)


# Three hours of billed time; the jobs need four.
CAPPED = harness.FLEET.replace("seed: 7", "seed: 7\ntime_scale: 360").replace(
    "on_demand: 0.085", "on_demand: 0.9\n    cap: 30s") + "notices: {length: 1s}\n"


class Capped(FlowTest):
    fleet = CAPPED

    def test_a_cap_is_foreseen_nothing_is_lost_and_no_vm_outlives_it(self):
        self.cloud.submit(counter_bag(jobs=1, steps=20, name="first"))
        self.cloud.ebb("wait", "last", timeout=120)  # so that it is known how long a boot takes
        self.cloud.wait_for("its VM is gone", lambda: not self.cloud.live_vms(), 120)
        bag = counter_bag(jobs=2, steps=2000, sleep=0.02).replace("checkpoint_interval: 1s", "")
        self.cloud.submit(bag)
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.wait_for("the log knows", lambda: self.cloud.json("report", "last")["is_final"], 120)
        events, report = self.cloud.events(), self.cloud.json("report", "last")
        intended = [e for e in events if e["kind"] == "vm_intended" and e["offer"]["market"] == "spot"]
        self.assertTrue(intended and all(e["offer"]["cap_s"] == 10800 for e in intended))
        self.assertTrue(any("ends at its cap" in e["reason"] for e in intended))
        ended = [e["reason"] for e in events if e["kind"] == "vm_terminating"]
        self.assertTrue(any("ends it at its cap" in reason for reason in ended))
        self.assertEqual(2, report["counts"]["done"])
        self.assertLess(report["split"]["lost_s"], 1)
        for e in events:
            if e["kind"] == "vm_terminated":
                lived = datetime.fromisoformat(e["ended_at"][:-1]) - datetime.fromisoformat(e["launched_at"][:-1])
                self.assertLessEqual(lived.total_seconds(), 36)  # and not the 40 s that the jobs take


class Slow(FlowTest):
    def test_a_job_slower_than_told_is_seen_by_its_own_pace(self):
        bag = counter_bag(jobs=1, steps=1000, sleep=SLEEP).replace("time: 20s", "time: 5s").replace(
            "checkpoint_interval: 1s", "checkpoint_interval: 1h")
        self.cloud.submit(bag)
        self.cloud.wait_event("progress_seen", 1, 30)
        left = self.cloud.json("jobs", "last")["jobs"][0]["expected_left_s"]
        self.assertGreater(left, 5)
        lines = self.cloud.json("explain", "last/0")["lines"]
        self.assertTrue(any("own pace" in line for line in lines), lines)
        self.cloud.ebb("wait", "last", timeout=60)
        seen = [e for e in self.cloud.events() if e["kind"] == "progress_seen"]
        self.assertLessEqual(len(seen), 10)
        self.assertAlmostEqual(0.02, seen[-1]["paced_s"] / int(seen[-1]["paced_steps"]), delta=0.01)


class Imported(FlowTest):
    def test_an_imported_catalogue_reaches_the_scheduler_the_plan_and_the_simulation(self):
        rows = "".join(f"aws,us-east-1,c5.large,2,4,0.085,{band},{cap}\n" for band, cap in ((">20", 30),))
        head = "provider,region,type,cpus,memory_gib,on_demand_usd_per_hour,interruption_band,cap_h\n"
        self.cloud.write("prices.csv", head + rows)
        self.cloud.ebb("prices", "import", "prices.csv")
        bag = counter_bag(jobs=1, steps=30)
        self.cloud.submit(bag)
        self.cloud.ebb("wait", "last", timeout=120)
        events = self.cloud.events()
        imported = [e for e in events if e["kind"] == "catalogue_imported"]
        self.assertEqual(1, len(imported))
        self.assertEqual(30 * 3600, imported[0]["entries"][0]["cap_s"])
        self.assertTrue(all(e["offer"]["cap_s"] == 30 * 3600 for e in events
                            if e["kind"] == "vm_intended" and e["offer"]["market"] == "spot"))
        path = os.path.join(self.cloud.root, "events.jsonl")
        self.cloud.json("simulate", "bag.yaml", "--fleet", "fleet.yaml", "--events", path)
        with open(path) as f:
            ours = [json.loads(line) for line in f]
        self.assertIn("catalogue_imported", [e["kind"] for e in ours])
        self.assertEqual({30 * 3600}, {e["offer"]["cap_s"] for e in ours
                                       if e["kind"] == "vm_intended" and e["offer"]["market"] == "spot"})
        self.cloud.ebb("prices", "import", "--built-in")
        self.cloud.submit(bag.replace("name: flow", "name: again"))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.wait_for("it is dropped", lambda: self.cloud.kinds().count("catalogue_imported") == 2, 20)
