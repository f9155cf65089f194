"""The plain way: a bag finishes, its results are right, its numbers add up."""
import json
import os
import unittest

import harness
from harness import Cloud, FlowTest, counter_bag


READ_TRR = """
import struct
def frames(path):
    with open(path, "rb") as f:
        while head := f.read(84):
            atoms, step = struct.unpack(">2i", head[64:72])
            f.read(36)
            yield step, struct.unpack(f">{3 * atoms}f", f.read(12 * atoms))
"""

# A trajectory of atoms that move a little, twice; and a file that is none.
TRAJECTORY = """
import random, struct
rng = random.Random(5)
x = [rng.uniform(0, 5) for _ in range(1500)]
with open("traj.trr", "wb") as f, open("exact.trr", "wb") as g:
    for step in range(40):
        x = [a + rng.gauss(0, 0.005) for a in x]
        frame = struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file")
        frame += struct.pack(">13i", 0, 0, 36, 0, 0, 0, 0, 6000, 0, 0, 500, step, 0)
        frame += struct.pack(">2f9f", 0.002 * step, 0, 5, 0, 0, 0, 5, 0, 0, 0, 5)
        frame += struct.pack(">1500f", *x)
        f.write(frame)
        g.write(frame)
with open("no.dat", "w") as f:
    f.write("no trajectory\\n")
"""


def micros(usd):
    return round(usd * 1e6)


