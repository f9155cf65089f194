#!/usr/bin/env bash
# The layers of docs/architecture.md: a folder includes only what stands to its left. A folder of
# the project that has no row here is a fault too, and so is a "../" include.
set -u
cd "$(dirname "$0")/.." || exit 2
fail=0
declare -A may=(
  [base]="base"
  [proto]="proto base"
  [kernels]="kernels base"
  [kernels/trajectory]="kernels/trajectory kernels base"
  [kernels/tensor]="kernels/tensor kernels base"
  [kernels/cuda]="kernels/cuda kernels/trajectory kernels/tensor kernels base"
  [kernels/host]="kernels/trajectory kernels base"
  [formats]="formats base"
  [pack]="pack formats kernels/trajectory kernels/tensor kernels base"
  [cloud]="cloud proto base"
  [cloud/emulator]="cloud/emulator cloud proto base"
  [checkpoint]="checkpoint pack kernels proto base cloud/object_store.h"
  [scheduler/core]="scheduler/core proto base"
  [simulator]="simulator scheduler/core cloud/emulator proto base"
  [scheduler]="scheduler scheduler/core checkpoint cloud kernels proto base"
  [agent]="agent scheduler/core checkpoint cloud kernels proto base"
  [cli]="cli simulator pack scheduler/core checkpoint cloud cloud/emulator/fleet.h kernels proto base"
  [main]="main cli agent simulator scheduler scheduler/core checkpoint cloud cloud/emulator kernels proto base"
)
while IFS= read -r file; do
  folder=$(dirname "$file")
  allowed=${may[$folder]-}
  if [ -z "$allowed" ]; then
    echo "$file: folder '$folder' has no row in tests/check_layers.sh"
    fail=1
    continue
  fi
  while IFS=: read -r line include; do
    target=$(dirname "$include")
    ok=0
    for a in $allowed; do
      if [ "$target" = "$a" ] || [ "$include" = "$a" ]; then ok=1; break; fi
    done
    if [ $ok = 0 ]; then
      echo "$file:$line: includes \"$include\", which $folder/ may not use"
      fail=1
    fi
  done < <(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/;T;=;p' "$file" | paste -d: - -)
  # What scheduler/core decides comes in as arguments: no files, network, clock or randomness.
  if [ "$folder" = scheduler/core ] &&
     grep -nE '^#include (<(fcntl|unistd|sys/socket|sys/stat|time|sys/time)\.h>|"base/(file|clock|loop|channel|http_client|process|workers|tls)\.h")' "$file" | sed "s|^|$file:|" | grep .; then
    echo "$file: scheduler/core may not touch files, network, clock"
    fail=1
  fi
done < <(git ls-files --cached --others --exclude-standard 'base/*.[ch]' 'proto/*.[ch]' 'kernels/*.[ch]' 'kernels/*.cu' 'formats/*.[ch]' 'pack/*.[ch]' 'simulator/*.[ch]' 'cloud/*.[ch]' 'checkpoint/*.[ch]' 'scheduler/*.[ch]' 'agent/*.[ch]' 'cli/*.[ch]' 'main/*.[ch]')
[ $fail = 0 ] && echo "layers: ok"
exit $fail
