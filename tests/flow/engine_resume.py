#!/usr/bin/env python3
"""Holds a profile's claims against the real engine: runs a job of examples/demo uninterrupted, and
again killed and stopped in the middle, restored each time into another directory by the profile's
own rules (state files, tails, cuts, resume command); the outputs must be equal byte for byte.

It knows nothing of the agent: what it proves is that a profile is right.

    engine_resume.py gromacs|lammps|pytorch [--keep DIR] [--seed N]
Exit status 77: the engine is not installed."""

import argparse
import fnmatch
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

try:
    import yaml
except ImportError:
    print("SKIP: no python3-yaml")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = os.path.join(ROOT, "examples", "demo")
SKIPPED = 77

# Group of the demo's bag, its parameters, and what makes the job short.
JOBS = {
    "gromacs": ("nvt", {"temperature": "300", "seed": "1"}, [("nvt.mdp", r"= 14000", "= 6000")]),
    "lammps": ("lj", {"density": "0.82"}, [("in.lj", r"14000", "6000")]),
    "pytorch": ("train", {}, []),
}
EXECUTABLE = {"gromacs": "gmx", "lammps": "lmp", "pytorch": "python3"}


class Failed(Exception):
    pass


def environment(profile):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GMX", "OMP", "PYENV"))}
    env["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    env.update(profile.get("environment") or {})
    return {name: value for name, value in env.items() if value != ""}  # empty: not set


def matches(name, globs):
    return any(fnmatch.fnmatchcase(name, g) for g in globs or [])


class Job:
    def __init__(self, engine, scratch):
        self.engine, self.scratch = engine, scratch
        with open(os.path.join(ROOT, "agent", "profiles", engine + ".yaml")) as text:
            self.profile = yaml.safe_load(text)
        with open(os.path.join(DEMO, "bag.yaml")) as text:
            bag = yaml.safe_load(text)
        name, self.parameters, self.changes = JOBS[engine]
        self.group = next(g for g in bag["jobs"] if g["name"] == name)
        self.env = environment(self.profile)
        self.attempt = 0

    def fill(self, text, **more):
        values = {**self.parameters, "checkpoint_minutes": "0.004", "cpus": "1", **more}
        return re.sub(r"\$\{(\w+)\}", lambda m: values.get(m[1], m[0]), text)

    def directory(self):
        self.attempt += 1
        path = os.path.join(self.scratch, f"attempt-{self.attempt}")
        os.mkdir(path)
        return path

    def shell(self, command, cwd):
        done = subprocess.run(["bash", "-ec", command], cwd=cwd, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)  # fmt: skip
        if done.returncode != 0:
            raise Failed(f"{command}\n{done.stdout[-3000:]}")
        return done.stdout

    def prepare(self):
        """A directory with the inputs and what the setup makes of them."""
        path = os.path.join(self.scratch, "prepared")
        os.mkdir(path)
        for item in self.group["inputs"]:
            if not isinstance(item, str):
                continue
            with open(os.path.join(DEMO, item)) as source:
                text = source.read()
            if item.endswith(".in"):
                item, text = item[:-3], self.fill(text)
            for name, old, new in self.changes:
                if name == item:
                    text, count = re.subn(old, new, text)
                    if count != 1:
                        raise Failed(f"{name}: '{old}' stands there {count} times")
            with open(os.path.join(path, item), "w") as out:
                out.write(text)
        if self.engine == "pytorch":  # a stand-in for the trajectories
            self.shell("python3 -c 'import torch as t; t.manual_seed(5); x = t.rand(250, 120); "
                       "t.save({\"x\": x, \"y\": x.square().sum(1)}, \"features.pt\")'", path)  # fmt: skip
        elif self.group.get("setup"):
            self.shell(self.fill(self.group["setup"]), path)
        self.prepared = path

    def start(self, path, state=None):
        template = self.profile["start" if state is None else "resume"]
        command = self.fill(template.replace("${command}", self.group["command"]), state=state or "")
        log = open(os.path.join(path, ".log"), "wb")
        process = subprocess.Popen(["bash", "-c", "exec " + command], cwd=path, env=self.env,
                                   stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        log.close()
        return process

    def log(self, path):
        with open(os.path.join(path, ".log"), errors="replace") as text:
            return text.read()

    def valid(self, path, name):
        rules = self.profile["state"]
        tail = bytes.fromhex(str(rules.get("tail") or ""))
        try:
            with open(os.path.join(path, name), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        if len(data) < rules.get("min_bytes", 0) or not data.endswith(tail):
            return None
        return data

    def newest_state(self, path):
        """(name, bytes, order) of the newest whole state file, or None."""
        rules, best = self.profile["state"], None
        for name in os.listdir(path):
            if not matches(name, rules["files"]) or matches(name, rules.get("exclude")):
                continue
            data = self.valid(path, name)
            if data is None:
                continue
            step = re.search(rules.get("step_pattern") or "$^", name)
            order = int(step[1]) if step else os.stat(os.path.join(path, name)).st_mtime_ns
            if best is None or order > best[2]:
                best = (name, data, order)
        return best

    def commit(self, path, to):
        """What an agent does beside the running engine: state first, then what grows."""
        name, data, order = self.newest_state(path)
        with open(os.path.join(to, name), "wb") as out:
            out.write(data)
        rules = self.profile["state"]["files"]
        for other in sorted(os.listdir(path)):
            if other == ".log" or matches(other, rules) or matches(other, self.profile["ignore"]):
                continue
            try:
                shutil.copyfile(os.path.join(path, other), os.path.join(to, other))
            except FileNotFoundError:
                pass  # a temporary name that was renamed meanwhile
        return name, order

    def cut(self, path, state, step, rng):
        """The profile's rules for files that grew past the state."""
        for rule in self.profile.get("append") or []:
            for name in os.listdir(path):
                if not fnmatch.fnmatchcase(name, rule["glob"]):
                    continue
                file = os.path.join(path, name)
                if rule["cut"] == "engine":
                    floor = self.engine_offset(path, state, name)
                    if floor is None:
                        continue
                    # Any length from the engine's own on must do.
                    size = os.path.getsize(file)
                    if size < floor:
                        raise Failed(f"{name} has {size} bytes, {state} counts on {floor}")
                    os.truncate(file, rng.choice([floor, size, rng.randint(floor, size)]))
                elif rule["cut"] == "marker":
                    before, after = (re.escape(s.encode()) for s in rule["marker"].split("${step}"))
                    with open(file, "rb") as text:
                        data = text.read()
                    for m in re.finditer(b"^" + before + rb"(\d+)" + after, data, re.M):
                        if int(m[1]) >= step:
                            os.truncate(file, m.start())
                            break

    def engine_offset(self, path, state, name):
        text = self.shell(f"gmx -quiet dump -cp {state}", path)
        found = re.search(r"output filename = " + re.escape(name) +
                          r"\s+file_offset_high = (\d+)\s+file_offset_low = (\d+)", text)  # fmt: skip
        return int(found[1]) << 32 | int(found[2]) if found else None

    def wait_state(self, path, process, after, limit_s=60):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if process.poll() is not None:
                raise Failed(f"ended ({process.returncode}) before it was interrupted\n"
                             + self.log(path)[-3000:])  # fmt: skip
            state = self.newest_state(path)
            if state is not None and state[2] > after:
                return
            time.sleep(0.01)
        raise Failed(f"no new state file within {limit_s} s")

    def finish(self, path, process):
        status = process.wait(timeout=300)
        if status != 0:
            raise Failed(f"exit status {status}\n" + self.log(path)[-3000:])
        done = self.profile.get("done") or {}
        if done.get("log_pattern") and not re.search(done["log_pattern"], self.log(path)):
            raise Failed(f"the log lacks '{done['log_pattern']}'")
        if done.get("all_steps"):
            step, total = self.progress(path)
            if step is None or step != total:
                raise Failed(f"progress says step {step} of {total}")

    def progress(self, path):
        rules = self.profile["progress"]

        def last(glob, pattern):
            names = [n for n in os.listdir(path) if fnmatch.fnmatchcase(n, glob)]
            names = [".log"] if glob == "stdout" else names
            newest = max(names, key=lambda n: os.stat(os.path.join(path, n)).st_mtime_ns)
            with open(os.path.join(path, newest), errors="replace") as text:
                found = re.findall(pattern, text.read(), re.M)
            return int(found[-1] if isinstance(found[-1], str) else found[-1][0]) if found else None

        return last(rules["file"], rules["pattern"]), last(rules["total_file"], rules["total_pattern"])

    def stop(self, path, process, how):
        began = time.monotonic()
        os.killpg(process.pid, how)
        status = process.wait(timeout=60)
        took_ms = 1000 * (time.monotonic() - began)
        size = lambda: sum(e.stat().st_size for e in os.scandir(path))  # noqa: E731
        print(f"  {how.name}: ended in {took_ms:.0f} ms with {status}, {size()} bytes on disk")
        return status

    def interrupted(self, how_list, rng):
        path = self.directory()
        shutil.copytree(self.prepared, path, dirs_exist_ok=True)
        process, order = self.start(path), -1
        for how in how_list:
            self.wait_state(path, process, order)
            time.sleep(rng.uniform(0.05, 0.5))
            to = self.directory()
            if how == signal.SIGKILL:  # what was committed beside the running engine survives
                state, order = self.commit(path, to)
                time.sleep(rng.uniform(0, 0.2))
                self.stop(path, process, how)
            else:
                status = self.stop(path, process, how)
                if status == 0:
                    raise Failed(f"{how.name} ended the job with success")
                self.check_preempted(path, status)
                state, order = self.commit(path, to)
            self.cut(to, state, order, rng)
            path = to
            print(f"  resumes from {state}")
            process = self.start(path, state)
            written = self.newest_state(path)
            order = max(order, written[2]) if written else order
        self.finish(path, process)
        return path

    def check_preempted(self, path, status):
        code = 128 - status if status < 0 else status
        for rule in self.profile["exit"]:
            if rule.get("codes") and code not in rule["codes"]:
                continue
            if rule.get("pattern") and not re.search(rule["pattern"], self.log(path)):
                continue
            if rule["kind"] == "preempted":
                return
            raise Failed(f"a stop counts as '{rule['kind']}' by {rule}")
        raise Failed(f"no exit rule fits the stop (code {code})")

    def check_torn(self, path):
        """A state file that lacks its last byte is not taken for one."""
        if not self.profile["state"].get("tail"):
            return
        name = self.newest_state(path)[0]
        torn = os.path.join(self.directory(), name)
        shutil.copyfile(os.path.join(path, name), torn)
        os.truncate(torn, os.path.getsize(torn) - 1)
        if self.valid(os.path.dirname(torn), name) is not None:
            raise Failed(f"{name} without its last byte counts as whole")

    def compare(self, a, b):
        different = []
        for pattern in self.group["outputs"]:
            if matches(pattern, self.profile.get("nondeterministic")):
                continue
            for name in fnmatch.filter(os.listdir(a), pattern):
                with open(os.path.join(a, name), "rb") as x, open(os.path.join(b, name), "rb") as y:
                    same = x.read() == y.read()
                print(f"  {name}: {'equal' if same else 'DIFFERENT'}")
                if not same:
                    different.append(name)
        if different:
            raise Failed("not equal to the uninterrupted run: " + ", ".join(different))


def gromacs_starts_over(job):
    """The trap the agent guards against: a resume without its checkpoint succeeds from step 0."""
    path = job.directory()
    for name in ("nvt.tpr", "topol.top"):
        shutil.copy(os.path.join(job.prepared, name), path)
    out = job.shell("gmx mdrun -deffnm nvt -ntmpi 1 -ntomp 1 -nsteps 20 -cpi nvt.cpt 2>&1", path)
    if "starting mdrun" not in out:
        raise Failed("mdrun refuses a missing checkpoint; the profile's comment is wrong\n" + out)
    print("  a missing checkpoint: mdrun starts from step 0 with exit status 0")


def installed(job):
    program = shutil.which(EXECUTABLE[job.engine], path=job.env["PATH"])
    if program is None:
        return False
    if job.engine != "pytorch":
        return True
    return subprocess.run([program, "-c", "import torch"], env=job.env, check=False,
                          stderr=subprocess.DEVNULL).returncode == 0  # fmt: skip


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("engine", choices=JOBS)
    options.add_argument("--keep", help="work in this new directory and leave it")
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()

    scratch = args.keep or tempfile.mkdtemp(prefix=f"ebb-{args.engine}-")
    if args.keep:
        os.makedirs(scratch)
    job = Job(args.engine, scratch)
    if not installed(job):
        print(f"SKIP: {EXECUTABLE[args.engine]} ({args.engine}) is not installed")
        shutil.rmtree(scratch, ignore_errors=True)
        return SKIPPED
    try:
        print(job.engine + ": " + job.shell(job.profile["version_command"], "/").strip())
        job.prepare()
        reference = job.directory()
        shutil.copytree(job.prepared, reference, dirs_exist_ok=True)
        began = time.monotonic()
        job.finish(reference, job.start(reference))
        print(f"  uninterrupted: {time.monotonic() - began:.1f} s")
        stops = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL]
        result = job.interrupted(stops, random.Random(args.seed))
        job.compare(reference, result)
        job.check_torn(reference)
        if args.engine == "gromacs":
            gromacs_starts_over(job)
    except Failed as why:
        print(f"FAILED: {why}\nscratch: {scratch}")
        return 1
    if not args.keep:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
