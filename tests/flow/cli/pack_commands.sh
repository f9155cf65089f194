#!/usr/bin/env bash
# ebb pack and ebb unpack: what comes back, what is refused, what damage is told, and exit status.
#   pack_commands.sh EBB
set -eu
ebb=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAIL: $1"; exit 1; }
json() { python3 -c "import json,sys; v=json.load(sys.stdin); assert ($1), v"; }
expect() { # status, command...
  local want=$1 got=0
  shift
  "$@" >"$work/out.txt" 2>"$work/err.txt" || got=$?
  [ "$got" = "$want" ] || fail "$* ended with $got, not $want: $(cat "$work/out.txt" "$work/err.txt")"
}
flip() { # file, offset
  python3 - "$1" "$2" <<'P'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    b = f.read(1)[0]
    f.seek(int(sys.argv[2]))
    f.write(bytes([b ^ 0x10]))
P
}

# Any files: nothing, one byte, text, noise, a folder's.
mkdir in in/sub
: >in/empty
printf x >in/one
seq 1 20000 >in/text
head -c 100000 /dev/urandom >in/sub/noise
touch -d '2021-02-03 04:05:06.5 UTC' in/text
chmod 640 in/one
(cd in && expect 0 "$ebb" pack empty one text sub/noise -o ../all.ebbp)
expect 0 "$ebb" pack --verify all.ebbp
expect 0 "$ebb" unpack all.ebbp -o back
diff -r in back || fail "unpacked files differ"
[ "$(stat -c '%Y %a' back/text back/one)" = "$(stat -c '%Y %a' in/text in/one)" ] || fail "mode and time"
"$ebb" pack --info all.ebbp --json | json \
  'v["schema"] == "ebb.pack_info.v1" and [f["name"] for f in v["files"]] == ["empty", "one", "text", "sub/noise"] and v["fault"] is None and v["files"][2]["ratio"] > 2'
"$ebb" pack in/text -o again.ebbp --json | json 'v["schema"] == "ebb.pack.v1" and v["size_bytes"] == 108894'
"$ebb" pack --verify all.ebbp --json | json 'v["good"] and v["files"] == 4'

# Some of them; patterns; what is not there; nothing is replaced unasked.
"$ebb" unpack all.ebbp 'sub/*' text -o some --json | json '[f["name"] for f in v["files"]] == ["text", "sub/noise"]'
expect 2 "$ebb" unpack all.ebbp nothing -o some
expect 2 "$ebb" unpack all.ebbp text -o some
grep -q 'there already' err.txt || fail "the reason is told"
printf old >some/text
expect 0 "$ebb" unpack all.ebbp text -o some --force
cmp in/text some/text
expect 2 "$ebb" pack in/one -o all.ebbp
expect 0 "$ebb" pack in/one -o all.ebbp --force

# A folder that is a link does not lead out.
mkdir trap && ln -s "$work/elsewhere" trap/sub && mkdir elsewhere
expect 0 "$ebb" pack in/text in/sub/noise -o all.ebbp --force
expect 0 "$ebb" unpack all.ebbp -o fresh
(cd in && expect 0 "$ebb" pack sub/noise -o ../sub.ebbp)
expect 2 "$ebb" unpack sub.ebbp -o trap
[ -z "$(ls elsewhere)" ] || fail "a link was followed"

# Bad use.
expect 2 "$ebb" pack in/text
expect 2 "$ebb" pack nothing -o x.ebbp
expect 2 "$ebb" pack in/text /dev/null -o x.ebbp
grep -q 'not a regular file' err.txt || fail "the reason is told"
expect 2 "$ebb" pack in/text in/text -o x.ebbp
expect 2 "$ebb" pack in/text -o x.ebbp --error 0.001nm
grep -q 'error is for trajectories' err.txt || fail "the reason is told"
expect 2 "$ebb" pack in/text -o x.ebbp --error -1
expect 2 "$ebb" pack in/text -o x.ebbp --group 101
expect 2 "$ebb" pack in/text -o x.ebbp --shape 3,x
expect 2 "$ebb" unpack in/text
expect 2 "$ebb" pack --info in/text
[ ! -e x.ebbp ] && [ -z "$(ls -d x.ebbp* 2>/dev/null)" ] || fail "a refused file left something"

# Damage: told, and no file gets its name.
expect 0 "$ebb" pack in/text in/sub/noise -o good.ebbp
cp good.ebbp bad.ebbp
flip bad.ebbp 50000
expect 1 "$ebb" pack --verify bad.ebbp
expect 1 "$ebb" unpack bad.ebbp -o broken
grep -q 'in/sub/noise' err.txt || fail "the damaged file is named"
cmp in/text broken/in/text || fail "the whole file is unpacked"
[ -z "$(ls broken/in/sub)" ] || fail "a damaged file got its name"
head -c 60000 good.ebbp >cut.ebbp
expect 1 "$ebb" pack --info cut.ebbp
grep -q 'text' out.txt || fail "what is whole is listed"
grep -q 'cut off' out.txt || fail "what is cut off is told"
expect 1 "$ebb" pack --verify cut.ebbp
# Growth.
head -c 50000 in/text >log
expect 0 "$ebb" pack log -o log.ebbp --append
cp in/text log
expect 0 "$ebb" pack log -o log.ebbp --append
expect 0 "$ebb" unpack log.ebbp -o grown
cmp log grown/log
expect 2 "$ebb" pack in/one -o log.ebbp --append
printf changed >log
expect 2 "$ebb" pack log -o log.ebbp --append
expect 0 "$ebb" pack --verify log.ebbp
# A folder: all files below it, the packed file itself left out, links too.
ln -s text in/link
expect 0 "$ebb" pack in -o folder.ebbp
grep -q '1 symbolic link is left out' err.txt || fail "links are told"
expect 0 "$ebb" unpack folder.ebbp -o whole
rm in/link
diff -r in whole/in || fail "a folder's files differ"
cp -r in inside
expect 0 "$ebb" pack inside/ -o inside/x.ebbp
expect 0 "$ebb" pack inside -o inside/x.ebbp --force
"$ebb" pack --info inside/x.ebbp --json | json 'sorted(f["name"] for f in v["files"]) == ["inside/empty", "inside/one", "inside/sub/noise", "inside/text"]'
(cd inside && expect 0 "$ebb" pack . -o ../dot.ebbp)
"$ebb" pack --info dot.ebbp --json | json '"sub/noise" in [f["name"] for f in v["files"]]'
mkdir nothing
expect 2 "$ebb" pack nothing -o x.ebbp
# More files than are brought to disk one by one.
mkdir many && for i in $(seq 1 100); do echo "$i" >"many/$i"; done
expect 0 "$ebb" pack many -o many.ebbp
expect 0 "$ebb" unpack many.ebbp -o lot
diff -r many lot/many || fail "many files differ"

