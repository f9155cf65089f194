"""A small engine with every habit that matters: a state file renamed into place, an append-only
trajectory, a clean stop at SIGTERM, deterministic results. Each step extends a hash chain, so that
a step lost or done twice changes the result. It keeps time: what a busy machine makes it late is
caught up, so that it takes as long as its steps say."""
import argparse
import hashlib
import os
import signal
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--every", type=int, default=10, help="steps between state files")
parser.add_argument("--sleep", type=float, default=0.02, help="seconds a step takes")
parser.add_argument("--seed", default="0")
parser.add_argument("--pad", type=int, default=0, help="extra bytes in the state file")
parser.add_argument("--fail-at", type=int, default=-1)
parser.add_argument("--hold", help="the last step is not made before this file exists")
parser.add_argument("--hold-at", type=int, default=0, help="and those from this one on take ten times as long")
parser.add_argument("--resume")
options = parser.parse_args()

stopping = False


def on_term(signo, frame):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, on_term)

step, chain = 0, hashlib.sha256(options.seed.encode()).hexdigest()
if options.resume:
    with open(options.resume) as f:
        fields = f.readline().split()
    step, chain = int(fields[0]), fields[1]
    with open("run.traj", "r+") as f:  # what was written past the state goes
        lines = f.read().splitlines(keepends=True)
        if len(lines) < step:
            sys.exit(f"the trajectory ends at step {len(lines)}, the state is of step {step}")
        f.seek(0)
        f.truncate()
        f.writelines(lines[:step])
elif os.path.exists("run.traj"):
    sys.exit("a fresh start in a used directory")
trajectory = open("run.traj", "a")


def save():
    trajectory.flush()
    with open("run.state.tmp", "w") as f:
        f.write(f"{step} {chain}\n")
        if options.pad:
            import random
            f.write(random.Random(step).randbytes(options.pad // 2).hex())
            f.write("\n")
        f.flush()
        os.fsync(f.fileno())
    os.rename("run.state.tmp", "run.state")


def held():
    return options.hold and not stopping and not os.path.exists(options.hold)


def started():
    """When this process was, by the clock that CLOCK_BOOTTIME tells."""
    with open("/proc/self/stat") as f:
        return int(f.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


due = started()


while step < options.steps:
    while step + 1 == options.steps and held():
        time.sleep(options.sleep)
    if step == options.fail_at:
        print("boom: the integrator exploded", file=sys.stderr)
        sys.exit(3)
    step += 1
    chain = hashlib.sha256(f"{chain} {step}".encode()).hexdigest()
    trajectory.write(f"{step} {chain[:16]}\n")
    if step % options.every == 0:
        save()
        print(f"step {step} of {options.steps}", flush=True)
    if stopping:
        save()
        print(f"stopped at step {step}", flush=True)
        sys.exit(143)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    due = max(due, now - 3) + options.sleep * (10 if step >= options.hold_at and held() else 1)
    time.sleep(max(0, due - now))
trajectory.close()
with open("result.txt", "w") as f:
    f.write(chain + "\n")
print("finished", flush=True)
