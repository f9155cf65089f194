"""Jobs on several VMs at once: a PyTorch training over gloo, which is not ours, on every VM of a gang.
All ranks start or none does, one checkpoint holds for all, the failure of one is one failure."""
import contextlib
import glob
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import unittest

import harness
from harness import PYTHON, SOURCE, FlowTest
from test_simulated import ends, launches, outcomes, placed

# Tied to launches, so that a simulated run meets it at the same point of the VM's life; late enough for
# all ranks to have started on a busy machine.
NOTICE_TO_THE_SECOND = "revocations: [{vm: 2, phase: running, after: 9s, notice: 10s}]\n"
EPOCHS = 40  # many seconds more than until the notice
TRAIN = os.path.join(SOURCE, "examples", "gang", "train.py")


def has_torch():
    return subprocess.run([PYTHON, "-c", "import importlib.util as i; assert i.find_spec('torch')"],
                          stderr=subprocess.DEVNULL).returncode == 0


def gang_bag(command, vms=3, engine="command", inputs="[]", outputs="[]", extra="", store=None, seconds=6):
    return f"""
name: gang
{"store: file://" + store if store else ""}
jobs:
  - name: train
    engine: {engine}
    resources: {{cpus: 2, memory: 64 MiB, vms: {vms}, time: {seconds}s}}
    inputs: {inputs}
    command: {command}
    outputs: {outputs}
    {"" if engine == "command" else "checkpoint_interval: 1s"}
    environment: {{GLOO_SOCKET_IFNAME: lo}}
    {extra}
"""


