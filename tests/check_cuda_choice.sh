#!/usr/bin/env bash
# What cmake/Cuda.cmake makes of an nvcc that is old, or does not know every architecture: it must
# never break the build. The nvcc asked is the one here, its version and architectures are pretended.
set -euo pipefail
cd "$(dirname "$0")/.."
real=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
if ! [ -x "$real" ]; then
  echo "skipped: no nvcc here"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.18)
project(choice CXX)
include($PWD/cmake/Cuda.cmake)
EOF

expect() { # release, architectures, pattern of what cmake says
  cat >"$work/nvcc" <<EOF
#!/bin/sh
case "\$*" in
--version) echo "Cuda compilation tools, release $1, V$1.99" ;;
--list-gpu-arch) for a in $2; do echo "compute_\$a"; done ;;
*) exec "$real" "\$@" ;;
esac
EOF
  chmod +x "$work/nvcc"
  rm -rf "$work/build"
  if ! CUDACXX=$work/nvcc cmake -S "$work" -B "$work/build" >"$work/said" 2>&1 ||
    ! grep -q "$3" "$work/said"; then
    echo "CUDA $1 with architectures $2: not \"$3\" but"
    cat "$work/said"
    exit 1
  fi
}

expect 11.8 "75 80 90" "CUDA kernels: not built (.* is of CUDA 11.8; 12 or later can)"
expect 12.4 "75 80 89 90" "CUDA kernels: built by CUDA 12.4 for sm_80, sm_90$"
expect 13.0 "75 80 90 100 103 120" "CUDA kernels: built by CUDA 13.0 for sm_80, sm_90, sm_100$"
