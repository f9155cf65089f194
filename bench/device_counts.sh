#!/usr/bin/env bash
# What the CUDA compiler makes of the device kernels, for where there is no GPU to time them: registers,
# shared memory and spills as ptxas tells them, and the instructions of the PTX: all, loads and stores
# of global memory by width, atomics. Loops are counted once, unrolled ones as often as they stand.
#   bench/device_counts.sh [ARCHITECTURE, sm_90]
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${1:-sm_90}
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
[ -x "$nvcc" ] || { echo "device_counts.sh: no nvcc here"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-I. -O3 -std=c++17 -fmad=false -arch="$arch")
printf '%-40s %5s %6s %6s %7s  %-22s %-22s %s\n' "kernel ($arch)" regs shared spills instr \
  "loads v4/v2/32/16/8" "stores v4/v2/32/16/8" atomics
for source in kernels/cuda/*.cu; do
  "$nvcc" "${flags[@]}" -ptx "$source" -o "$work/x.ptx"
  "$nvcc" "${flags[@]}" -Xptxas -v -c "$source" -o "$work/x.o" 2>"$work/usage"
  c++filt <"$work/usage" >"$work/names"
  c++filt <"$work/x.ptx" | awk -v usage="$work/names" '
    function short(text) {
      gsub(/\(anonymous namespace\)::|_INTERNAL_[0-9a-z_]*::|ebb_scan::/, "", text)
      gsub(/\(int\)/, "", text); sub(/^void /, "", text); sub(/\(.*/, "", text)
      return text
    }
    BEGIN {
      while ((getline line < usage) > 0) {
        if (match(line, /entry function .* for/)) {
          line = substr(line, RSTART + 16, RLENGTH - 21); gsub(/\047/, "", line); key = short(line)
        }
        if (match(line, /[0-9]+ bytes spill stores/)) spills[key] = substr(line, RSTART) + 0
        if (match(line, /Used [0-9]+ registers/)) registers[key] = substr(line, RSTART + 5) + 0
        if (match(line, /[0-9]+ bytes smem/)) shared[key] = substr(line, RSTART) + 0
      }
    }
    function kind(line) {
      if (line ~ /\.v4/) return "v4"
      if (line ~ /\.v2/) return "v2"
      if (line ~ /8[ \t]/) return "b8"
      if (line ~ /16[ \t]/) return "b16"
      return "b32"
    }
    /^\.visible \.entry|^\.entry|^\t*\.entry/ {
      name = $0; sub(/.*\.entry /, "", name); name = short(name); all = atomics = 0; inside = 1
      split("", loads); split("", stores); next
    }
    inside && /^}/ {
      printf "%-40s %5d %6d %6d %7d  %-22s %-22s %d\n", substr(name, 1, 40), registers[name],
        shared[name], spills[name], all,
        (0 + loads["v4"]) "/" (0 + loads["v2"]) "/" (0 + loads["b32"]) "/" (0 + loads["b16"]) "/" (0 + loads["b8"]),
        (0 + stores["v4"]) "/" (0 + stores["v2"]) "/" (0 + stores["b32"]) "/" (0 + stores["b16"]) "/" (0 + stores["b8"]),
        atomics
      inside = 0; next
    }
    inside && /;$/ && !/^[ \t]*\./ {
      all++
      if ($0 ~ /ld\.global/) loads[kind($0)]++
      if ($0 ~ /st\.global/) stores[kind($0)]++
      if ($0 ~ /atom\.|red\./) atomics++
    }'
done
