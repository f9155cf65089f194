#!/usr/bin/env python3
"""Weights some steps of training on, packed over those before, are read by the independent reader
(packed_tensors.py) as by ebb: more than one chunk of symbols, elements far from what is expected,
numbers that are none, decay with and without a product.

    check_steps.py EBB"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

EBB = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = {"F32": ("f", 4), "F16": ("e", 2), "BF16": ("H", 2)}
SHAPES = {"long": ("F32", 260, 256), "half": ("F16", 40, 128), "brain": ("BF16", 30, 150)}


def encode(kind, values):
    code, _ = KINDS[kind]
    if kind == "BF16":
        values = [struct.unpack("<I", struct.pack("<f", x))[0] >> 16 for x in values]
    return struct.pack(f"<{len(values)}{code}", *values)


def strange(values, rng):
    """Some elements that no model foretells."""
    for x in [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1e-7, -1e-7, 3e4, -3e4] * 2:
        values[rng.randrange(len(values))] = x
    return values


def write(path, step):
    head, data = {}, b""
    for name, (kind, rows, columns) in SHAPES.items():
        start, noise = random.Random(name), random.Random(f"{name} {step}")
        u = [start.gauss(0, 1e-3) for _ in range(rows)]
        v = [start.gauss(0, 1) for _ in range(columns)]
        values = [start.gauss(0, 0.02) * (1 - 1e-3 * step) + step * u[i] * v[j]
                  + 1e-5 * step * noise.gauss(0, 1) for i in range(rows) for j in range(columns)]
        here = encode(kind, strange(values, noise))
        head[name] = {"dtype": kind, "shape": [rows, columns],
                      "data_offsets": [len(data), len(data) + len(here)]}
        data += here
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, step, base in [("old", 0, []), ("new", 5, ["--base", "old.ebbp"])]:
            os.mkdir(name)
            write(f"{name}/w.safetensors", step)
            subprocess.run([EBB, "pack", f"{name}/w.safetensors", "-o", f"{name}.ebbp", *base],
                           check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run([sys.executable, os.path.join(HERE, "read_packed.py"), "new.ebbp",
                               "--tensors"], text=True, stdout=subprocess.PIPE)
        if done.returncode == 77:
            print(done.stdout, end="")
            sys.exit(77)
        methods = done.stdout.splitlines()[-1]
        if done.returncode != 0 or "4:3" not in methods:
            sys.exit(f"FAIL: the independent reader: {methods}")
        print(f"read alike; {methods}")


main()
