#!/usr/bin/env bash
# Every C file stands as clang-format 14 writes it (skips where that is not installed).
set -u
cd "$(dirname "$0")/.." || exit 2
tool=$(command -v clang-format-14 || command -v clang-format) || { echo "SKIP: no clang-format"; exit 0; }
git ls-files --cached --others --exclude-standard '*.c' '*.h' '*.cu' '*.cpp' | xargs -r "$tool" --dry-run --Werror
