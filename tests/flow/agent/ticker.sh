#!/bin/sh
# A small engine for tests: deterministic, with state files, a growing trajectory and a progress
# line, that stops at SIGTERM with a last state.
#
#   ticker.sh TOTAL SECONDS_PER_STEP STEPS_PER_STATE [STATE]
total=$1 pause=$2 every=$3 step=0 value=1
if [ -n "${4-}" ]; then
  read -r step value end < "$4"
  [ "$end" = END ] || exit 9
fi
stop=0
trap 'stop=1' TERM
save() {
  printf '%d %d END\n' "$step" "$value" > "state.tmp"
  mv state.tmp "run.$step.state"
}
# As LAMMPS does: the frame of the step it starts from is written again.
printf 'TIMESTEP\n%d\nvalue %d\n' "$step" "$value" >> run.dump
while [ "$step" -lt "$total" ]; do
  step=$((step + 1))
  value=$(((value * 1103515245 + 12345) % 2147483648))
  sleep "$pause"
  printf 'TIMESTEP\n%d\nvalue %d\n' "$step" "$value" >> run.dump
  echo "step $step of $total"
  [ $((step % every)) = 0 ] && save
  if [ "$stop" = 1 ]; then
    save
    exit 143
  fi
done
echo "$value" > result.txt
echo finished
