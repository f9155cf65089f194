"""The scheduler is killed right after each kind of event reached the log, before anything that
follows from it, and started again: nothing is lost, nothing is done twice, no VM is forgotten."""
import os
import signal
import subprocess
import unittest

import harness
from harness import FlowTest, counter_bag

STEPS = 120
IN_EVERY_RUN = (
    "cloud_configured", "bag_submitted", "prices_observed", "vm_intended", "vm_launched", "vm_joined",
    "attempt_leased", "attempt_started", "checkpoint_committed", "attempt_ended", "requests_counted",
    "vm_terminating", "vm_terminated", "bag_finished")


class Restart(FlowTest):
    environment = {"EBB_SCHEDULER_OPTIONS": "--lease-ttl 6"}

    def submit(self, kind, bag=None, fleet=None, hold=None):
        if fleet:
            self.cloud.write("fleet.yaml", fleet)
        args = ("--idempotency-key", "restart-test")
        fault = {"EBB_FAULT": f"log-{kind}"}
        bag = bag or counter_bag(jobs=2, steps=STEPS, hold=hold)
        self.killed = self.cloud.submit(bag, *args, environment=fault, check=False).returncode != 0
        if self.killed:
            self.cloud.submit(bag, *args)

    def wait_for_the_kill(self):
        c = self.cloud
        if self.killed:
            return
        c.wait_for("the scheduler to die", lambda: self.lives() > 1 or not (
            c.scheduler_pid() and harness.alive(c.scheduler_pid())))

    def lives(self):
        """A command may have started the next one already, and gone on with it."""
        with open(os.path.join(self.cloud.state, "scheduler.log")) as f:
            return f.read().count(" replayed ")

    def finish(self, seeds=(1, 2)):
        c = self.cloud
        c.go()
        c.ebb("wait", "last", timeout=120)
        c.results(STEPS, seeds)
        self.check()

    def check(self):
        c = self.cloud
        c.wait_for("no VM left", lambda: not c.live_vms(), 120)
        c.wait_for("the log knows", lambda: c.kinds().count("vm_terminated") >= c.kinds().count("vm_launched"), 30)
        events = c.events()
        self.assertEqual(list(range(1, len(events) + 1)), [int(e["sequence"]) for e in events])
        done = [(e["bag"], e["job"]) for e in events if e["kind"] == "attempt_ended" and e["outcome"] == "done"]
        self.assertEqual(len(done), len(set(done)), "outputs were published twice")
        launched = [e["instance"] for e in events if e["kind"] == "vm_launched"]
        self.assertEqual(sorted(v["instance"] for v in c.vms()), sorted(launched), "a VM that no event knows")

    def test_vm_noticed(self):
        self.submit("vm_noticed", hold=90)
        self.cloud.wait_event("checkpoint_committed")
        vm = next(v for v in self.cloud.live_vms() if v["state"] == "running")
        self.cloud.revoke(vm["instance"], "20s")
        self.wait_for_the_kill()
        self.finish()

    def test_vm_lost(self):
        self.submit("vm_lost", hold=90)
        self.cloud.wait_event("checkpoint_committed")
        vm = next(v for v in self.cloud.live_vms() if v["state"] == "running")
        for pid in harness.descendants(vm["supervisor"]):
            os.kill(pid, signal.SIGSTOP)
        self.wait_for_the_kill()
        self.finish()

    def test_vm_launch_failed(self):
        self.submit("vm_launch_failed", fleet=harness.FLEET.replace(
            "{name: us-east-1a, capacity: 8}", "{name: us-east-1a, capacity: 0}"))
        self.wait_for_the_kill()
        self.finish()

    def test_lease_revoked_or_job_cancelled(self):
        self.submit("job_cancelled", hold=90)
        self.cloud.wait_event("attempt_started", 2)
        self.cloud.ebb("cancel", "count,seed=2", check=False)
        self.wait_for_the_kill()
        self.cloud.go()
        self.cloud.ebb("wait", "last", check=False, timeout=120)
        states = [j["state"] for j in self.cloud.json("jobs", "last")["jobs"]]
        self.assertEqual(["done", "cancelled"], states)
        self.check()

    def test_bag_cancelled(self):
        self.submit("bag_cancelled", hold=90)
        self.cloud.wait_event("attempt_started", 2)
        self.cloud.ebb("cancel", "last", check=False)
        self.wait_for_the_kill()
        self.cloud.ebb("wait", "last", check=False, timeout=120)
        self.assertEqual("cancelled", self.cloud.json("report", "last")["state"])
        self.check()

    def test_jobs_retried(self):
        self.submit("jobs_retried", bag=counter_bag(jobs=1, steps=20, extra="").replace(
            "--seed ${seed}", "--seed ${seed} --fail-at 5").replace("outputs:", "retries: 0\n    outputs:"))
        self.cloud.ebb("wait", "last", check=False, timeout=120)
        self.cloud.ebb("retry", "last", check=False)
        self.wait_for_the_kill()
        self.cloud.ebb("wait", "last", check=False, timeout=120)
        job = self.cloud.json("jobs", "last")["jobs"][0]
        self.assertEqual(("failed", 2), (job["state"], job["attempts"]))
        self.check()


class Commands(FlowTest):
    def test_a_command_that_waits_outlives_the_scheduler(self):
        c = self.cloud
        c.submit(counter_bag(jobs=2, steps=STEPS, hold=90))
        c.write("waits.sh", f"{harness.EBB} wait last & pid=$!; sleep 1.5; "
                f"kill -9 $(cat {c.state}/scheduler.pid); touch {c.root}/go; wait $pid")
        done = subprocess.run(["bash", "waits.sh"], cwd=c.work, env=c.environment, timeout=120, text=True,
                              capture_output=True)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("started the scheduler", done.stderr)
        c.results(STEPS, (1, 2))


def killed_at(kind):
    def test(self):
        self.submit(kind)
        self.wait_for_the_kill()
        self.finish()
    return test


for _kind in IN_EVERY_RUN:
    setattr(Restart, f"test_{_kind}", killed_at(_kind))


if __name__ == "__main__":
    unittest.main()
