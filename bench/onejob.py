#!/usr/bin/python3
"""One job with a deadline on recorded availability: what each policy costs over the oracle.

    bench/onejob.py [--data DIR] [--starts N] [--policy all] [--rotate | --sweep]

DIR (or EBB_DATA_DIR) holds availability/*.json; the name of a file begins with its period and ends
with zone and type. --rotate: each trace also begun at its quarters, so that every half is history
once and every half is played once; of ebb only. --sweep: other restarts, deadlines, probes, prices
and histories, and where ebb is not the cheapest.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict

WORK_H = 48
PROGRAM = os.environ.get("EBB_PROGRAM", "build/ebb")


def simulate(files, mode, deadline_h, args, extra=()):
    command = [PROGRAM, "simulate", "--availability", *files, "--mode", mode, "--work", f"{WORK_H}h",
               "--deadline", f"{deadline_h}h", "--starts", str(args.starts), "--seed", str(args.seed),
               "--policy", args.policy, "--json", *extra]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def show(title, result):
    misses = {p["name"]: p["deadline_misses"] for p in result["policies"]}
    print(f"{title}  ({result['starts']} starts, oracle ${result['oracle_cost_mean']:.2f})")
    for p in result["policies"]:
        if p["name"] == "oracle":
            continue
        print(f"    {p['name']:17} {p['cost_over_oracle_mean']:.3f} "
              f"({p['cost_over_oracle_low']:.3f} to {p['cost_over_oracle_high']:.3f})  "
              f"p75 {p['p75']:.2f}  p95 {p['p95']:.2f}  revoked {p['revocations_mean']:.1f}  "
              f"wasted {100 * p['wasted_fraction']:.1f} %  missed {misses[p['name']]}")
        for z in p.get("zones", []) if p["name"] == "ebb" else []:
            print(f"        {z['zone']:40} {z['cost_over_oracle_mean']:.3f}")


def fields(data):
    """(name, mode, files): each period zone by zone, then any of a region's, then any of all."""
    periods = defaultdict(list)
    for path in sorted(glob.glob(os.path.join(data, "availability", "*.json"))):
        periods[os.path.basename(path)[:7]].append(path)
    for period, files in periods.items():
        yield f"{period}, one zone at a time", "each", files
    for period, files in periods.items():
        east = [f for f in files if "us-east-1" in f]
        if len(east) >= 3:
            yield f"{period}, any of {len(east)} zones of us-east-1", "any", east
        yield f"{period}, any of all {len(files)}", "any", files


def speeds(name, files, args):
    args = argparse.Namespace(**vars(args))
    args.starts, args.policy = 1000, "oracle,uniform-progress,ebb"
    for deadline_h in (52, 60, 70):
        result = simulate(files[:1], "each", deadline_h, args)
        line = ", ".join(f"{p['name']} {p['cpu_s']:.2f} s" for p in result["policies"])
        print(f"speed, {name}, 1,000 starts, {deadline_h} h: {line}")


def rotated(files, quarter, folder):
    """The same traces begun at a quarter; what lay before comes last."""
    out = []
    for path in files:
        with open(path, encoding="utf-8") as f:
            trace = json.load(f)
        at = len(trace["data"]) * quarter // 4
        trace["data"] = trace["data"][at:] + trace["data"][:at]
        out.append(os.path.join(folder, os.path.basename(path)))
        with open(out[-1], "w", encoding="utf-8") as f:
            json.dump(trace, f)
    return out


def rotate(all_fields, args):
    args = argparse.Namespace(**vars(args))
    args.policy = "ebb"
    misses = 0
    print("ebb's cost over oracle at 52 / 60 / 70 h, traces begun at each quarter, and the mean")
    for name, mode, files in all_fields:
        cells = []
        for deadline_h in (52, 60, 70):
            values = []
            for quarter in range(4):
                with tempfile.TemporaryDirectory() as folder:
                    result = simulate(rotated(files, quarter, folder), mode, deadline_h, args)
                values.append(result["policies"][0]["cost_over_oracle_mean"])
                misses += result["policies"][0]["deadline_misses"]
            cells.append(" ".join(f"{v:.3f}" for v in values) + f" = {sum(values) / 4:.3f}")
        print(f"  {name:45} " + " / ".join(cells), flush=True)
    print(f"deadlines missed: {misses}")


