#!/usr/bin/env bash
# docs/commands/: one page a command, from the option tables of the program itself.
#   tools/command_pages.sh EBB [DIR]            writes the pages
#   tools/command_pages.sh --check EBB          fails when a page is not what EBB would write
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
check=no
if [ "${1:-}" = --check ]; then
  check=yes
  shift
fi
ebb=${1:?usage: tools/command_pages.sh [--check] EBB [DIR]}
out=${2:-$root/docs/commands}
if [ $check = yes ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
# "  submit                Submit ..." and "  checkpoint ls         List ...": the name ends before two spaces.
"$ebb" help | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z -]*[a-z]\)  .*/\1/p' | grep -vx completion |
while IFS= read -r command; do
  # shellcheck disable=SC2086  # a command of two words is two arguments
  "$ebb" help --markdown $command >"$out/${command// /-}.md"
done
if [ $check = yes ]; then
  diff -ru "$root/docs/commands" "$out" ||
    { echo "run tools/command_pages.sh build/ebb"; exit 1; }
  echo "command pages: current"
fi
