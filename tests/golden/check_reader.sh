#!/usr/bin/env bash
# The independent reader finds in each golden repository what was written there.
set -eu
cd "$(dirname "$0")"
command -v zstd >/dev/null || { echo "SKIP: no zstd program"; exit 77; }
for golden in checkpoint-v*; do
  for generation in current previous; do
    python3 read_checkpoint.py "$golden/store" bags/b-0001/jobs/j ${generation/#/--} |
      diff - "$golden/expected-$generation"
    echo "$golden, $generation: as expected"
  done
done
