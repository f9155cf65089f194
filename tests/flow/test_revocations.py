"""Revocations of every kind: no committed step is lost, nothing is published twice."""
import os
import signal
import time
import unittest

import harness
from harness import FlowTest, counter_bag


def resumed(e):
    return int(e.get("resumed_step", -1)) > 0


class Revocations(FlowTest):
    def running_vm(self):
        lease = self.cloud.wait_event("checkpoint_committed")[-1]
        vm = [e for e in self.cloud.events() if e["kind"] == "attempt_leased"
              and e["job"] == lease["job"] and e["attempt"] == lease["attempt"]][0]["vm"]
        return self.cloud.vm_of(vm)

    def finish(self, steps, seeds):
        self.cloud.go()
        self.cloud.ebb("wait", "last", timeout=120)
        self.cloud.results(steps, seeds)
        self.cloud.wait_for("no VM left", lambda: not self.cloud.live_vms(), 120)

    def test_killed_without_notice_resumes_from_the_last_commit(self):
        self.cloud.submit(counter_bag(jobs=1, steps=300, hold=200))
        self.cloud.revoke(self.running_vm()["instance"])
        started = self.cloud.wait_event("attempt_started", 2)
        self.assertTrue(resumed(started[-1]))
        self.finish(300, (1,))
        job = self.cloud.json("jobs", "last")["jobs"][0]
        self.assertEqual((0, 1), (job["failures"], job["revocations"]))

    def test_a_notice_loses_nothing(self):
        self.cloud.submit(counter_bag(jobs=1, steps=300, hold=200))
        self.cloud.revoke(self.running_vm()["instance"], "20s")
        ended = self.cloud.wait_event("attempt_ended")[0]
        self.assertEqual("released", ended["outcome"])
        self.assertLess(ended["times"].get("lost_s", 0), 0.5)
        self.finish(300, (1,))

    def test_a_young_vm_that_was_given_notice_is_left_to_the_cloud_and_costs_nothing(self):
        self.cloud.submit(counter_bag(jobs=1, steps=300, hold=200))
        taken = self.running_vm()
        self.cloud.revoke(taken["instance"], "15s")
        self.assertEqual("released", self.cloud.wait_event("attempt_ended")[0]["outcome"])
        self.assertNotIn("vm_terminated", self.cloud.kinds())  # long before the deadline
        self.finish(300, (1,))
        ends = self.cloud.wait_event("vm_terminated", 2)
        end = [e for e in ends if e["interrupted"]][0]
        leased = [e for e in self.cloud.events() if e["kind"] == "attempt_leased" and e["vm"] == end["vm"]]
        self.assertEqual(1, len(leased))
        lines = {v["instance"]: v["usd_micros"] for v in self.cloud.bill()["vms"]}
        self.assertEqual(0, lines.pop(taken["instance"]))
        self.assertGreater(sum(lines.values()), 0)
        report = self.cloud.json("report", "last")
        self.assertEqual(self.cloud.bill()["vm_usd_micros"], round(report["vm_usd"] * 1e6))

    def test_a_vm_past_its_free_hour_ends_itself(self):
        self.cloud.write("fleet.yaml", harness.FLEET + "time_scale: 300\n")
        self.cloud.submit(counter_bag(jobs=1, steps=200, hold=150))
        taken = self.running_vm()
        self.cloud.revoke(taken["instance"], "200s")
        self.cloud.wait_for("the VM gone", lambda: taken["instance"] not in [
            v["instance"] for v in self.cloud.live_vms()], 100)
        self.finish(200, (1,))

    def test_stop_does_not_wait_for_the_cloud_to_take_a_vm(self):
        self.cloud.submit(counter_bag(jobs=1, steps=250, hold=150))
        taken = self.running_vm()
        self.cloud.revoke(taken["instance"], "280s")
        self.cloud.wait_event("attempt_ended")
        self.cloud.go()
        self.cloud.ebb("wait", "last", timeout=120)
        self.assertIn(taken["instance"], [v["instance"] for v in self.cloud.live_vms()])
        self.assertFalse(self.cloud.json("report", "last")["is_final"])
        began = time.monotonic()
        self.cloud.ebb("stop")
        self.assertLess(time.monotonic() - began, 60)

    def test_a_whole_zone_goes_at_once(self):
        fleet = harness.FLEET.replace("capacity: 8", "capacity: 2")
        self.cloud.write("fleet.yaml", fleet)
        self.cloud.submit(counter_bag(jobs=6, steps=250, hold=150))
        zone = self.running_vm()["zone"]
        for vm in self.cloud.live_vms():
            if vm["zone"] == zone:
                self.cloud.revoke(vm["instance"])
        self.finish(250, range(1, 7))

    def test_revoked_in_each_phase(self):
        # setup takes 2 s; the VM is taken in the middle of it, then in the boot of the next.
        self.cloud.submit(counter_bag(jobs=1, steps=100, setup="sleep 2; echo made > made.txt"))
        self.cloud.wait_event("attempt_leased")
        vm = next(v for v in self.cloud.live_vms() if v["state"] == "running")
        self.cloud.revoke(vm["instance"])
        boot = self.cloud.wait_for("the next VM", lambda: next(
            (v for v in self.cloud.live_vms() if v["instance"] != vm["instance"]), None))
        self.cloud.revoke(boot["instance"])
        self.finish(100, (1,))

    def test_a_zombie_cannot_commit_or_publish(self):
        self.cloud.environment["EBB_SCHEDULER_OPTIONS"] = "--lease-ttl 4"
        self.cloud.submit(counter_bag(jobs=1, steps=400, hold=200))
        vm = self.running_vm()
        pids = harness.descendants(vm["supervisor"])
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        started = self.cloud.wait_event("attempt_started", 2)
        for pid in pids:
            if harness.alive(pid):
                os.kill(pid, signal.SIGCONT)
        self.assertGreater(int(started[-1]["epoch"]), int(started[0]["epoch"]))
        self.finish(400, (1,))
        done = [e for e in self.cloud.events() if e["kind"] == "attempt_ended" and e["outcome"] == "done"]
        self.assertEqual(1, len(done))
        self.assertGreater(done[0]["attempt"], 1)

    def test_a_notice_shorter_than_the_upload_keeps_the_commit_before(self):
        self.cloud.submit(counter_bag(jobs=1, steps=400, hold=300).replace(
            "--seed", "--pad 20000000 --seed"))
        vm = self.running_vm()
        self.cloud.fault(kind="slow", service="s3", bandwidth="200kB", for_="6s")
        self.cloud.revoke(vm["instance"], "2s")
        self.cloud.wait_event("attempt_ended")
        self.finish(400, (1,))

    def test_a_store_that_refuses_for_a_while_loses_nothing(self):
        self.cloud.submit(counter_bag(jobs=2, steps=300, hold=200))
        self.running_vm()
        self.cloud.fault(kind="throttle", service="s3", for_="30s")
        self.finish(300, (1, 2))
        self.assertEqual([0, 0], [j["failures"] for j in self.cloud.json("jobs", "last")["jobs"]])


if __name__ == "__main__":
    unittest.main()