# Restart state over the frame of its step: found whatever the order, kept beside or in another file.
python3 - <<'P'
import math, random, struct
rng = random.Random(3)
waters = 400
x = []
for _ in range(waters):
    o = [rng.uniform(0, 3) for _ in range(3)]
    turn, tilt = rng.uniform(0, 6), rng.uniform(0, 3)
    for angle, r in [(0, 0), (turn, 0.1), (turn + 1.91063, 0.1)]:
        y = r * math.sin(angle)
        x += [o[0] + r * math.cos(angle), o[1] + y * math.cos(tilt), o[2] + y * math.sin(tilt)]
def frame(f, x, v, step):
    n = len(x)
    f.write(struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file"))
    f.write(struct.pack(">13i", 0, 0, 36, 0, 0, 0, 0, 4 * n, 4 * n if v else 0, 0, n // 3, step, 0))
    f.write(struct.pack(">2f9f", 0.002 * step, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3))
    f.write(struct.pack(f">{n}f", *x))
    if v:
        f.write(struct.pack(f">{n}f", *v))
with open("traj.trr", "wb") as f:
    for step in range(0, 100, 10):
        frame(f, [round(a + 0.001 * (50 - step), 3) for a in x], None, step)
with open("state.trr", "wb") as f:
    frame(f, x, [rng.gauss(0, 0.4) for _ in x], 50)
P
expect 0 "$ebb" pack state.trr -o alone.ebbp
expect 0 "$ebb" pack traj.trr state.trr -o both.ebbp
"$ebb" pack --info both.ebbp --json | json 'v["files"][1]["codec"] == "over-frame" and v["files"][1]["base_name"] == "traj.trr" and v["files"][1]["base_file"] == ""'
python3 - "$("$ebb" pack --info alone.ebbp --json)" "$("$ebb" pack --info both.ebbp --json)" <<'P' || fail "a frame saves too little"
import json, sys
alone, both = (json.loads(a)["files"][-1]["packed_bytes"] for a in sys.argv[1:])
assert both < 0.9 * alone, (alone, both)
P
expect 0 "$ebb" pack --verify both.ebbp
expect 0 "$ebb" unpack both.ebbp state.trr -o state
cmp state.trr state/state.trr
[ ! -e state/traj.trr ] || fail "only the state was asked for"
expect 0 "$ebb" pack traj.trr -o traj.ebbp --error 0.0005nm
expect 0 "$ebb" pack state.trr --base traj.ebbp -o over.ebbp
expect 0 "$ebb" pack --verify over.ebbp
expect 0 "$ebb" unpack over.ebbp -o state --force
cmp state.trr state/state.trr
mkdir moved && mv traj.ebbp moved
expect 2 "$ebb" unpack over.ebbp -o state --force
grep -q 'traj.ebbp' err.txt || fail "the missing trajectory is named"
expect 0 "$ebb" unpack over.ebbp --base moved/traj.ebbp -o state --force
expect 0 "$ebb" pack in/text -o moved/traj.ebbp --force
expect 2 "$ebb" unpack over.ebbp --base moved/traj.ebbp -o state --force
cp both.ebbp bad.ebbp
flip bad.ebbp 3000
expect 1 "$ebb" pack --verify bad.ebbp

# Interrupted, killed, out of space: nothing is left.
seq 1 3000000 >long
for signal in INT TERM KILL; do
  mkdir "out-$signal"
  # A shell without job control starts what is in the background with SIGINT ignored.
  python3 - "$ebb" "$signal" <<'P'
import signal, subprocess, sys, time
name = sys.argv[2]
p = subprocess.Popen([sys.argv[1], "pack", "long", "--level", "small", "-o", f"out-{name}/x.ebbp"],
                     stderr=subprocess.DEVNULL)
time.sleep(0.3)
p.send_signal(getattr(signal, "SIG" + name))
assert p.wait() == -getattr(signal, "SIG" + name), p.returncode
P
  [ -z "$(ls -A "out-$signal")" ] || fail "SIG$signal left $(ls -A "out-$signal")"
done
(ulimit -f 100; expect 1 "$ebb" pack long in/sub/noise -o small.ebbp)
grep -q 'small.ebbp' err.txt || fail "the file that could not be written is named"
expect 0 "$ebb" pack long -o long.ebbp
(ulimit -f 100; expect 1 "$ebb" unpack long.ebbp -o small)
[ -z "$(ls small* 2>/dev/null)" ] || fail "a full disk left something"
echo "pack commands: as they should be"
