#!/usr/bin/env bash
# Installs what is missing from Debian's packages, as root or with sudo; with nothing missing it
# only asks dpkg and is done in a moment.
#   tools/install.sh GROUP...      build | engines | test
set -euo pipefail

build=(gcc libc6-dev make cmake ninja-build pkg-config libcurl4-openssl-dev libssl-dev
  libprotobuf-c-dev protobuf-c-compiler libzstd-dev libsqlite3-dev libevent-dev
  libjansson-dev libyaml-dev libexpat1-dev libcmocka-dev libzip-dev libxxhash-dev libnlopt-dev)
engines=(gromacs gromacs-data lammps python3 python3-torch python3-numpy bash coreutils curl sed)
test=(clang-14 clang-format-14 libclang-rt-14-dev llvm-14 awscli python3 python3-boto3 python3-venv python3-yaml zstd
  python3-mdanalysis g++ git)

wanted=()
for group in "${@:-build}"; do
  case $group in
    build) wanted+=("${build[@]}") ;;
    engines) wanted+=("${engines[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    *) echo "usage: tools/install.sh build|engines|test..." >&2; exit 2 ;;
  esac
done

command -v dpkg-query >/dev/null || {
  echo "install.sh: this is no Debian; install by hand: ${wanted[*]}" >&2
  exit 1
}
mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)
# A virtual package counts by who provides it.
present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n${db:Status-Status} ${Provides}\n' |
  sed -n 's/^installed //p' | sed 's/([^)]*)//g' | tr ', ' '\n\n' | sort -u)
mapfile -t missing < <(comm -23 <(printf '%s\n' "${wanted[@]}") <(printf '%s\n' "$present"))
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "install.sh: needs root or sudo for: apt-get install ${missing[*]}" >&2
    exit 1
  }
  root=(sudo)
fi
echo "installing: ${missing[*]}" >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Use-Pty=0 "${missing[@]}"
