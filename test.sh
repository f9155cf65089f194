#!/usr/bin/env bash
# Installs what is missing, builds twice (as users do with warnings as errors; with the sanitizers
# and fuzzers), and runs every test of both in one ctest, whose summary ends the output.
#   ./test.sh [CTEST-ARGUMENT...]      such as -L unit, -R sweep
set -euo pipefail
cd "$(dirname "$0")"
# Debian's own programs go first: another python3 on the PATH may lack torch, boto3, yaml.
export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin:$PATH
unset LD_LIBRARY_PATH PYTHONPATH PYTHONHOME

tools/install.sh build engines test

configure() { # directory, cmake arguments
  local dir=$1
  shift
  # Answered by what stands in the cache: configuring again is only needed when it changes.
  if ! [ -f "$dir/build.ninja" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$*" ]; then
    rm -rf "$dir"
    cmake -G Ninja -S . -B "$dir" "$@"
    echo "$*" >"$dir/.configured"
  fi
  ninja -C "$dir" -j"$(nproc)"
}
configure build-test -DEBB_WERROR=ON
configure build-asan -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14 \
  -DEBB_SANITIZE=ON -DEBB_FUZZ=ON -DEBB_BENCH=OFF

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p build-all
printf 'subdirs("%s")\n' "$PWD/build-test" "$PWD/build-asan" >build-all/CTestTestfile.cmake
exec ctest --test-dir build-all --output-on-failure -j"$(nproc)" "$@"
