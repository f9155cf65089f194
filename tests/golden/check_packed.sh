#!/usr/bin/env bash
# Packed files of every format version come back, and the independent reader finds them sound.
#   check_packed.sh EBB
set -eu
ebb=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for golden in packed-v*; do
  for file in "$golden"/*.ebbp; do
    name=$(basename "$file" .ebbp)
    "$ebb" pack --verify "$file"
    "$ebb" unpack "$file" -o "$work/$golden/$name" >/dev/null
    [ "${2:-}" = --no-reader ] || python3 read_packed.py "$file" >/dev/null 2>&1 ||
      [ $? = 77 ] || { echo "FAIL: the independent reader refuses $file"; exit 1; }
  done
  (cd "$work/$golden" && sha256sum --quiet --strict -c) <"$golden/expected"
  echo "$golden: as expected"
done
