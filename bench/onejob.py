#!/usr/bin/python3
"""One job with a deadline on recorded availability: what each policy costs over the oracle.

    bench/onejob.py [--data DIR] [--starts N] [--sweep] [--policy all]

DIR (or EBB_DATA_DIR) holds availability/*.json; the name of a file begins with its period and ends
with zone and type. --sweep: other restarts, deadlines, and the other period as history.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
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


def sweep(all_fields, args):
    args = argparse.Namespace(**vars(args))
    args.policy = "uniform-progress,value,ebb"
    each = [f for f in all_fields if f[1] == "each"]
    for name, mode, files in all_fields:
        for restart in ("3m", "12m", "24m"):
            for deadline_h in (52, 60, 72):
                show(f"{name}, restart {restart}, {deadline_h} h",
                     simulate(files, mode, deadline_h, args, ("--restart", restart)))
    for name, mode, files in each:
        for other, _, history in each:
            if other != name:
                show(f"{name}, history {other}, 60 h",
                     simulate(files, mode, 60, args, ("--history", *history)))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("EBB_DATA_DIR"))
    parser.add_argument("--starts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--policy", default="all")
    parser.add_argument("--sweep", action="store_true")
    args = parser.parse_args()
    found = list(fields(args.data)) if args.data else []
    if not found:
        print("no availability traces: name their folder with --data or EBB_DATA_DIR")
        return 0
    if args.sweep:
        sweep(found, args)
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
    for name, mode, files in found:
        if mode == "each":
            speeds(name, files, args)
    print(json.dumps({"schema": "ebb.bench.onejob.v1",
                      "over_oracle": [{"field": n, "policy": p, "at_52_60_70_h": v}
                                      for (n, p), v in table.items()]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
