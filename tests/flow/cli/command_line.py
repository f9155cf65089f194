#!/usr/bin/env python3
"""Every command against a scheduler, agents and an emulated cloud that it starts by itself.

usage: command_line.py EBB
"""
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from datetime import datetime

EBB = None

BAG = """\
name: hello
jobs:
  - name: double
    engine: command
    sweep: {x: [1, 2, 3]}
    resources: {cpus: 1, memory: 128 MiB, time: 5s}
    inputs: [in.txt]
    command: |
      echo "hello ${x}"; cat in.txt; echo $((${x} * 2)) > out.txt
    outputs: [out.txt]
  - name: sum
    engine: command
    needs: [double]
    resources: {cpus: 1, memory: 128 MiB, time: 5s}
    inputs: [{from: double, files: [out.txt]}]
    command: cat double/*/out.txt | sort | paste -sd+ > sum.txt
    outputs: [sum.txt]
"""

POISONED = """\
name: poisoned
jobs:
  - name: bad
    engine: command
    resources: {cpus: 1, memory: 128 MiB, time: 5s}
    command: |
      echo "about to fail"; exit 3
    outputs: [out.txt]
    retries: 1
  - name: good
    engine: command
    resources: {cpus: 1, memory: 128 MiB, time: 5s}
    command: echo fine > out.txt
    outputs: [out.txt]
"""

SLOW = """\
name: slow
jobs:
  - name: nap
    engine: command
    sweep: {x: [1, 2]}
    resources: {cpus: 1, memory: 128 MiB, time: 1h}
    command: sleep 3600
    outputs: [out.txt]
"""

