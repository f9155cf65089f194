"""Writes the best of all runs to best.json."""

import glob
import json

runs = []
for path in sorted(glob.glob("train/*/metrics.json")):
    with open(path) as metrics:
        runs.append(json.load(metrics))
best = min(runs, key=lambda run: (run["loss"], run["seed"]))
with open("best.json", "w") as out:
    json.dump({"best": best, "runs": len(runs)}, out, indent=1)
print(f"best of {len(runs)}: rate {best['rate']}, seed {best['seed']}, loss {best['loss']:.5f}")
