#!/usr/bin/env bash
# Searches with the fuzzers for as long as wanted, from other seeds each time; finds stay in the
# build directory and are the start of the next search.
#   tests/fuzz/run.sh [SECONDS each, 300] [NAME...]      such as: tests/fuzz/run.sh 600 head manifest
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-300}
[ $# -gt 0 ] && shift
[ -f build-asan/build.ninja ] || cmake -G Ninja -S . -B build-asan -DCMAKE_C_COMPILER=clang-14 \
  -DEBB_SANITIZE=ON -DEBB_FUZZ=ON -DEBB_BENCH=OFF
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||;s|\.c$||')
for name in "$@"; do
  ninja -C build-asan "fuzz_$name"
  finds=build-asan/tests/fuzz/finds/$name
  mkdir -p "$finds"
  seeds=()
  [ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
  echo "== $name, $seconds s"
  "build-asan/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -timeout=10 \
    -artifact_prefix="$finds/" "$finds" "${seeds[@]}"
done
