#!/usr/bin/env bash
# run_in_venv.sh VENV REQUIREMENT SCRIPT [ARG...]: runs a Python script in a virtual environment that
# has the requirement, made on first use. Exit status 77 (skipped) when it cannot be had.
set -u
venv=$1 requirement=$2
shift 2
skip() {
  echo "SKIP: $1"
  exit 77
}
exec 9>"$venv.lock" || skip "cannot write $venv.lock"
flock 9
if [ ! -e "$venv/ready" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" || skip "python3 -m venv does not work here (Debian: python3-venv)"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$requirement" ||
    skip "$requirement cannot be installed"
  touch "$venv/ready"
fi
flock -u 9
exec "$venv/bin/python3" "$@"
