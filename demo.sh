#!/usr/bin/env bash
# The main job, on a fresh Debian 12 machine: installs what is missing, builds, runs the bag of
# examples/demo on an emulated cloud that keeps revoking its VMs, runs it again undisturbed, and
# compares every deterministic result byte for byte. Done again it installs and rebuilds nothing.
#   ./demo.sh                 results and state stay in demo-run/
set -euo pipefail
cd "$(dirname "$0")"
root=$PWD
# Debian's own programs go first: another python3 on the PATH may lack torch.
export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin:$PATH
wanted_revocations=6

say() { printf '\n== %s\n' "$*"; }

say "Packages"
tools/install.sh build engines && echo "all there"

say "Build"
[ -f build/build.ninja ] || cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
ninja -C build -j"$(nproc)" ebb
ebb=$root/build/ebb
began=$(date +%s)

# A run of its own: whatever an earlier one left running is ended first.
export EBB_STATE_DIR=$root/demo-run/state
[ ! -d "$EBB_STATE_DIR" ] || "$ebb" stop --force >/dev/null 2>&1 || true
rm -rf demo-run
mkdir -p demo-run/bag
cp examples/demo/* demo-run/bag/
sed 's/^name: demo$/name: demo-undisturbed/' examples/demo/bag.yaml >demo-run/bag/undisturbed.yaml
trap '"$ebb" stop --force >/dev/null 2>&1 || true' EXIT
cd demo-run/bag

say "The main job: 13 jobs on VMs that are taken away"
"$ebb" submit bag.yaml --cloud emulated --fleet fleet.yaml --yes --watch
"$ebb" events --json >../events.jsonl
# A VM counts once: it was given a notice (and may have left before its end), or was just taken.
vms_with() {
  { grep -E "$1" ../events.jsonl || true; } | { grep -v '"rebalance":true' || true; } |
    { grep -o '"vm":"[^"]*"' || true; } | sort -u | wc -l
}
revocations=$(vms_with '"kind":"vm_noticed"|"kind":"vm_terminated".*"interrupted":true')
with_notice=$(vms_with '"kind":"vm_noticed"')

say "The same jobs undisturbed"
"$ebb" stop >/dev/null
"$ebb" submit undisturbed.yaml --cloud emulated --fleet calm.yaml --yes --watch

say "Verification"
same=yes
"$ebb" verify demo --against demo-undisturbed || same=no

say "Report"
"$ebb" report demo
"$ebb" report demo --json >../report.json
"$ebb" fetch demo ../results >/dev/null
echo "the network's error on water it has not seen, kJ/mol a molecule:" \
  "$(grep -o '"rmse_kj_mol": [0-9.]*' ../results/train/metrics.json | tail -n 1 | cut -d' ' -f2)"

# The bag's own number of that name in the report, with so many decimals.
number() {
  LC_ALL=C printf "%.$2f" "$(grep -o "\"$1\":[0-9.e+-]*" ../report.json | head -n 1 | cut -d: -f2)"
}

say "What this run showed"
cat <<END
$revocations VMs were taken away while the bag ran: $with_notice after a notice, $((revocations - with_notice)) without a word.
Its $(number jobs 0) jobs took $(number attempts 0) attempts, each going on from the last checkpoint of the one before;
$(number lost_s 1) s of work had to be done again, beside $(number useful_s 0) s of useful work.
Compared with the undisturbed run, $(number verified_files_equal 0) result files are equal byte for byte, \
$(number verified_files_different 0) differ.
The emulated cloud's bill is \$$(number total_usd 2); the same work on demand: \$$(number on_demand_usd 2).
The results are in demo-run/results. All this took $(($(date +%s) - began)) s.
END
[ "$same" = yes ] || { echo "demo: results differ from the undisturbed run" >&2; exit 1; }
[ "$revocations" -ge $wanted_revocations ] || {
  echo "demo: only $revocations revocations; $wanted_revocations are wanted for a proof" >&2
  exit 1
}