WRONG = """\
name: wrong
deadline: six
jobs:
  - name: a
    engine: gromax
    sweap: {x: [1]}
    command: run
    outputs: [out]
"""


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="ebb-flow-")
        cls.env = dict(os.environ, EBB_STATE_DIR=os.path.join(cls.folder, "state"))
        # Nothing of the user's own cloud may be touched, whatever the environment holds.
        cls.env.update(AWS_ACCESS_KEY_ID="not-mine", AWS_SECRET_ACCESS_KEY="not-mine")
        for name, text in (("bag", BAG), ("poisoned", POISONED), ("slow", SLOW), ("wrong", WRONG)):
            with open(os.path.join(cls.folder, name + ".yaml"), "w") as f:
                f.write(text)
        with open(os.path.join(cls.folder, "in.txt"), "w") as f:
            f.write("data\n")

    @classmethod
    def tearDownClass(cls):
        subprocess.run([EBB, "stop", "--force"], env=cls.env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=120)
        shutil.rmtree(cls.folder, ignore_errors=True)

    def run_ebb(self, *args, status=0):
        p = subprocess.run([EBB, *args], env=self.env, cwd=self.folder, timeout=180, text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        if p.returncode != status:
            self.fail(f"ebb {' '.join(args)}: exit status {p.returncode}, not {status}\n"
                      f"{p.stdout}\n{p.stderr}")
        return p

    def json(self, schema, *args, status=0):
        value = json.loads(self.run_ebb(*args, "--json", status=status).stdout)
        self.assertEqual(value["schema"], f"ebb.{schema}.v1")
        return value

    def test_1_a_wrong_bag_is_refused_with_all_its_faults(self):
        p = self.run_ebb("submit", "wrong.yaml", status=2)
        self.assertRegex(p.stderr, r"wrong\.yaml:2:11: .*'six'")
        self.assertRegex(p.stderr, r"wrong\.yaml:5:13: .*'gromax'.*did you mean 'gromacs'")
        self.assertRegex(p.stderr, r"wrong\.yaml:6:5: .*'sweap'.*did you mean 'sweep'")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "state", "scheduler.sock")))
        self.run_ebb("submit", "absent.yaml", status=2)
        self.run_ebb("status", status=2)

    def test_2_a_bag_runs_to_its_outputs(self):
        plan = self.json("submit", "submit", "bag.yaml", "--dry-run")
        self.assertIsNone(plan["bag"])
        self.assertTrue(any(c["chosen"] for c in plan["plan"]["candidates"]))
        self.assertEqual(self.json("status", "status")["bags"], [])

        p = self.run_ebb("submit", "bag.yaml", "--watch")
        self.assertIn("CHOSEN", p.stdout)
        self.assertRegex(p.stdout, r"bag (hello-[0-9a-f]{4}) finished: 4 done")
        bag = re.search(r"hello-[0-9a-f]{4}", p.stdout).group()

        status = self.json("status", "status", "hello")["bags"][0]
        self.assertEqual((status["bag"], status["state"], status["counts"]["done"]),
                         (bag, "done", 4))
        datetime.strptime(status["finished_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
        jobs = self.json("jobs", "jobs", "last")
        self.assertEqual([j["name"] for j in jobs["jobs"]],
                         ["double,x=1", "double,x=2", "double,x=3", "sum"])
        self.assertEqual(self.json("jobs", "jobs", "--state", "failed,cancelled")["jobs"], [])
        self.run_ebb("jobs", "--state", "faild", status=2)

        explain = self.json("explain", "explain", "hello/double,x=2")
        self.assertEqual(explain["job"]["state"], "done")
        self.assertEqual(len(explain["attempts"]), 1)
        self.run_ebb("explain", "double,x=9", status=2)
        self.assertIn("hello 2\ndata\n", self.run_ebb("logs", "hello/double,x=2").stdout)
        self.assertEqual(self.json("wait", "wait", bag)["state"], "done")

        fetched = self.json("fetch", "fetch", "hello", "out")
        self.assertEqual([j["fetched_files"] for j in fetched["jobs"]], [1, 1, 1, 1])
        with open(os.path.join(self.folder, "out", "sum", "sum.txt")) as f:
            self.assertEqual(f.read(), "2+4+6\n")
        again = self.json("fetch", "fetch", "hello", "out")
        self.assertEqual([j["fetched_files"] for j in again["jobs"]], [0, 0, 0, 0])

    def test_3_events_and_report_add_up(self):
        events = [json.loads(line) for line in self.run_ebb("events", "--json").stdout.splitlines()]
        self.assertEqual([e["sequence"] for e in events], list(range(1, len(events) + 1)))
        self.assertEqual({e["schema"] for e in events}, {"ebb.event.v1"})
        kinds = [e["kind"] for e in events]
        self.assertEqual(kinds.count("bag_finished"), 1)
        self.assertEqual(kinds.count("attempt_started"), 4)
        after = str(len(events) - 2)
        tail = self.run_ebb("events", "--all", "--after", after).stdout.splitlines()
        self.assertGreaterEqual(len(tail), 2)

        report = self.json("report", "report")
        split = report["split"]
        parts = sum(split[k + "_usd"] for k in
                    ("useful", "setup", "checkpoint", "lost", "idle", "boot"))
        self.assertAlmostEqual(parts, report["vm_usd"], places=5)
        self.assertAlmostEqual(
            report["vm_usd"] + report["storage_usd"] + report["requests_usd"],
            report["total_usd"], places=5)
        rows = list(csv.DictReader(io.StringIO(self.run_ebb("report", "--csv").stdout)))
        self.assertEqual([r["job"] for r in rows],
                         ["", "double,x=1", "double,x=2", "double,x=3", "sum"])
        self.assertAlmostEqual(float(rows[0]["total_usd"]), report["total_usd"], places=4)
        focus = list(csv.DictReader(io.StringIO(self.run_ebb("report", "--focus").stdout)))
        self.assertTrue(focus)
        self.assertEqual({r["PricingCategory"] for r in focus}, {"Dynamic"})
        self.assertIn("total", self.run_ebb("report", "--jobs").stdout)
        self.run_ebb("report", "--csv", "--focus", status=2)

    def test_4_a_second_run_verifies_against_the_first(self):
        first = self.json("status", "status", "hello")["bags"][0]["bag"]
        key = ("--idempotency-key", "second")
        bag = self.json("submit", "submit", "bag.yaml", *key)["bag"]
        self.assertEqual(self.json("submit", "submit", "bag.yaml", *key)["bag"], bag)
        self.assertNotEqual(bag, first)
        self.run_ebb("wait", bag)
        verified = self.json("verify", "verify", bag, "--against", first)
        self.assertTrue(verified["equal"])
        self.assertEqual(sum(j["files_equal"] for j in verified["jobs"]), 4)
        self.assertTrue(self.json("report", "report", bag)["verified"])
        self.run_ebb("verify", bag, status=2)
        self.run_ebb("verify", bag, "--against", "nothing", status=2)

    def test_5_a_poisoned_job_fails_alone(self):
        p = self.run_ebb("submit", "poisoned.yaml", "--watch", status=1)
        self.assertIn("1 done, 1 failed", p.stdout)
        jobs = {j["name"]: j for j in self.json("jobs", "jobs", "poisoned")["jobs"]}
        self.assertEqual((jobs["bad"]["state"], jobs["bad"]["failures"]), ("failed", 2))
        self.assertEqual(jobs["good"]["state"], "done")
        self.assertIn("about to fail", self.run_ebb("logs", "poisoned/bad", "--attempt", "all").stdout)
        self.run_ebb("wait", "poisoned", status=1)
        self.assertEqual(self.json("retry", "retry", "poisoned")["jobs"], 1)
        self.run_ebb("wait", "poisoned", status=1)
        failed = {j["name"]: j for j in self.json("jobs", "jobs", "poisoned")["jobs"]}["bad"]
        self.assertEqual(failed["attempts"], 4)

    def test_6_cancel_ends_a_job_and_a_bag(self):
        self.run_ebb("submit", "slow.yaml")
        self.run_ebb("stop", status=2)
        self.run_ebb("cancel", "slow/nap,x=1")
        self.run_ebb("wait", "slow", "--timeout", "1s", status=3)
        self.run_ebb("cancel", "slow")
        self.run_ebb("wait", "slow", "--timeout", "60s", status=1)
        states = {j["state"] for j in self.json("jobs", "jobs", "slow")["jobs"]}
        self.assertEqual(states, {"cancelled"})
        self.run_ebb("cancel", "no-such-bag", status=2)

    def test_7_a_killed_scheduler_is_started_again_and_knows_everything(self):
        end = time.monotonic() + 60  # the amounts of VMs that live are estimates
        while not (before := self.json("report", "report", "hello"))["is_final"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.3)
        log = os.path.join(self.env["EBB_STATE_DIR"], "scheduler.log")
        pid = int(re.search(r"pid (\d+)", self.run_ebb("doctor").stdout).group(1))
        os.kill(pid, signal.SIGKILL)
        p = self.run_ebb("report", "hello", "--json")
        self.assertIn("started the scheduler", p.stderr)
        after = json.loads(p.stdout)
        self.assertEqual(after["bag"], before["bag"])
        self.assertEqual(after["split"], before["split"])
        self.assertTrue(os.path.exists(log))

    def test_8_doctor_and_stop(self):
        checks = {c["check"]: c["level"] for c in self.json("doctor", "doctor")["checks"]}
        for what in ("state folder", "scheduler", "cloud", "object store", "clock"):
            self.assertEqual(checks[what], "ok", what)
        self.assertTrue(self.json("stop", "stop")["scheduler"])
        self.assertFalse(self.json("stop", "stop")["scheduler"])
        # What ended is started again for what is asked.
        self.assertIn("hello 2", self.run_ebb("logs", "hello/double,x=2").stdout)
        self.run_ebb("stop")

    def test_9_a_directory_is_a_store_too(self):
        store = os.path.join(self.folder, "objects")
        self.run_ebb("submit", "bag.yaml", "--store", "file://" + store, "--watch")
        self.run_ebb("fetch", "last", "out2")
        with open(os.path.join(self.folder, "out2", "sum", "sum.txt")) as f:
            self.assertEqual(f.read(), "2+4+6\n")
        self.assertTrue(os.path.isdir(os.path.join(store, "bags")))


if __name__ == "__main__":
    EBB = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2, failfast=True)
