#!/usr/bin/env bash
# ebb fit and ebb prices: what they print, what they draw, what they refuse, and exit status.
#   fit_commands.sh EBB
set -eu
ebb=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export EBB_STATE_DIR="$work/state"

fail() { echo "FAIL: $1"; exit 1; }
json() { python3 -c "import json,math,sys; v=json.load(sys.stdin); assert ($1), v"; }
expect() { # status, command...
  local want=$1 got=0
  shift
  "$@" >"$work/out.txt" 2>"$work/err.txt" || got=$?
  [ "$got" = "$want" ] || fail "$* ended with $got, not $want: $(cat "$work/out.txt" "$work/err.txt")"
}
says() { grep -qF -- "$1" "$work/out.txt" "$work/err.txt" || fail "not said: $1: $(cat "$work/err.txt")"; }

# Lifetimes of two types in three zones, drawn with a fixed seed.
python3 - <<'P'
import random
for name, seed in (("lives.csv", 1), ("other.csv", 2)):
    r = random.Random(seed)
    with open(name, "w", newline="") as f:
        f.write("vm,type,zone,launched,lifetime_s,end\r\n")
        for i in range(600):
            kind, zone = ("c5.xlarge", "c5.4xlarge")[i % 2], ("us-east-1a", "us-east-1b", "us-west-2a")[i % 3]
            life = r.weibullvariate(30 * 3600 / (1 + i % 3), 0.5)
            stop = r.expovariate(1 / (20 * 3600))
            end, s = min((life, "revoked"), (stop, "stopped"), (86400, "cap"))[::-1]
            f.write(f"v{i},{kind},{zone},2026-03-{1 + i % 15:02d}T10:00:00Z,{s:.0f},{end}\r\n")
P
expect 0 "$ebb" fit lives.csv
says "chosen by cross-validated log-likelihood"
"$ebb" fit lives.csv --cap 24h --by type,zone --score other.csv --plot out.svg --json >fit.json
json 'v["schema"] == "ebb.fit.v1" and v["vms"] == 600 and v["cap_h"] == 24' <fit.json
json '[m["name"] for m in v["models"]] == ["exponential", "weibull", "lognormal", "gompertz-makeham", "two-exponentials", "bathtub", "bathtub-normalised", "weibull-cure-constant", "piecewise-constant", "covariates"]' <fit.json
json 'abs(v["models"][0]["parameters"][0]["value"] - v["revoked"] / v["exposure_h"]) < 1e-12' <fit.json
json 'all(math.isfinite(m[k]) for m in v["models"] for k in ("log_likelihood", "aic", "ks", "cv_log_likelihood", "score_log_likelihood"))' <fit.json
json 'v["chosen"] == max(v["models"], key=lambda m: m["cv_log_likelihood"])["name"]' <fit.json
json 'v["cross_validation"] == {"by": "launch_day", "folds": 5, "days": 15}' <fit.json
json 'len(v["groups"]) == 6 and sum(g["vms"] for g in v["groups"]) == 600 and v["groups"][0]["by"] == {"type": "c5.4xlarge", "zone": "us-east-1a"}' <fit.json
json 'all(a["survival"] > b["survival"] and b["low"] <= b["survival"] <= b["high"] for a, b in zip(v["kaplan_meier"], v["kaplan_meier"][1:]))' <fit.json
python3 -c 'import xml.dom.minidom; assert xml.dom.minidom.parse("out.svg").documentElement.tagName == "svg"'
"$ebb" fit lives.csv --cap 24h --by type,zone --score other.csv --plot again.svg --json | cmp - fit.json || fail "two runs differ"
cmp out.svg again.svg

printf 'lifetime_s,end\n60,revoked\n-5,revoked\n' >bad.csv
expect 2 "$ebb" fit bad.csv
says "bad.csv:3: lifetime_s -5 is negative"
printf 'lifetime_s,end\n60,stopped\n' >none.csv
expect 2 "$ebb" fit none.csv
says "none of 1 VMs was revoked"
expect 2 "$ebb" fit none.csv --by zone
says "the file has no column 'zone'"
expect 2 "$ebb" fit lives.csv --by colour
expect 2 "$ebb" fit lives.csv --score bad.csv
expect 2 "$ebb" fit missing.csv

# Prices: listed, changed, imported, dropped.
expect 0 "$ebb" prices --gpu l4,a100 --region 'us-*' --sort spot
says "built in"
"$ebb" prices --gpu l4,a100 --region 'us-*' --sort spot --json | json \
  'v["schema"] == "ebb.prices.v1" and v["source"] == "built in" and v["age_days"] >= 0 and {o["gpu"] for o in v["offers"]} == {"l4", "a100", "a100-80gb"} and all(o["region"].startswith("us-") for o in v["offers"]) and [o["spot_usd_per_hour"] for o in v["offers"]] == sorted(o["spot_usd_per_hour"] for o in v["offers"])'
"$ebb" prices --provider gcp --cpus 16 --memory 64GiB --gpus 1 --json | json \
  'v["offers"] and all(o["provider"] == "gcp" and o["cpus"] >= 16 and o["memory_gib"] >= 64 and o["gpus"] >= 1 for o in v["offers"])'
expect 2 "$ebb" prices --gpu l5
says "did you mean 'l4'"
"$ebb" prices export >all.csv
"$ebb" prices export --json >all.json
expect 0 "$ebb" prices import all.json
"$ebb" prices export | cmp - all.csv || fail "JSON imported is not what CSV exports"
{ echo "# dated: 2026-08-01"; sed -n '/^provider/p;/us-east-1,g5.xlarge,/p' all.csv; } >mine.csv
expect 0 "$ebb" prices import mine.csv
says "1 offers"
"$ebb" prices --json | json 'len(v["offers"]) == 1 and v["dated"] == "2026-08-01" and v["offers"][0]["on_demand_usd_per_hour"] == 1.006'
sed 's/1\.006/-1/' mine.csv >wrong.csv
expect 2 "$ebb" prices import wrong.csv
says "wrong.csv:3: on_demand_usd_per_hour -1 is not from 0"
"$ebb" prices --json | json 'len(v["offers"]) == 1'
expect 2 "$ebb" prices import
expect 0 "$ebb" prices import --built-in
"$ebb" prices export | cmp - all.csv
echo "fit and prices: ok"
