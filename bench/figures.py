"""What the benches share: the flow tests' world (a cloud and a scheduler in a folder of their own),
the GROMACS job of the demo, and how a figure is printed."""
import json
import os
import platform
import re
import shutil
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
DEMO = os.path.join(SOURCE, "examples", "demo")
sys.path.insert(0, os.path.join(SOURCE, "tests", "flow"))

import harness  # noqa: E402  (needs the path above)


def need(ok, what):
    """A bench without what it needs says so and is done: that is no failure."""
    if not ok:
        print(f"not measured: {what}")
        sys.exit(0)


def need_ebb():
    need(os.access(harness.EBB, os.X_OK), f"no program {harness.EBB}: build it, or set EBB_PROGRAM")


def need_gromacs():
    need(shutil.which("gmx"), "no gmx in the path (Debian: gromacs)")


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                 platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "load_1m": round(os.getloadavg()[0], 2)}


def spread(values):
    values = sorted(values)
    return {"median": round(statistics.median(values), 4), "least": round(values[0], 4),
            "most": round(values[-1], 4), "count": len(values)}


def print_json(bench, figures):
    print(json.dumps({"schema": f"ebb.bench.{bench}.v1", "machine": machine(), **figures}))


def gromacs_files(steps, temperature=300, seed=1):
    """The demo's water box: name -> text, with the parameters filled in."""
    files = {}
    for name in ("topol.top", "em.mdp", "nvt.mdp.in"):
        with open(os.path.join(DEMO, name)) as f:
            files[name] = f.read()
    text = files.pop("nvt.mdp.in").replace("${temperature}", str(temperature)).replace("${seed}", str(seed))
    files["nvt.mdp"] = re.sub(r"(?m)^nsteps\b.*$", f"nsteps = {steps}", text)
    return files


GROMACS_SETUP = """set -e
gmx solvate -cs spc216.gro -box 1.86206 1.86206 1.86206 -p topol.top -o box.gro
gmx grompp -f em.mdp -c box.gro -p topol.top -o em.tpr -po em.out.mdp
gmx mdrun -deffnm em -ntmpi 1 -ntomp 1 -reprod
gmx grompp -f nvt.mdp -c em.gro -p topol.top -o nvt.tpr -po nvt.out.mdp
"""


def gromacs_bag(inputs, command, setup, interval_s, time_s=30):
    indented = "".join(f"      {line}\n" for line in (setup or "").splitlines())
    return f"""
name: bench
jobs:
  - name: nvt
    engine: gromacs
    resources: {{cpus: 1, memory: 512 MiB, time: {time_s}s}}
    inputs: [{', '.join(inputs)}]
{'    setup: |' + chr(10) + indented if setup else ''}    command: {command}
    outputs: [nvt.xtc, nvt.edr, nvt.gro, nvt.log]
    checkpoint_interval: {interval_s}s
"""
