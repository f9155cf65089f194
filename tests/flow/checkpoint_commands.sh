#!/usr/bin/env bash
# The checkpoint commands on a directory store: what they print, what they say of damage, and their
# exit status.
#   checkpoint_commands.sh EBB GOLDEN
set -eu
ebb=$1
golden=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export EBB_STATE_DIR=$work/state
cp -r "$golden/store" "$work/store"
store=file://$work/store
job=$store/bags/b-0001/jobs/j

fail() { echo "FAIL: $1"; exit 1; }
json() { python3 -c "import json,sys; v=json.load(sys.stdin); assert ($1), v"; }
expect() { # status, command...
  local want=$1 got=0
  shift
  "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" = "$want" ] || fail "$* ended with $got, not $want: $(cat "$work/out" "$work/err")"
}

for target in "$store" "$store/" "$store/bags/b-0001" "$job"; do
  expect 0 "$ebb" checkpoint ls "$target"
  grep -q '^bags/b-0001/jobs/j  ' "$work/out" || fail "ls $target"
done
"$ebb" checkpoint ls "$store" --json | json \
  'v["schema"] == "ebb.checkpoint_ls.v1" and v["lineages"][0]["sequence"] == 3 and v["lineages"][0]["at"].endswith("Z")'
expect 0 "$ebb" checkpoint show "$job"
grep -q 'traj.xtc .*APPEND .*1503' "$work/out" || fail "show"
"$ebb" checkpoint show "$job" --json | json \
  '[f["size_bytes"] for f in v["manifest"]["files"] if f["path"] == "traj.xtc"] == [1503]'
"$ebb" checkpoint show "$job" --json --previous | json 'v["manifest"]["sequence"] == 2'

expect 0 "$ebb" checkpoint restore "$job" "$work/all"
[ "$(sha256sum <"$work/all/traj.xtc" | cut -c1-64)" = "$(awk '/^traj/ {print $5}' "$golden/expected-current")" ] ||
  fail "restored traj.xtc differs"
expect 2 "$ebb" checkpoint restore "$job" "$work/all" # not empty any more
"$ebb" checkpoint restore "$job" "$work/some" '*.xtc' --json | json 'v["bytes"] == 1503 and not v["fell_back"]'
[ "$(ls "$work/some")" = traj.xtc ] || fail "patterns"

expect 0 "$ebb" checkpoint verify "$store"
expect 2 "$ebb" checkpoint ls "$store/bags/other"
expect 2 "$ebb" checkpoint ls
expect 2 "$ebb" checkpoint ls "ftp://x"

# Damage to the newest manifest: said by verify, survived by restore.
manifest=$(ls "$work/store/bags/b-0001/jobs/j/manifests/"*-0000000003-*)
printf x | dd of="$manifest" bs=1 seek=40 conv=notrunc status=none
expect 3 "$ebb" checkpoint verify "$store"
grep -q 'checkpoint 3' "$work/out" || fail "verify names the checkpoint"
"$ebb" checkpoint verify "$store" --json 2>/dev/null >"$work/out" || true
json 'not v["good"] and len(v["lineages"][0]["faults"]) == 1' <"$work/out"
expect 0 "$ebb" checkpoint restore "$job" "$work/before"
grep -q 'warning: the newest checkpoint is damaged' "$work/err" || fail "the fallback is said"
# A damaged head: refused.
printf x | dd of="$work/store/bags/b-0001/jobs/j/head" bs=1 seek=20 conv=notrunc status=none
expect 3 "$ebb" checkpoint restore "$job" "$work/none"
grep -q 'head is damaged' "$work/err" || fail "the head's damage is said"
echo "checkpoint commands: as they should be"
