"""The cloud at its worst: throttled, slow, stale, cut off. The bag finishes, its results are right,
and no VM is forgotten."""
import glob
import os
import signal
import unittest

import harness
from harness import FlowTest, counter_bag


class Faults(FlowTest):
    def running_vm(self, commits=1):
        lease = self.cloud.wait_event("checkpoint_committed", commits)[-1]
        vm = [e for e in self.cloud.events() if e["kind"] == "attempt_leased"
              and e["job"] == lease["job"] and e["attempt"] == lease["attempt"]][0]["vm"]
        return self.cloud.vm_of(vm)

    def finish(self, steps, seeds, timeout=150):
        self.cloud.go()
        self.cloud.ebb("wait", "last", timeout=timeout)
        self.cloud.results(steps, seeds)
        self.cloud.wait_for("no VM left", lambda: not self.cloud.live_vms(), 120)
        jobs = self.cloud.json("jobs", "last")["jobs"]
        self.assertEqual([0] * len(jobs), [j["failures"] for j in jobs], "revocations counted as failures")

    def test_ec2_throttles_fails_and_tells_stale_facts(self):
        self.cloud.write("fleet.yaml", harness.FLEET.replace("seed: 7", "seed: 11") + """
faults:
  - {kind: throttle, service: ec2, rate: 0.2}
  - {kind: error, service: ec2, rate: 0.15}
  - {kind: lost-answer, service: ec2, action: RunInstances, rate: 0.5}
  - {kind: stale-describe, lag: 4s}
""")
        self.cloud.submit(counter_bag(jobs=3, steps=100), timeout=180)
        self.finish(100, (1, 2, 3))
        launched = {e["instance"] for e in self.cloud.events() if e["kind"] == "vm_launched"}
        self.assertEqual(launched, {v["instance"] for v in self.cloud.vms()}, "a VM was launched twice or forgotten")

    def test_s3_fails_slows_down_and_loses_answers(self):
        self.cloud.submit(counter_bag(jobs=2, steps=200, hold=150))
        self.running_vm()
        for fault in (dict(kind="throttle", rate=0.2), dict(kind="error", rate=0.2), dict(kind="lost-answer", rate=0.2),
                      dict(kind="slow", latency="50ms")):
            self.cloud.fault(service="s3", for_="60s", **fault)
        self.cloud.revoke(self.running_vm()["instance"])
        self.finish(200, (1, 2))

    def test_a_partitioned_vm_is_replaced_and_shut_out(self):
        # A partition far off makes the emulator give each VM its gateway.
        self.cloud.write("fleet.yaml", harness.FLEET + """
faults:
  - {kind: partition, vm: 99, after: 1d, for: 1s}
""")
        self.cloud.environment["EBB_SCHEDULER_OPTIONS"] = "--lease-ttl 4"
        self.cloud.submit(counter_bag(jobs=1, steps=400, hold=200))
        number = self.running_vm()["number"]
        self.cloud.fault(kind="partition", vm=number, for_="25s")
        started = self.cloud.wait_event("attempt_started", 2)
        self.assertGreater(int(started[-1]["resumed_step"]), 0)
        self.finish(400, (1,))
        done = [e["attempt"] for e in self.cloud.events() if e["kind"] == "attempt_ended" and e["outcome"] == "done"]
        self.assertEqual(1, len(done))
        self.assertGreater(done[0], 1)

    def noticed(self, notice):
        self.cloud.submit(counter_bag(jobs=1, steps=300, hold=150))
        vm = self.running_vm()
        self.cloud.page(f"/_ebb/revoke?instance={vm['instance']}&notice={notice}&length=4s&late_by=3s", "POST")
        self.cloud.wait_event("attempt_ended")
        self.finish(300, (1,))
        self.assertEqual(1, self.cloud.json("jobs", "last")["jobs"][0]["revocations"])

    def test_a_late_notice(self):
        self.noticed("late")

    def test_a_lost_notice(self):
        self.noticed("lost")

    def slow_store(self, seconds):
        self.cloud.fault(kind="slow", service="s3", bandwidth="300kB", for_=f"{seconds}s")

    def test_revoked_while_staging_and_while_restoring(self):
        with open(os.path.join(self.cloud.work, "large.dat"), "wb") as f:
            f.write(os.urandom(2_000_000))
        bag = counter_bag(jobs=1, steps=300, hold=200).replace("[counter.py]", "[counter.py, large.dat]").replace(
            "--seed", "--pad 2000000 --seed")
        self.cloud.write("fleet.yaml", harness.FLEET.replace("boot: 0.2s", "boot: 1s"))
        self.cloud.submit(bag)
        for phase in ("staging", "restoring"):
            # The program has been fetched when the VM has joined; what follows is slow.
            if phase == "staging":
                vm = self.cloud.wait_event("vm_joined", 1)[-1]["vm"]
            else:
                self.cloud.wait_event("checkpoint_committed", 2)
                joined = self.cloud.kinds().count("vm_joined")
                self.cloud.revoke(next(v for v in self.cloud.live_vms() if v["state"] == "running")["instance"])
                vm = self.cloud.wait_event("vm_joined", joined + 1)[-1]["vm"]
            self.slow_store(4)
            self.cloud.revoke(self.cloud.vm_of(vm)["instance"])
        self.finish(300, (1,))

    def test_cancelled_while_staging(self):
        with open(os.path.join(self.cloud.work, "large.dat"), "wb") as f:
            f.write(os.urandom(8_000_000))
        self.cloud.submit(counter_bag(jobs=1, steps=300).replace("[counter.py]", "[counter.py, large.dat]"))
        self.cloud.wait_event("vm_joined")
        self.slow_store(20)
        self.cloud.ebb("cancel", "last")
        self.cloud.ebb("wait", "last", check=False, timeout=120)
        self.assertEqual("cancelled", self.cloud.json("report", "last")["state"])
        self.cloud.wait_for("no VM left", lambda: not self.cloud.live_vms(), 120)

    def test_a_corrupt_chunk_is_found_and_the_generation_before_is_used(self):
        self.cloud.submit(counter_bag(jobs=1, steps=400, hold=300), "--store", "file://" + self.cloud.root + "/store")
        vm = self.running_vm(commits=3)
        for pid in harness.descendants(vm["supervisor"]):
            os.kill(pid, signal.SIGSTOP)
        # A commit that was under way has put packs that no checkpoint reaches yet.
        shown = self.cloud.json("checkpoint", "show", "last/0", "--chunks")["manifest"]
        state = next(f for f in shown["files"] if f["path"].endswith("run.state"))
        pack = shown["packs"][state["chunks"][0]["pack"]]["sha256"]
        newest, = glob.glob(os.path.join(self.cloud.root, "store", "bags", "*", "jobs", "*", "packs", pack))
        with open(newest, "r+b") as f:
            f.seek(os.path.getsize(newest) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 0x10]))
        self.cloud.revoke(vm["instance"])
        second = self.cloud.wait_event("attempt_started", 2)[-1]
        self.assertIn("is damaged", second["note"])
        self.assertGreater(int(second["resumed_step"]), 0)
        self.finish(400, (1,))


if __name__ == "__main__":
    unittest.main()