def free_port():
    """Below what the kernel gives to connections, so that none takes it before it is listened at."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first = int(f.read().split()[0])
    while True:
        port = random.randrange(1024, first) if first > 2048 else 0
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return s.getsockname()[1]


def undisturbed(directory, epochs, size, *options):
    """The same training without ebb; what it writes about its result."""
    ranks, port = [], free_port()
    for rank in range(size):
        work = os.path.join(directory, f"rank{rank}")
        os.makedirs(work)
        environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size),
                       "RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"}
        ranks.append(subprocess.Popen([PYTHON, TRAIN, "--epochs", str(epochs), *options], cwd=work, env=environment,
                                      stdout=subprocess.DEVNULL))
    if any([r.wait(120) for r in ranks]):
        raise AssertionError("the training fails by itself")
    with open(os.path.join(directory, "rank0", "metrics.json")) as f:
        return f.read()


def ring_results(steps, size):
    """What ring.py gives on each rank."""
    chains = [hashlib.sha256(str(rank).encode()).hexdigest() for rank in range(size)]
    for _ in range(steps):
        chains = [hashlib.sha256((own + "".join(chains)).encode()).hexdigest() for own in chains]
    return [chain + "\n" for chain in chains]


class Gang(FlowTest):
    def leased(self, attempt=1):
        lease = self.cloud.wait_event("attempt_leased", where=lambda e: e["attempt"] == attempt)[0]
        return [lease["vm"], *lease["members"]]

    def ended(self, count=1):
        return self.cloud.wait_event("attempt_ended", count)

    def test_a_training_that_had_but_its_results_to_write_writes_the_same(self):
        if not has_torch():
            self.skipTest("no torch here")
        first = undisturbed(os.path.join(self.cloud.root, "first"), 2, 1)
        saved = os.path.join(self.cloud.root, "first", "rank0", "train.ckpt")
        again = undisturbed(os.path.join(self.cloud.root, "again"), 2, 1, "--resume", saved)
        self.assertEqual(first, again)

    def test_a_training_on_two_vms_survives_the_notice_to_one_and_ends_as_if_undisturbed(self):
        if not has_torch():
            self.skipTest("no torch here")
        shutil.copy(TRAIN, self.cloud.work)
        self.cloud.submit(gang_bag(
            f"{PYTHON} train.py --epochs {EPOCHS} --pause 0.2", vms=2, engine="pytorch", inputs="[train.py]",
            outputs="[metrics.json, model.pt, {file: rank.json, ranks: each}]"))
        vms = self.leased()
        self.assertEqual(2, len(set(vms)))
        self.cloud.wait_event("checkpoint_committed", 2)
        self.cloud.revoke(self.cloud.vm_of(vms[1])["instance"], "20s")
        self.ended(1)
        expected = undisturbed(os.path.join(self.cloud.root, "alone"), EPOCHS, 2)
        self.cloud.ebb("wait", "last", timeout=120)
        ends = self.ended(2)
        self.assertEqual(["released", "done"], [e["outcome"] for e in ends])
        starts = self.cloud.wait_event("attempt_started", 2)
        self.assertGreater(int(starts[1]["resumed_step"]), 1)
        self.assertEqual(1, len({self.cloud.vm_of(v)["zone"] for v in self.leased(2)}))
        out = os.path.join(self.cloud.root, "out")
        self.cloud.ebb("fetch", "last", out)
        with open(os.path.join(out, "train", "metrics.json")) as f:
            self.assertEqual(expected, f.read())
        with open(os.path.join(out, "train", "ranks", "1", "rank.json")) as f:
            self.assertIn('"rank": 1', f.read())
        job = self.cloud.json("jobs", "last")["jobs"][0]
        self.assertEqual((0, 1), (job["failures"], job["revocations"]))

    def test_the_failure_of_one_rank_is_one_failed_attempt_that_names_it(self):
        self.cloud.submit(gang_bag("'[ $RANK = 1 ] && { sleep 0.3; echo broken; exit 3; }; sleep 60'"))
        end = self.ended()[0]
        self.cloud.ebb("wait", "last", check=False, timeout=120)
        self.assertEqual("failed", end["outcome"])
        self.assertIn("rank 1 of the gang: exit status 3", end["reason"])
        self.assertIn("broken", end["reason"])
        self.assertEqual(1, len(self.ended()))
        job = self.cloud.json("jobs", "last")["jobs"][0]
        self.assertEqual(("failed", 1, 1), (job["state"], job["attempts"], job["failures"]))
        self.assertIn("broken", self.cloud.ebb("logs", "last/0", "--rank", "1").stdout)

    def test_where_there_is_no_room_for_all_none_starts_and_no_half_is_paid_for_long(self):
        self.cloud.write("fleet.yaml", harness.FLEET.replace("capacity: 8", "capacity: 2") + "time_scale: 60\n")
        self.cloud.submit(gang_bag("touch started"))
        self.cloud.wait_event("vm_launch_failed")
        self.cloud.wait_for("no half of a gang is kept", lambda: not self.cloud.live_vms(), 120)
        self.assertNotIn("attempt_leased", self.cloud.kinds())
        for vm in self.cloud.bill()["vms"]:
            self.assertLess(vm["billed_s"], 60 * 60)

    def ring(self, steps, extra="", store=None, hold=None, seconds=6):
        engines = os.path.join(harness.HERE, "engines")
        shutil.copy(os.path.join(engines, "ring.py"), self.cloud.work)
        with open(os.path.join(engines, "ring.yaml")) as f:
            self.cloud.write("profiles/ring.yaml", f.read().replace("keep: 4", "keep: 4" + extra))
        held = f" --hold {harness.GO} --hold-at {hold}" if hold else ""
        self.cloud.submit(gang_bag(
            f"{PYTHON} ring.py --steps {steps}{held}", engine="ring", inputs="[ring.py]",
            outputs="[{file: result.txt, ranks: each}]", store=store, seconds=seconds))

    def ring_ends(self, steps):
        self.cloud.go()
        self.cloud.ebb("wait", "last", timeout=120)
        out = os.path.join(self.cloud.root, "out")
        self.cloud.ebb("fetch", "last", out)
        for rank, expected in enumerate(ring_results(steps, 3)):
            with open(os.path.join(out, "train", f"ranks/{rank}" if rank else "", "result.txt")) as f:
                self.assertEqual(expected, f.read(), f"rank {rank}")

    def test_states_of_all_ranks_are_committed_as_one_step_and_go_on_together(self):
        self.cloud.write("fleet.yaml", harness.FLEET + NOTICE_TO_THE_SECOND)
        self.ring(260, hold=150, seconds=12)
        self.cloud.wait_event("vm_noticed")
        self.ended(1)
        self.ring_ends(260)
        self.assertEqual(["released", "done"], [e["outcome"] for e in self.ended(2)])
        resumed = int(self.cloud.wait_event("attempt_started", 2)[1]["resumed_step"])
        self.assertGreater(resumed, 0)
        self.assertEqual(0, resumed % 10)  # where every rank had a state
        self.cloud.wait_for("the log knows", lambda: self.cloud.json("report", "last")["is_final"], 120)
        real, report = self.cloud.events(), self.cloud.json("report", "last")
        path = os.path.join(self.cloud.root, "events.jsonl")
        simulated = self.cloud.json("simulate", "bag.yaml", "--fleet", "fleet.yaml", "--events", path)["report"]
        with open(path) as f:
            ours = [json.loads(line) for line in f]
        # Both VMs are asked for at once, and either may come to be the cloud's second.
        noticed = [next(e["vm"] for e in events if e["kind"] == "vm_noticed") for events in (real, ours)]
        for decisions in (launches, outcomes) + ((placed, ends) if noticed[0] == noticed[1] else ()):
            self.assertEqual(decisions(real), decisions(ours))
        for key in ("attempts", "revocations", "failures"):
            self.assertEqual(report[key], simulated[key], key)

    def test_an_engine_that_saves_when_stopped_is_stopped_on_all_vms_and_goes_on_there(self):
        self.ring(120, ", trigger: signal")
        self.ring_ends(120)
        self.assertEqual(["done"], [e["outcome"] for e in self.ended()])
        self.assertIn("checkpoint_committed", self.cloud.kinds())

    def test_a_scheduler_killed_and_a_vm_gone_without_a_word_are_no_failure_of_the_job(self):
        self.cloud.environment["EBB_SCHEDULER_OPTIONS"] = "--lease-ttl 4"
        self.ring(180, hold=100)
        vms = self.leased()
        self.cloud.wait_event("checkpoint_committed")
        self.cloud.kill_scheduler()
        self.cloud.ebb("status")
        self.cloud.revoke(self.cloud.vm_of(vms[1])["instance"])  # the engines of the others fail, too
        self.ended(1)
        self.ring_ends(180)
        self.assertEqual(["lost", "done"], [e["outcome"] for e in self.ended(2)])
        self.assertGreater(int(self.cloud.wait_event("attempt_started", 2)[1]["resumed_step"]), 0)
        self.cloud.wait_for("no VM left", lambda: not self.cloud.live_vms(), 120)
        self.cloud.wait_for("the log knows", lambda: self.cloud.json("report", "last")["is_final"], 120)
        self.assertEqual(self.cloud.bill()["vm_usd_micros"],
                         round(self.cloud.json("report", "last")["vm_usd"] * 1e6))

    def test_a_damaged_part_of_one_rank_takes_all_ranks_back_to_the_checkpoint_before(self):
        self.ring(200, store=os.path.join(self.cloud.root, "bucket"), hold=120)
        vms = [self.cloud.vm_of(vm) for vm in self.leased()]
        self.cloud.wait_event("checkpoint_committed", 2)
        pids = [harness.descendants(vm["supervisor"]) for vm in vms]
        for pid in pids[0] + pids[1] + pids[2]:  # nothing moves while it is damaged
            os.kill(pid, signal.SIGSTOP)
        shown = self.cloud.json("checkpoint", "show", "last/train", "--chunks")["manifest"]
        state = next(f for f in shown["files"] if re.match("ranks/2/run-.*state", f["path"]))
        pack = shown["packs"][state["chunks"][0]["pack"]]["sha256"]
        with open(glob.glob(os.path.join(self.cloud.root, "bucket", "bags", "*", "jobs", "*", "packs", pack))[0],
                  "r+b") as f:
            f.truncate(30)
        self.cloud.revoke(vms[1]["instance"])
        self.cloud.wait_for("one VM is gone", lambda: vms[1]["instance"] not in [
            v["instance"] for v in self.cloud.live_vms()])
        for pid in pids[0] + pids[2]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        second = self.cloud.wait_event("attempt_started", 2)[1]
        self.assertRegex(second["note"], "damaged .rank 2.*resumed from")
        self.assertLess(int(second["resumed_step"]), int(shown["step"]))
        self.ring_ends(200)
        self.assertEqual(["lost", "done"], [e["outcome"] for e in self.ended(2)])


if __name__ == "__main__":
    unittest.main()
