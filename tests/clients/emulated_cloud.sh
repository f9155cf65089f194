#!/usr/bin/env bash
# emulated_cloud.sh EBB STORE_CONTRACT PROVIDER_CONTRACT: the S3 client and the AWS provider against
# the emulated cloud, which signs, checks and refuses as AWS does; once calm, once in trouble.
set -eu
ebb=$1 store=$2 provider=$3
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d /tmp/ebb-test-emulated-XXXXXX)
for name in $(compgen -e AWS_ || true) $(compgen -e EBB_ || true); do unset "$name"; done
"$ebb" emulate --state "$dir/state" "$here/contract_fleet.yaml" >"$dir/log" 2>&1 &
pid=$!
finish() {
  status=$?
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  [ $status = 0 ] || { echo "--- the emulator's log"; tail -n 40 "$dir/log"; }
  rm -rf "$dir"
  exit $status
}
trap finish EXIT
for _ in $(seq 600); do
  [ -s "$dir/state/endpoint" ] && break
  sleep 0.1
done
AWS_ENDPOINT_URL=$(cat "$dir/state/endpoint")
export AWS_ENDPOINT_URL AWS_REGION=us-east-1 AWS_SHARED_CREDENTIALS_FILE="$dir/state/credentials"
export AWS_CONFIG_FILE=/nonexistent AWS_EC2_METADATA_DISABLED=true
fault() {
  curl -sSf -X POST "$AWS_ENDPOINT_URL/_ebb/fault?$1" >/dev/null
}
"$store" "s3://ebb/calm/pre fix"
"$provider" "'$store' s3://ebb/from-vm"
# A wrong key is refused, at once and for good.
if AWS_ACCESS_KEY_ID=AKIDNOBODY AWS_SECRET_ACCESS_KEY=wrong "$store" s3://ebb/denied 2>"$dir/denied"; then
  echo "a wrong key was accepted"
  exit 1
fi
grep -q 'InvalidAccessKeyId\|SignatureDoesNotMatch' "$dir/denied" || { cat "$dir/denied"; exit 1; }
fault 'kind=throttle&service=s3&rate=0.1&for=20s'
fault 'kind=error&service=s3&rate=0.1&for=20s'
fault 'kind=lost-answer&service=s3&rate=0.1&for=20s'
"$store" s3://ebb/trouble races
