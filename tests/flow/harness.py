"""What the flow tests share: an emulated cloud and a scheduler in a folder of their own, started by
`ebb submit` as a user would, watched through the command line's --json and the emulator's own
pages, and ended by pid."""
import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
EBB = os.environ.get("EBB_PROGRAM", os.path.join(SOURCE, "build", "ebb"))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"

FLEET = """
region: us-east-1
seed: 7
zones:
  - {name: us-east-1a, capacity: 8}
  - {name: us-east-1b, capacity: 8}
  - {name: us-east-1c, capacity: 8}
types:
  - name: c5.large
    vcpus: 2
    memory: 4 GiB
    on_demand: 0.085
    spot: {us-east-1a: 0.030, us-east-1b: 0.034, us-east-1c: 0.038}
boot: 0.2s
"""

GO = "@GO@"  # in a bag: the file that Cloud.go() makes
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "LeakSanitizer", "runtime error:")


def counter_bag(jobs=2, steps=150, sleep=0.02, every=10, extra="", group_extra="", setup=None, name="flow", hold=None):
    """With `hold` the jobs do not end before Cloud.go(), and work slowly from that step on: what a test does
    to a running job it does in time on any machine."""
    held = f" --hold {GO} --hold-at {hold}" if hold else ""
    return f"""
name: {name}
{extra}
jobs:
  - name: count
    engine: counter
    sweep: {{seed: {{from: 1, to: {jobs}}}}}
    resources: {{cpus: 1, memory: 64 MiB, time: {max(1, int(steps * sleep))}s}}
    inputs: [counter.py]
    {'setup: ' + setup if setup else ''}
    command: {PYTHON} counter.py --steps {steps} --sleep {sleep} --every {every} --seed ${{seed}}{held}
    outputs: [result.txt, run.traj]
    checkpoint_interval: 1s
    {group_extra}
"""


def expected_chain(seed, steps):
    import hashlib

    chain = hashlib.sha256(str(seed).encode()).hexdigest()
    lines = []
    for step in range(1, steps + 1):
        chain = hashlib.sha256(f"{chain} {step}".encode()).hexdigest()
        lines.append(f"{step} {chain[:16]}\n")
    return chain + "\n", "".join(lines)


