#!/usr/bin/python3
"""The codecs against what is installed, on inputs that bench/codecs_inputs.sh and
bench/codecs_train.py made; one table, and one JSON value on the last line.

    bench/codecs.py --data DIR [--tensors DIR] [--slow] [--zipnn PYTHON] [--mdz MDZ]

DIR holds lyso/, spce/, cu/, lj/ (what is missing is left out, and said); --tensors, DIR/gpt if not
given, holds step-*-{f32,bf16,adam}.safetensors. TNG is what `gmx trjconv` makes of the same frames.
--zipnn: a Python that has zipnn (pip install zipnn) and torch. --mdz: the program of tools/mdz in SZ3
(szcompressor/SZ3, -DBUILD_MDZ=ON); where its header takes no notice of what `sz->compress` returns,
`compressed_size = ` has to stand before each of those calls."""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.environ.get("EBB_BENCH_CODECS", os.path.join(HERE, "../build/bench/bench_codecs"))
PROTEIN_ATOMS = "1960"
ZIPNN = """
import sys, time, json, resource
from zipnn import ZipNN
data = bytearray(open(sys.argv[1], 'rb').read())
dtype = sys.argv[2]
def cpu(): return time.process_time()
z = ZipNN(bytearray_dtype=dtype, input_format='byte', threads=1)
runs = []
for _ in range(10):
    given = bytearray(data)
    t = cpu(); packed = z.compress(given); c = cpu() - t
    t = cpu(); back = z.decompress(packed); d = cpu() - t
    runs.append((c, d))
assert bytes(back) == bytes(data)
runs = runs[1:]  # the first finds its memory
c, d = sorted(r[0] for r in runs)[4], sorted(r[1] for r in runs)[4]
print(json.dumps({'ratio': len(data) / len(packed), 'pack_mb_s': len(data) / c / 1e6,
                  'unpack_mb_s': len(data) / d / 1e6}))
"""


def table(row):
    print(f"{row['set']:<12} {row['codec']:<20} {row['ratio']:7.3f} {row.get('pack_mb_s') or 0:8.0f}"
          f" {row.get('unpack_mb_s') or 0:8.0f}", flush=True)
    return row


def bench(kind, name, *words):
    done = subprocess.run([BENCH, kind, name, *words], text=True, stdout=subprocess.PIPE)
    if done.returncode != 0:
        print(f"{name}: left out", flush=True)
        return []
    return [table(row) for row in json.loads(done.stdout.splitlines()[-1])["rows"]]


