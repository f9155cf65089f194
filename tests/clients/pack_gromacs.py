#!/usr/bin/python3
"""GROMACS reads what ebb unpack wrote: a short run of water, packed without loss and within a bound.

    pack_gromacs.py EBB
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

MDP = """integrator = md
dt = 0.002
nsteps = 200
nstxout = 10
nstvout = 20
nstxout-compressed = 10
nstlog = 200
rcoulomb = 0.7
rvdw = 0.7
coulombtype = PME
constraints = all-bonds
gen-vel = yes
gen-seed = 5
gen-temp = 300
"""


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(77)


def gmx(*words, stdin=""):
    done = subprocess.run(["gmx", "-quiet", "-nobackup", *words], input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"gmx {words[0]} failed:\n{done.stdout[-2000:]}")
    return done.stdout


def ebb(*words, status=0):
    done = subprocess.run([EBB, *words], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == status, f"ebb {' '.join(words)}: {done.returncode}\n{done.stdout}"
    return done.stdout


def make_run():
    gmx("solvate", "-cs", "spc216.gro", "-box", "1.9", "1.9", "1.9", "-o", "start.gro")
    with open("start.gro") as f:
        waters = int(f.read().splitlines()[1]) // 3
    with open("topol.top", "w") as f:
        f.write('#include "oplsaa.ff/forcefield.itp"\n#include "oplsaa.ff/spce.itp"\n'
                f"[ system ]\nwater\n[ molecules ]\nSOL {waters}\n")
    with open("md.mdp", "w") as f:
        f.write(MDP)
    gmx("grompp", "-f", "md.mdp", "-c", "start.gro", "-p", "topol.top", "-o", "md.tpr",
        "-maxwarn", "3")
    gmx("mdrun", "-deffnm", "md", "-nt", "1")


def same(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        return x.read() == y.read()


def frames(path):
    """What gmx check counts, by item."""
    text = gmx("check", "-f", path)
    return dict(re.findall(r"^(Step|Time|Coords|Velocities|Box)\s+(\d+)", text, re.M))


def worst_rmsd(tpr, trajectory, out):
    gmx("rms", "-s", tpr, "-f", trajectory, "-fit", "none", "-o", out, stdin="System\nSystem\n")
    with open(out) as f:
        return [float(line.split()[1]) for line in f if line[0] not in "#@"]


def main():
    make_run()
    files = ["md.xtc", "md.trr", "md.cpt", "md.gro", "md.edr", "md.tpr"]
    ebb("pack", *files, "-o", "all.ebbp")
    ebb("pack", "--verify", "all.ebbp")
    ebb("unpack", "all.ebbp", "-o", "back")
    for name in files:
        assert same(name, f"back/{name}"), f"{name} differs"

    # Within a bound: the same frames, steps, times, boxes; the distances stay what they were.
    ebb("pack", "md.xtc", "md.trr", "-o", "coarse.ebbp", "--error", "0.002nm")
    ebb("unpack", "coarse.ebbp", "-o", "coarse")
    for name in ["md.xtc", "md.trr"]:
        assert not same(name, f"coarse/{name}")
        counts = frames(name)
        assert counts == frames(f"coarse/{name}") and int(counts["Step"]) == 21, counts
        before = worst_rmsd("md.tpr", name, "before.xvg")
        after = worst_rmsd("md.tpr", f"coarse/{name}", "after.xvg")
        assert len(before) == len(after) == 21
        assert max(abs(a - b) for a, b in zip(before, after)) < 0.002, "gmx rms differs"
    # GROMACS's own comparison, which tells every difference above its tolerance.
    report = gmx("check", "-f", "md.trr", "-f2", "coarse/md.trr", "-tol", "0")
    assert "Both files read correctly" in report
    pairs = re.findall(r"^([a-z]+)\s*\[\s*\d+\] \((.*?)\) - \((.*?)\)$", report, re.M)
    assert pairs and {what for what, _, _ in pairs} == {"x"}, "more than positions differs"
    worst = max(abs(float(a) - float(b)) for _, x, y in pairs for a, b in zip(x.split(), y.split()))
    assert worst <= 0.002 + 1e-5, worst
    assert ebb("pack", "md.cpt", "-o", "no.ebbp", "--error", "0.002nm", status=2).find("restart")
    print("GROMACS reads what was unpacked")


if shutil.which("gmx") is None:
    skip("no gmx")
EBB = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main()
    os.chdir("/")
