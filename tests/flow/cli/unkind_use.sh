#!/usr/bin/env bash
# Unkind use of commands that need no scheduler: what is refused, with which words and exit status,
# what is not passed over in silence, and what is left as it was.
#   unkind_use.sh EBB
set -eu
ebb=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export EBB_STATE_DIR="$work/state"

fail() { echo "FAIL: $1"; exit 1; }
expect() { # status, command...
  local want=$1 got=0
  shift
  "$@" >"$work/out.txt" 2>"$work/err.txt" || got=$?
  [ "$got" = "$want" ] || fail "$* ended with $got, not $want: $(cat "$work/out.txt" "$work/err.txt")"
}
says() { grep -qF -- "$1" "$work/out.txt" "$work/err.txt" || fail "not said: $1: $(cat "$work/err.txt")"; }

cat >bag.yaml <<'Y'
name: b
jobs: [{name: g, command: "true", sweep: {i: [1, 2]}, resources: {time: 1m}}]
Y
printf 'nam: b\njobs: []\n' >bad.yaml
printf 'lifetime_s,end\n100,revoked\n200,revoked\n30,stopped\n' >lives.csv
printf '{"metadata":{"gap_seconds":600},"data":[1,0,1]}' >trace.json
mkdir folder

# Files that are none, and faults told once.
expect 2 "$ebb" plan folder
expect 2 "$ebb" fit folder
expect 2 "$ebb" plan bag.yaml --runs 3 --plot folder
says "folder is a folder"
expect 2 "$ebb" plan bad.yaml
says "bad.yaml has 3 faults, nothing was planned"
expect 2 "$ebb" simulate bad.yaml
says "bad.yaml has 3 faults, nothing was simulated"
expect 2 "$ebb" agent --config /dev/null
says "vm, scheduler, authority and token are needed"
expect 2 "$ebb" checkpoint ls file://"$work"/nowhere
[ ! -e nowhere ] || fail "looking at a store has made it"

# Numbers out of range, options that do not go together, words that are empty.
expect 2 "$ebb" plan bag.yaml --runs 0
says "--runs: '0' is not from 1 to 10000"
expect 2 "$ebb" plan bag.yaml --deadline 0s
expect 2 "$ebb" plan bag.yaml --max-vms 0
expect 2 "$ebb" plan bag.yaml --fleet x.yaml --region us-east-1
expect 2 "$ebb" scheduler --max-vms 4294967297
expect 2 env EBB_HEARTBEAT=0s "$ebb" scheduler
expect 2 "$ebb" submit bag.yaml --dry-run --store nonsense
says "neither s3://bucket/prefix nor file:///directory"
expect 2 "$ebb" scheduler --store ftp://x
says "no such kind"
expect 2 "$ebb" scheduler --store file://relative
expect 2 "$ebb" scheduler --advertise "no host:x"
expect 2 "$ebb" pack --info --verify x.ebbp
expect 2 "$ebb" prices --limit 0
expect 2 "$ebb" simulate bag.yaml --policy eager
says "--policy goes with --availability, not with a bag"
expect 2 "$ebb" simulate --availability trace.json --events e.json
says "--events goes with a bag, not with --availability"
expect 2 "$ebb" simulate bag.yaml --json --events -
expect 2 "$ebb" simulate --availability trace.json --work 5m --deadline 10m
says "the deadline of 10m00s cannot be met"
expect 2 "$ebb" cancel ""
says "an argument is empty: ebb cancel BAG[/JOB]"

# Output that does not arrive.
expect 1 "$ebb" simulate bag.yaml --events /dev/full
says "No space left on device"
expect 1 bash -c '"$0" prices >/dev/full' "$ebb"
says "not all of the output could be written"
expect 1 bash -c '"$0" doctor --json >/dev/full' "$ebb"
expect 1 bash -c '"$0" fit lives.csv >&-' "$ebb"
"$ebb" prices --limit 1 --json | head -c1 >/dev/null

# A device or pipe stays one, a link leads where it led; what cannot be written is known at once.
mkfifo pipe
cat pipe >from-pipe &
expect 0 "$ebb" fit lives.csv --plot pipe
wait
[ -p pipe ] && grep -q '<svg' from-pipe || fail "the pipe did not get the picture"
echo old >real.svg
ln -s real.svg link.svg
expect 0 "$ebb" fit lives.csv --plot link.svg
[ -L link.svg ] && grep -q '<svg' real.svg || fail "the link was replaced"
expect 2 "$ebb" plan bag.yaml --plot no/such/plan.svg
says "cannot write no/such/plan.svg"
[ -z "$(find . -name '*tmp*')" ] || fail "left behind: $(find . -name '*tmp*')"
echo "unkind use: ok"