def tng(trajectory, stride, atoms):
    """Bytes of the .tng that GROMACS makes of its own .xtc; its time is not the codec's alone."""
    if shutil.which("gmx") is None:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        out, index = os.path.join(folder, "x.tng"), os.path.join(folder, "x.ndx")
        words = ["gmx", "-quiet", "trjconv", "-f", trajectory[:-3] + "xtc", "-s",
                 trajectory[:-3] + "tpr", "-o", out, "-skip", str(stride)]
        if atoms is not None:
            with open(index, "w") as f:
                f.write("[ x ]\n" + " ".join(map(str, range(1, int(atoms) + 1))) + "\n")
            words += ["-n", index]
        done = subprocess.run(words, input="0\n", text=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        return os.path.getsize(out) if done.returncode == 0 else 0


def mdz(program, name, path, words):
    """All frames in one batch, axis by axis, within the same bound; its times by its own clock."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([BENCH, "trajectory", name, path, *words, "--axes", folder], text=True,
                              stdout=subprocess.PIPE)
        if done.returncode != 0:
            return []
        s = json.loads(done.stdout)
        size, seconds = 0.0, [0.0, 0.0]
        for axis in "xyz":
            said = subprocess.run(
                [program, os.path.join(folder, axis + ".f32"), "-2", str(s["frames"]), str(s["atoms"]), "-a",
                 str(s["error"]), str(s["frames"])], text=True, stdout=subprocess.PIPE).stdout
            found = re.search(r"ratio=([\d.]+)\nCompression time=([\d.]+)\nDecompression time=([\d.]+)", said)
            if found is None or float(found[1]) == 0:
                return []
            size += s["raw_bytes"] / 3 / float(found[1])
            seconds = [a + float(b) for a, b in zip(seconds, found.groups()[1:])]
        speeds = [s["raw_bytes"] / 1e6 / t if t > 0 else None for t in seconds]
        return [table({"set": name, "codec": "MDZ", "ratio": s["raw_bytes"] / size, "pack_mb_s": speeds[0],
                       "unpack_mb_s": speeds[1]})]


def trajectories(data, slow, mdz_program):
    rows, extra = [], ["--slow"] if slow else []
    sets = [("lyso 0.2 ps", "lyso/md.trr", 1, None, []), ("lyso 1 ps", "lyso/md.trr", 5, None, []),
            ("lyso 2 ps", "lyso/md.trr", 10, None, []), ("spce 10 ps", "spce/md.trr", 1, None, []),
            ("prot 0.2 ps", "lyso/md.trr", 1, PROTEIN_ATOMS, []),
            ("prot 2 ps", "lyso/md.trr", 10, PROTEIN_ATOMS, []),
            ("cu", "cu/md.dump", 1, None, ["--scale", "0.1"]),
            ("lj", "lj/md.dump", 1, None, ["--scale", "0.34"])]
    for name, path, stride, atoms, more in sets:
        path = os.path.join(data, path)
        if not os.path.exists(path):
            print(f"{name}: no {path}")
            continue
        words = ["--stride", str(stride), *more] + (["--atoms", atoms] if atoms else [])
        mine = bench("trajectory", name, path, *words, *extra)
        rows += mine
        if mine and mdz_program:
            rows += mdz(mdz_program, name, path, words)
        size = tng(path, stride, atoms) if path.endswith(".trr") else 0
        if mine and size:
            rows.append(table({"set": name, "codec": "gmx .tng", "ratio": mine[0]["raw_bytes"] / size}))
    for name, path in [("restart x+v", "lyso/md.cpt")]:
        if os.path.exists(os.path.join(data, path)):
            rows += bench("state", name, os.path.join(data, path), *extra)
    return rows


def zipnn(python, name, path, dtype):
    done = subprocess.run([python, "-c", ZIPNN, path, dtype], text=True, stdout=subprocess.PIPE)
    if done.returncode != 0:
        return []
    return [table({"set": name, "codec": "ZipNN", **json.loads(done.stdout.splitlines()[-1])})]


def tensors(folder, slow, python):
    rows, extra = [], ["--slow"] if slow else []
    for kind, dtype in [("f32", "float32"), ("bf16", "bfloat16"), ("adam", "float32")]:
        files = sorted(glob.glob(os.path.join(folder, f"step-*-{kind}.safetensors")))
        if len(files) < 2:
            print(f"{kind}: no two checkpoints in {folder}")
            continue
        rows += bench("tensors", f"weights {kind}", files[-1], files[-2], *extra)
        if python:
            rows += zipnn(python, f"weights {kind}", files[-1], dtype)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=os.environ.get("EBB_DATA_DIR"))
    parser.add_argument("--tensors")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--zipnn")
    parser.add_argument("--mdz")
    given = parser.parse_args()
    if given.data is None or not os.path.exists(BENCH):
        print("no --data DIR (or EBB_DATA_DIR), or bench_codecs is not built: nothing measured")
        return
    begin = time.time()
    print(f"{'set':<12} {'codec':<20} {'ratio':>7} {'pack':>8} {'unpack':>8}  MB/s, one core")
    rows = trajectories(given.data, given.slow, given.mdz)
    rows += tensors(given.tensors or os.path.join(given.data, "gpt"), given.slow, given.zipnn)
    print(json.dumps({"schema": "ebb.bench.codecs.v1", "seconds": round(time.time() - begin),
                      "rows": rows}))


main()
