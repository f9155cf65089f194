"""What users and disks do: jobs that always fail, cancels in every phase, damage in the store and in
the database. Each ends in a clear message, and nothing else is touched."""
import fcntl
import glob
import os
import signal
import sqlite3
import threading
import unittest

import harness
from harness import FlowTest, counter_bag


class Trouble(FlowTest):
    def test_a_poisoned_job_fails_with_its_log_and_the_others_finish(self):
        bag = counter_bag(jobs=2, steps=60) + f"""
  - name: poison
    engine: command
    command: echo before the end; echo a clear complaint >&2; exit 7
    outputs: [none.txt]
    retries: 1
"""
        self.cloud.submit(bag)
        self.assertEqual(1, self.cloud.ebb("wait", "last", check=False, timeout=120).returncode)
        jobs = {j["name"]: j for j in self.cloud.json("jobs", "last")["jobs"]}
        self.assertEqual(("failed", 2, 2), tuple(jobs["poison"][k] for k in ("state", "attempts", "failures")))
        self.assertEqual("done", jobs["count,seed=1"]["state"])
        self.assertIn("a clear complaint", self.cloud.ebb("logs", "poison").stdout)
        self.assertIn("a clear complaint", self.cloud.ebb("explain", "poison").stdout)

    def cancelled_in(self, setup, wait):
        self.cloud.submit(counter_bag(jobs=1, steps=4000, setup=setup))
        wait()
        self.cloud.ebb("cancel", "last")
        self.cloud.ebb("wait", "last", check=False, timeout=120)
        self.assertEqual("cancelled", self.cloud.json("report", "last")["state"])
        self.cloud.wait_for("no VM left", lambda: not self.cloud.live_vms(), 120)

    def test_cancel_before_any_vm(self):
        self.cancelled_in(None, lambda: None)

    def test_cancel_during_boot(self):
        self.cloud.write("fleet.yaml", harness.FLEET.replace("boot: 0.2s", "boot: 4s"))
        self.cancelled_in(None, lambda: self.cloud.wait_event("vm_launched"))

    def test_cancel_during_setup(self):
        self.cancelled_in("sleep 30", lambda: self.cloud.wait_event("attempt_leased"))

    def test_cancel_while_running(self):
        self.cancelled_in(None, lambda: self.cloud.wait_event("checkpoint_committed"))

    def head_of(self, kind):
        hits = glob.glob(os.path.join(self.cloud.root, "store", "**", kind), recursive=True)
        self.assertTrue(hits, kind)
        return hits

    def submit_to_directory(self, steps=400):
        self.cloud.submit(counter_bag(jobs=1, steps=steps, hold=300), "--store", "file://" + self.cloud.root + "/store")
        self.cloud.wait_event("checkpoint_committed", 3)
        return next(v for v in self.cloud.live_vms() if v["state"] == "running")

    def test_a_damaged_newest_generation_falls_back_and_says_so(self):
        vm = self.submit_to_directory()
        # Everything stops, the newest manifest is damaged, the VM is taken.
        for pid in harness.descendants(vm["supervisor"]):
            os.kill(pid, 19)
        # Not that of a commit that was under way, which the head does not tell yet.
        shown = self.cloud.json("checkpoint", "show", "last/0")["manifest"]
        newest, = self.head_of(f"manifests/{int(shown['epoch']):08d}-{int(shown['sequence']):010d}-*")
        with open(newest, "r+b") as f:
            f.seek(10)
            byte = f.read(1)
            f.seek(10)
            f.write(bytes([byte[0] ^ 0x55]))
        self.cloud.revoke(vm["instance"])
        second = self.cloud.wait_event("attempt_started", 2)[-1]
        self.assertGreater(int(second["resumed_step"]), 0)
        self.assertIn("is damaged", second["note"])
        self.cloud.go()
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.results(400, (1,))

    def test_a_damaged_head_is_an_error_not_a_start_from_zero(self):
        vm = self.submit_to_directory()
        for pid in harness.descendants(vm["supervisor"]):
            os.kill(pid, 19)
        for head in self.head_of("head"):
            with open(head, "wb") as f:
                f.write(b"not a head")
        self.cloud.revoke(vm["instance"])
        ended = self.cloud.wait_event("attempt_ended", 2)
        self.assertNotEqual("done", ended[-1]["outcome"])
        self.assertIn("head", ended[-1]["reason"])

    def test_commands_wait_for_an_emulated_cloud_that_is_busy(self):
        self.cloud.submit(counter_bag(jobs=1, steps=20))
        self.cloud.ebb("wait", "last", timeout=120)
        pid = self.cloud.emulator_pid()
        os.kill(pid, signal.SIGSTOP)
        wakes = threading.Timer(4, os.kill, (pid, signal.SIGCONT))
        wakes.start()
        self.addCleanup(wakes.join)
        self.cloud.results(20, (1,))
        self.assertEqual(pid, self.cloud.emulator_pid())

    def test_commands_wait_for_a_scheduler_that_is_just_ending(self):
        self.cloud.submit(counter_bag(jobs=1, steps=20))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.ebb("stop", "--force")
        with open(os.path.join(self.cloud.state, "events.lock")) as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            ends = threading.Timer(2, fcntl.flock, (f, fcntl.LOCK_UN))
            ends.start()
            self.assertEqual("done", self.cloud.json("report", "last")["state"])
            ends.join()

    def test_a_truncated_event_log_is_refused_with_words(self):
        self.cloud.submit(counter_bag(jobs=1, steps=20))
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.ebb("stop", "--force")
        path = os.path.join(self.cloud.state, "events.db")
        with sqlite3.connect(path) as db:
            db.execute("pragma wal_checkpoint(truncate)")
        size = os.path.getsize(path)
        with open(path, "rb") as f:
            whole = f.read()
        with open(path, "r+b") as f:
            f.truncate(size // 2)
        done = self.cloud.ebb("status", check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("events.db", done.stderr)
        with open(path, "wb") as f:
            f.write(whole)
        self.assertEqual("done", self.cloud.json("report", "last")["state"])

    def test_bad_bags_name_line_and_column(self):
        for bag, words in (
                ("name: x\njobz: []\n", ("bag.yaml:2:1", "jobz", "jobs")),
                ("name: x\njobs:\n  - name: a\n    engine: gromax\n    command: b\n", (":4:13", "gromax", "gromacs")),
                ("name: x\njobs:\n  - name: a\n    engine: command\n    command: echo ${nope}\n    sweep: {node: [1]}\n",
                 ("bag.yaml:5:", "nope", "node")),
                ("name: x\njobs:\n  - {name: a, engine: command, command: b, inputs: [missing.dat]}\n",
                 ("bag.yaml:3:", "missing.dat"))):
            done = self.cloud.submit(bag, check=False)
            self.assertEqual(2, done.returncode, done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