class Sweep:
    """Prints a line for each setting, and counts how often ebb is not the cheapest."""

    def __init__(self, args):
        self.args = argparse.Namespace(**vars(args))
        self.args.policy = "eager-best,uniform-progress,value,ebb"
        self.lines = self.lost = self.misses = 0

    def line(self, title, mode, files, deadline_h, extra=()):
        result = simulate(files, mode, deadline_h, self.args, extra)
        cost = {p["name"]: p["cost_over_oracle_mean"] for p in result["policies"]}
        missed = {p["name"]: p["deadline_misses"] for p in result["policies"]}
        other = min((v, n) for n, v in cost.items() if n != "ebb")
        lost = cost["ebb"] > other[0] + 5e-4
        self.lines += 1
        self.lost += lost
        self.misses += missed["ebb"]
        print(f"  {title:70} " + "  ".join(f"{n} {v:.3f}" for n, v in cost.items()) +
              (f"  LOSES to {other[1]} by {cost['ebb'] - other[0]:.3f}" if lost else "") +
              (f"  MISSED {missed['ebb']}" if missed["ebb"] else ""), flush=True)


def sweep(all_fields, args):
    s = Sweep(args)
    each = [f for f in all_fields if f[1] == "each"]
    for name, mode, files in all_fields:
        for restart in ("3m", "12m", "24m"):
            for deadline_h in (WORK_H * 1.08, WORK_H * 1.25, WORK_H * 1.5):
                s.line(f"{name}, restart {restart}, {deadline_h:g} h", mode, files, deadline_h,
                       ("--restart", restart))
    for name, mode, files in all_fields:
        for spot in ("0.1", "0.6", "0.8"):
            s.line(f"{name}, spot price {spot}, 60 h", mode, files, 60, ("--spot-price", spot))
        if mode == "any":
            for probe in (("--probe", "0m"), ("--probe", "5m"), ("--probe-cost", "0.01")):
                s.line(f"{name}, {' '.join(probe)}, 60 h", mode, files, 60, probe)
    for name, mode, files in each:
        for other, _, history in each:
            if other != name:
                s.line(f"{name}, history {other}, 60 h", mode, files, 60, ("--history", *history))
    print(f"ebb is not the cheapest in {s.lost} of {s.lines} settings; deadlines missed: {s.misses}")


def checkpoints(all_fields, args):
    """Work since the last checkpoint is lost: what each policy's intervals are worth."""
    args = argparse.Namespace(**vars(args))
    args.policy = "young-daly,scispot,uniform-progress,value,ebb"
    print("with --checkpoint 1m: cost over oracle (time in checkpoints and lost work) at 52 / 60 / 70 h")
    for name, mode, files in all_fields:
        rows = defaultdict(list)
        for deadline_h in (52, 60, 70):
            for p in simulate(files, mode, deadline_h, args, ("--checkpoint", "1m"))["policies"]:
                rows[p["name"]].append(f"{p['cost_over_oracle_mean']:.3f} "
                                       f"({100 * p['checkpoint_lost_fraction']:.1f} %)" +
                                       (f" MISSED {p['deadline_misses']}"
                                        if p["deadline_misses"] else ""))
        for policy, cells in rows.items():
            print(f"  {name:45} {policy:17} " + " / ".join(cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("EBB_DATA_DIR"))
    parser.add_argument("--starts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--policy", default="all")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--rotate", action="store_true")
    args = parser.parse_args()
    found = list(fields(args.data)) if args.data else []
    if not found:
        print("no availability traces: name their folder with --data or EBB_DATA_DIR")
        return 0
    if args.sweep:
        sweep(found, args)
        return 0
    if args.rotate:
        rotate(found, args)
        return 0
    table = {}
    for name, mode, files in found:
        for deadline_h in (52, 60, 70):
            result = simulate(files, mode, deadline_h, args)
            show(f"{name}, {deadline_h} h", result)
            for p in result["policies"]:
                table.setdefault((name, p["name"]), []).append(p["cost_over_oracle_mean"])
    print("\ncost over oracle at 52 / 60 / 70 h")
    for (name, policy), values in table.items():
        if policy in ("uniform-progress", "value", "ebb"):
            print(f"  {name:45} {policy:17} " + " / ".join(f"{v:.3f}" for v in values))
    checkpoints(found, args)
    for name, mode, files in found:
        if mode == "each":
            speeds(name, files, args)
    print(json.dumps({"schema": "ebb.bench.onejob.v1",
                      "over_oracle": [{"field": n, "policy": p, "at_52_60_70_h": v}
                                      for (n, p), v in table.items()]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