class Cloud:
    """One user's world in a temporary folder."""

    def __init__(self, fleet=FLEET, environment=None):
        self.root = tempfile.mkdtemp(prefix="ebb-flow-")
        self.state = os.path.join(self.root, "state")
        self.work = os.path.join(self.root, "work")
        os.makedirs(self.work)
        os.makedirs(os.path.join(self.work, "profiles"))
        shutil.copy(os.path.join(HERE, "engines", "counter.py"), self.work)
        shutil.copy(os.path.join(HERE, "engines", "counter.yaml"), os.path.join(self.work, "profiles"))
        self.write("fleet.yaml", fleet)
        keep = ("PATH", "HOME", "LANG", "TMPDIR", "USER", "ASAN_OPTIONS", "UBSAN_OPTIONS")
        self.environment = {k: v for k, v in os.environ.items() if k in keep}
        self.environment["EBB_STATE_DIR"] = self.state
        self.environment["EBB_LOG"] = "debug"
        self.environment.update(environment or {})
        self.pids = []

    def write(self, name, text):
        with open(os.path.join(self.work, name), "w") as f:
            f.write(text)

    def ebb(self, *args, check=True, timeout=120, environment=None):
        done = subprocess.run(
            [EBB, *args], cwd=self.work, env={**self.environment, **(environment or {})}, timeout=timeout,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and done.returncode != 0:
            raise AssertionError(
                f"ebb {' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.diagnosis()}")
        return done

    def json(self, *args, **kw):
        return json.loads(self.ebb(*args, "--json", **kw).stdout)

    def submit(self, bag, *args, **kw):
        self.write("bag.yaml", bag.replace(GO, os.path.join(self.root, "go")))
        return self.ebb("submit", "bag.yaml", "--fleet", "fleet.yaml", "--yes", *args, **kw)

    def go(self):
        """Jobs that were held may end."""
        with open(os.path.join(self.root, "go"), "w"):
            pass

    def events(self):
        out = self.ebb("events", "--json").stdout
        return [json.loads(line) for line in out.splitlines() if line.strip()]

    def kinds(self):
        return [e["kind"] for e in self.events()]

    def wait_for(self, what, predicate, seconds=120, every=0.2):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = predicate()
            if value:
                return value
            time.sleep(every)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.diagnosis()}")

    def wait_event(self, kind, count=1, seconds=120, where=lambda e: True):
        def found():
            hits = [e for e in self.events() if e["kind"] == kind and where(e)]
            return hits if len(hits) >= count else None
        return self.wait_for(f"{count} {kind}", found, seconds)

    # The emulator's own pages.
    def endpoint(self):
        with open(os.path.join(self.state, "emulator", "endpoint")) as f:
            return f.read().strip()

    def page(self, path, method="GET"):
        request = urllib.request.Request(self.endpoint() + path, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return json.loads(answer.read() or b"{}")

    def vms(self):
        return self.page("/_ebb/vms")["vms"]

    def live_vms(self):
        return [v for v in self.vms() if v["state"] in ("pending", "running", "shutting-down")]

    def vm_of(self, name):
        """The emulator's view of a VM of ours ("vm-000001")."""
        instance = next(e["instance"] for e in self.events() if e["kind"] == "vm_launched" and e["vm"] == name)
        return next(v for v in self.vms() if v["instance"] == instance)

    def revoke(self, instance, notice="none"):
        return self.page(f"/_ebb/revoke?instance={instance}&notice={notice}", "POST")

    def fault(self, **parameters):
        return self.page("/_ebb/fault?" + "&".join(f"{k.rstrip('_')}={v}" for k, v in parameters.items()), "POST")

    def bill(self):
        return self.page("/_ebb/bill")

    # Processes, by the pid each wrote or printed; never by name.
    def scheduler_pid(self):
        try:
            with open(os.path.join(self.state, "scheduler.pid")) as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def emulator_pid(self):
        try:
            with open(os.path.join(self.state, "emulator", "pid")) as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def kill_scheduler(self):
        pid = self.scheduler_pid()
        os.kill(pid, signal.SIGKILL)
        self.wait_for("scheduler gone", lambda: not alive(pid), 10)

    def results(self, steps, seeds, name="flow"):
        """Fetches and compares every result with what an uninterrupted run gives."""
        out = os.path.join(self.root, "out")
        shutil.rmtree(out, ignore_errors=True)
        self.ebb("fetch", "last", out)
        for seed in seeds:
            chain, trajectory = expected_chain(seed, steps)
            with open(os.path.join(out, f"count,seed={seed}", "result.txt")) as f:
                if f.read() != chain:
                    raise AssertionError(f"seed {seed}: another result")
            with open(os.path.join(out, f"count,seed={seed}", "run.traj")) as f:
                if f.read() != trajectory:
                    raise AssertionError(f"seed {seed}: another trajectory")

    def diagnosis(self):
        parts = []
        for path in sorted(glob.glob(os.path.join(self.state, "*.log")) +
                           glob.glob(os.path.join(self.state, "emulator", "*.log")) +
                           glob.glob(os.path.join(self.state, "emulator", "vms", "*", "console.log"))):
            with contextlib.suppress(OSError):
                with open(path, errors="replace") as f:
                    text = f.read()
                parts.append(f"--- {os.path.relpath(path, self.state)}\n{text[-6000:]}")
        return "\n".join(parts)

    def close(self):
        with contextlib.suppress(Exception):
            self.ebb("stop", "--force", check=False, timeout=30)
        for pid in (self.scheduler_pid(), self.emulator_pid()):
            if pid and alive(pid) and belongs(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                end = time.monotonic() + 5
                while alive(pid) and time.monotonic() < end:
                    time.sleep(0.05)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        reports = self.sanitizer_reports()
        if not os.environ.get("EBB_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)
        if reports:
            raise AssertionError("a sanitizer found something:\n" + "\n".join(reports))

    def sanitizer_reports(self):
        """What daemons built with sanitizers wrote into their logs, each from its first line on."""
        reports = []
        for path in sorted(glob.glob(os.path.join(self.state, "**", "*.log"), recursive=True)):
            with open(path, errors="replace") as f:
                text = f.read()
            places = [p for p in map(text.find, SANITIZER_MARKS) if p >= 0]
            if places:
                begin = text.rfind("\n", 0, min(places)) + 1
                reports.append(f"--- {os.path.relpath(path, self.state)}\n{text[begin:begin + 8000]}")
        return reports


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def belongs(pid):
    """The pid is still one of our programs, not another that got its number."""
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("ebb")
    return False


def descendants(pid):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        p = queue.pop()
        found.append(p)
        queue += children.get(p, [])
    return found


class FlowTest(unittest.TestCase):
    fleet = FLEET
    environment = None

    def setUp(self):
        self.cloud = Cloud(self.fleet, self.environment)
        self.addCleanup(self.cloud.close)
        self.addCleanup(self.tell_of_failure)

    def run(self, result=None):
        self.result = result
        return super().run(result)

    def tell_of_failure(self):
        """What is chance to a test leaves no trace but this."""
        faults = self.result.failures + self.result.errors
        if not any(test is self for test, _ in faults):
            return
        with contextlib.suppress(Exception):
            for line in self.cloud.ebb("events", check=False, timeout=30).stdout.splitlines()[-120:]:
                print(line[:300], file=sys.stderr)
        print(self.cloud.diagnosis(), file=sys.stderr)
