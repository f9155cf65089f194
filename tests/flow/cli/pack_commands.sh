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
expect 2 "$ebb" pack in -o x.ebbp
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
echo "pack commands: as they should be"
