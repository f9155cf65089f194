#!/usr/bin/python3
"""Writes a golden packed file of the present format (docs/format-codecs.md), for a new format
version; those committed are never rewritten.

    make_packed.py EBB tests/golden/packed-v1

With --over only over.ebbp is made, restart state over the frame of its step, and with --frames only
frames.ebbp, frames over those before; their lines are added to `expected`: they are younger than the
others.

Inputs are small and made here: text, noise, an XTC of water as GROMACS writes it (when gmx is there),
a NumPy array, safetensors and a checkpoint 10 steps on, packed as changes."""
import hashlib
import json
import math
import os
import random
import struct
import subprocess
import sys

EBB, OUT = os.path.abspath(sys.argv[1]), sys.argv[2]
rng = random.Random(4)


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def safetensors(path, step):
    weights = random.Random(9)
    f32 = [weights.gauss(0, 0.02) * (1 + 1e-4 * step * rng.gauss(0, 1)) for _ in range(32 * 16)]
    bits = [struct.unpack("<I", struct.pack("<f", x))[0] >> 16 for x in f32]
    data = struct.pack("<512f", *f32) + struct.pack("<512H", *bits)
    head = json.dumps({"w": {"dtype": "F32", "shape": [32, 16], "data_offsets": [0, 2048]},
                       "h": {"dtype": "BF16", "shape": [32, 16], "data_offsets": [2048, 3072]}})
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head.encode() + data)


def training(path, step):
    """A matrix that decays and moves along a row times a column; in fp32, bf16 and fp16."""
    start, rows, columns = random.Random(10), 48, 96
    u = [start.gauss(0, 1e-4) for _ in range(rows)]
    v = [start.gauss(0, 1) for _ in range(columns)]
    f32 = [start.gauss(0, 0.02) * (1 - 1e-4 * step) + step * u[i] * v[j]
           + 1e-6 * step * rng.gauss(0, 1) for i in range(rows) for j in range(columns)]
    bits = [struct.unpack("<I", struct.pack("<f", x))[0] >> 16 for x in f32]
    n, at, head = rows * columns, 0, {}
    for name, kind, size in [("w", "F32", 4), ("h", "BF16", 2), ("e", "F16", 2)]:
        head[name] = {"dtype": kind, "shape": [rows, columns], "data_offsets": [at, at + n * size]}
        at += n * size
    head = json.dumps(head)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head.encode() + struct.pack(f"<{n}f", *f32)
                + struct.pack(f"<{n}H", *bits) + struct.pack(f"<{n}e", *f32))


def trr(path, frames, atoms):
    place = [[rng.uniform(0, 2) for _ in range(3)] for _ in range(atoms)]
    with open(path, "wb") as f:
        for step in range(frames):
            f.write(struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file"))
            f.write(struct.pack(">13i", 0, 0, 36, 0, 0, 0, 0, 12 * atoms, 12 * atoms, 0, atoms,
                                10 * step, 0))
            f.write(struct.pack(">2f9f", 0.02 * step, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2))
            for p in place:
                f.write(struct.pack(">3f", *(x + 0.01 * math.sin(step + x) for x in p)))
            f.write(struct.pack(f">{3 * atoms}f", *(rng.gauss(0, 0.4) for _ in range(3 * atoms))))


def waters(path, count):
    """Rigid three-site waters in single precision: positions and velocities are packed together."""
    with open(path, "wb") as f:
        f.write(struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file"))
        f.write(struct.pack(">13i", 0, 0, 36, 0, 0, 0, 0, 36 * count, 36 * count, 0, 3 * count, 0, 0))
        f.write(struct.pack(">2f9f", 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2))
        for _ in range(count):
            o, turn, tilt = [rng.uniform(0, 2) for _ in range(3)], rng.uniform(0, 6), rng.uniform(0, 3)
            for angle, r in [(0, 0), (turn, 0.1), (turn + 1.91063, 0.1)]:
                y = r * math.sin(angle)
                f.write(struct.pack(">3f", o[0] + r * math.cos(angle), o[1] + y * math.cos(tilt),
                                    o[2] + y * math.sin(tilt)))
        f.write(struct.pack(f">{9 * count}f", *(rng.gauss(0, 0.4) for _ in range(9 * count))))


def npy(path):
    values = [math.sqrt(i) for i in range(600)]
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (100, 6), }".ljust(117) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + head.encode())
        f.write(struct.pack("<600d", *values))


def expect(names, mode):
    with open("expected", mode) as out:
        for name in names:
            run(EBB, "unpack", f"{name}.ebbp", "-o", f"back-{name}")
            for path in sorted(os.listdir(f"back-{name}")):
                with open(f"back-{name}/{path}", "rb") as f:
                    out.write(f"{hashlib.sha256(f.read()).hexdigest()}  {name}/{path}\n")
            subprocess.run(["rm", "-r", f"back-{name}"], check=True)


if "--over" in sys.argv:
    os.chdir(OUT)
    os.makedirs("in")
    os.chdir("in")
    waters("water.trr", 60)
    run("gmx", "-quiet", "-nobackup", "trjconv", "-f", "water.trr", "-o", "water.xtc")
    run(EBB, "pack", "water.trr", "water.xtc", "-o", "../over.ebbp")
    os.chdir("..")
    expect(["over"], "a")
    subprocess.run(["rm", "-r", "in"], check=True)
    sys.exit(0)
if "--frames" in sys.argv:
    os.chdir(OUT)
    trr("frames.trr", 5, 150)
    run(EBB, "pack", "frames.trr", "-o", "frames.ebbp")
    os.remove("frames.trr")
    expect(["frames"], "a")
    sys.exit(0)
os.makedirs(OUT)
os.chdir(OUT)
os.makedirs("in")
os.chdir("in")
with open("text", "w") as f:
    f.writelines(f"step {i} energy {rng.gauss(-100, 3):.4f}\n" for i in range(100))
with open("empty", "wb"):
    pass
with open("noise", "wb") as f:
    f.write(rng.randbytes(300))
npy("a.npy")
trr("a.trr", 4, 60)
waters("water.trr", 60)
run("gmx", "-quiet", "-nobackup", "trjconv", "-f", "a.trr", "-o", "a.xtc")
safetensors("w.safetensors", 0)
files = ["text", "empty", "noise", "a.npy", "a.trr", "water.trr", "a.xtc", "w.safetensors"]
run(EBB, "pack", *files, "-o", "../exact.ebbp")
run(EBB, "pack", "a.trr", "a.xtc", "-o", "../within.ebbp", "--error", "0.005nm", "--group", "3")
safetensors("w.safetensors", 10)
run(EBB, "pack", "w.safetensors", "-o", "../delta.ebbp", "--base", "../exact.ebbp")
training("steps.safetensors", 0)
run(EBB, "pack", "steps.safetensors", "-o", "../steps-base.ebbp")
training("steps.safetensors", 10)
run(EBB, "pack", "steps.safetensors", "-o", "../steps.ebbp", "--base", "../steps-base.ebbp")
os.chdir("..")
expect(["exact", "within", "delta", "steps-base", "steps"], "w")
subprocess.run(["rm", "-r", "in"], check=True)