class Basic(FlowTest):
    def test_a_bag_finishes_and_every_result_is_right(self):
        self.cloud.submit(counter_bag(jobs=3, steps=60))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.results(60, (1, 2, 3))
        jobs = self.cloud.json("jobs", "last")["jobs"]
        self.assertEqual(["done"] * 3, [j["state"] for j in jobs])
        self.assertEqual("count,seed=1", jobs[0]["name"])

    def test_the_ledger_equals_the_emulators_bill_to_the_cent(self):
        fleet = harness.FLEET.replace("seed: 7", "seed: 7\ntime_scale: 600").replace(
            "us-east-1a: 0.030", "us-east-1a: [{at: 0s, usd: 0.030}, {at: 4s, usd: 0.90}, {at: 7s, usd: 0.40}]")
        self.cloud.write("fleet.yaml", fleet)
        self.cloud.submit(counter_bag(jobs=4, steps=400, hold=250))
        self.cloud.wait_event("attempt_started", 2)
        victim = self.cloud.wait_for(
            "a running VM", lambda: next((v for v in self.cloud.live_vms() if v["state"] == "running"), None))
        self.cloud.revoke(victim["instance"])
        self.cloud.go()
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.wait_for("every VM ended", lambda: not self.cloud.live_vms(), 120)
        self.cloud.wait_for("the log knows", lambda: self.cloud.json("report", "last")["is_final"], 120)
        report, bill = self.cloud.json("report", "last"), self.cloud.bill()
        self.assertEqual(bill["vm_usd_micros"], micros(report["vm_usd"]))
        self.assertAlmostEqual(bill["total_usd_micros"] / 1e6, report["total_usd"], delta=0.005)
        split = report["split"]
        self.assertEqual(micros(report["vm_usd"]), sum(
            micros(split[k]) for k in split if k.endswith("_usd") and k != "forgiven_usd"))
        self.assertGreater(report["vm_usd"], 0)

    def test_a_dry_run_spends_nothing_and_leaves_nothing(self):
        done = self.cloud.submit(counter_bag(), "--dry-run")
        self.assertIn("us-east-1a", done.stdout)
        self.assertEqual([], self.cloud.vms())
        self.assertNotIn("bag_submitted", self.cloud.kinds())

    def test_local_parts_end_by_themselves(self):
        cloud = Cloud(environment={"EBB_SCHEDULER_OPTIONS": "--idle-exit 2", "EBB_EMULATOR_OPTIONS": "--idle-exit 4"})
        self.addCleanup(cloud.close)
        cloud.submit(counter_bag(jobs=1, steps=20))
        cloud.ebb("wait", "last", timeout=120)
        pids = [cloud.scheduler_pid(), cloud.emulator_pid()]
        cloud.wait_for("both ended", lambda: not any(p and harness.alive(p) for p in pids), 60)
        # ... and the facts are there all the same.
        self.assertEqual("done", cloud.json("report", "last")["state"])
        cloud.results(20, (1,))

    def test_needs_and_inputs_from_another_group(self):
        bag = counter_bag(jobs=2, steps=20) + f"""
  - name: sum
    engine: command
    needs: [count]
    inputs: [{{from: count, files: [result.txt]}}]
    command: cat count/*/result.txt | sort > all.txt
    outputs: [all.txt]
"""
        self.cloud.submit(bag)
        self.cloud.ebb("wait", "last", timeout=120)
        out = os.path.join(self.cloud.root, "out")
        self.cloud.ebb("fetch", "last", out)
        want = "".join(sorted(harness.expected_chain(s, 20)[0] for s in (1, 2)))
        with open(os.path.join(out, "sum", "all.txt")) as f:
            self.assertEqual(want, f.read())

    def test_outputs_come_back_within_the_bound_of_the_bag(self):
        self.cloud.write("make.py", TRAJECTORY)
        self.cloud.write("read.py", READ_TRR + "print(*(max(x) for _, x in frames('make/make/traj.trr')), file=open('max', 'w'))\n")
        self.cloud.submit(f"""
name: bounds
jobs:
  - name: make
    engine: command
    inputs: [make.py]
    command: {harness.PYTHON} make.py
    outputs:
      - {{file: traj.trr, pack: {{error: 0.002 nm}}}}
      - {{file: exact.trr, pack: none}}
      - {{file: "*.dat", pack: {{error: 1 pm}}}}
  - name: use
    engine: command
    inputs: [read.py, {{from: make, files: [traj.trr]}}]
    command: {harness.PYTHON} read.py
    outputs: [max]
""")
        self.cloud.ebb("wait", "last", timeout=120)
        out = os.path.join(self.cloud.root, "out")
        self.cloud.ebb("fetch", "last", out)
        scope = {}
        exec(READ_TRR, scope)
        exact = list(scope["frames"](os.path.join(out, "make", "exact.trr")))
        within = list(scope["frames"](os.path.join(out, "make", "traj.trr")))
        self.assertEqual([step for step, _ in exact], [step for step, _ in within])
        worst = max(abs(a - b) for (_, x), (_, y) in zip(exact, within) for a, b in zip(x, y))
        self.assertGreater(worst, 0.001)
        self.assertLessEqual(worst, 0.002 + 1e-6)
        with open(os.path.join(out, "use", "max")) as f:
            self.assertEqual([max(x) for _, x in within], [float(v) for v in f.read().split()])
        with open(os.path.join(out, "make", "no.dat")) as f:
            self.assertEqual("no trajectory\n", f.read())
        self.assertIn("no.dat is kept byte for byte", self.cloud.ebb("logs", "make").stdout)
        report = self.cloud.json("report", "last")
        size = os.path.getsize(os.path.join(out, "make", "exact.trr"))
        self.assertEqual(4, report["output_files"])
        self.assertGreater(report["output_source_bytes"], 2 * size)
        self.assertLess(report["output_stored_bytes"], report["output_source_bytes"] - size / 2)
        self.assertIn("saved", self.cloud.ebb("report", "last").stdout)
        # Fetched again nothing is read; it is verified in the store as well.
        self.assertEqual([0, 0], [j["fetched_files"] for j in self.cloud.json("fetch", "last", out)["jobs"]])

    def test_a_bound_on_restart_state_is_refused_at_submission(self):
        for engine, file in ("gromacs", "md_*.cpt"), ("counter", "run.state"):
            self.cloud.write("bag.yaml", f"""
name: refused
jobs:
  - name: md
    engine: {engine}
    command: run
    outputs: [{{file: "{file}", pack: {{error: 0.001 nm}}}}]
""")
            done = self.cloud.ebb("submit", "bag.yaml", check=False)
            self.assertEqual(2, done.returncode)
            self.assertIn("bit for bit", done.stderr)

    def test_logs_survive_the_vm(self):
        self.cloud.submit(counter_bag(jobs=1, steps=20))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.wait_for("no VM", lambda: not self.cloud.live_vms(), 120)
        self.assertIn("finished", self.cloud.ebb("logs", "count,seed=1").stdout)

    def test_two_bags_verify_against_each_other(self):
        self.cloud.submit(counter_bag(jobs=2, steps=30))
        first = self.cloud.json("status", "last")["bags"][0]["bag"]
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.submit(counter_bag(jobs=2, steps=30))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.ebb("verify", "last", "--against", first)
        self.assertTrue(self.cloud.json("report", "last")["verified"])
        self.cloud.submit(counter_bag(jobs=2, steps=31))
        self.cloud.ebb("wait", "last", timeout=120)
        self.assertEqual(1, self.cloud.ebb("verify", "last", "--against", first, check=False).returncode)
        self.assertFalse(self.cloud.json("report", "last")["verified"])


    def test_hazards_are_learned_survive_a_restart_and_travel_in_a_file(self):
        self.cloud.submit(counter_bag(jobs=2, steps=60))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.wait_for("no VM", lambda: not self.cloud.live_vms(), 120)
        self.cloud.wait_for("the log knows", lambda: self.cloud.json("report", "last")["is_final"], 120)
        first = self.cloud.json("hazards")["places"]
        zones = [p for p in first if p["level"] == "zone"]
        self.assertTrue(zones and all(p["hours"] > 0 and p["rate"] == "revocation" for p in zones))
        self.assertTrue(all(a > b for p in zones for a, b in zip(p["per_hour"], p["per_hour"][1:])))
        path = os.path.join(self.cloud.root, "learned.ebbhaz")
        self.cloud.ebb("hazards", "export", path)
        self.cloud.ebb("stop")
        again = self.cloud.json("hazards")["places"]
        for a, b in zip(first, again):
            self.assertAlmostEqual(a["hours"], b["hours"], delta=0.02 * a["hours"])
        self.cloud.ebb("hazards", "import", path)
        self.assertIn("hazards_imported", self.cloud.kinds())
        both = self.cloud.json("hazards")["places"]
        for a, b in zip(first, both):
            self.assertAlmostEqual(2 * a["hours"], b["hours"], delta=0.05 * a["hours"])
        plot = os.path.join(self.cloud.root, "hazards.svg")
        self.cloud.ebb("hazards", path, "--plot", plot)
        with open(plot) as f:
            self.assertIn("age of the VM", f.read())
        self.assertIn("TYPE", self.cloud.ebb("hazards", "--all").stdout)
        with open(path, "r+b") as f:
            f.seek(20)
            f.write(b"\xff" * 40)
        refused = self.cloud.ebb("hazards", "import", path, check=False)
        self.assertEqual(2, refused.returncode)

if __name__ == "__main__":
    unittest.main()
