#!/usr/bin/env bash
# awscli against the emulated cloud. Ends with 77 (skipped) where awscli is missing.
set -u
command -v aws >/dev/null || { echo "SKIP: awscli is not installed"; exit 77; }
: "${EBB:?the ebb program}"
for name in $(env | sed -n 's/^\(AWS_[A-Z_0-9]*\)=.*/\1/p'); do unset "$name"; done
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

folder=$(mktemp -d)
"$EBB" emulate --state "$folder/state" >"$folder/out" 2>"$folder/log" &
emulator=$!
finish() {
  kill "$emulator" 2>/dev/null
  wait "$emulator" || { [ -s "$folder/failed" ] || cat "$folder/log"; exit 1; }
  rm -rf "$folder"
}
trap 'status=$?; finish; exit $status' EXIT
for _ in $(seq 600); do [ -s "$folder/out" ] && break; sleep 0.1; done

AWS_SHARED_CREDENTIALS_FILE=$folder/state/credentials
AWS_DEFAULT_REGION=$(cat "$folder/state/region")
export AWS_SHARED_CREDENTIALS_FILE AWS_DEFAULT_REGION AWS_PAGER="" AWS_CONFIG_FILE=/dev/null
export AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1
endpoint=$(cat "$folder/state/endpoint") # awscli of Debian 12 does not read AWS_ENDPOINT_URL
cloud() { aws --endpoint-url "$endpoint" --output text "$@"; }
fail() { echo "FAIL: $*"; exit 1; }
same() { [ "$2" = "$3" ] || fail "$1: '$2' and not '$3'"; }

same "account" "$(cloud sts get-caller-identity --query 'length(Account)')" 12

# S3: a small and a large file, list, sync, remove.
echo small >"$folder/small"
head -c 20000000 /dev/urandom >"$folder/large"
cloud s3 cp --quiet "$folder/small" s3://ebb/d/small || fail "s3 cp"
cloud s3 cp --quiet "$folder/large" s3://ebb/d/large || fail "s3 cp of a large file"
cloud s3 cp --quiet s3://ebb/d/large "$folder/back" || fail "s3 cp back"
cmp "$folder/large" "$folder/back" || fail "the large file changed on its way"
same "s3 ls" "$(cloud s3 ls s3://ebb/d/ | awk '{print $3, $4}' | tr '\n' ' ')" "20000000 large 6 small "
mkdir "$folder/tree" && for i in 1 2 3; do echo $i >"$folder/tree/$i é"; done
touch -d '1 minute ago' "$folder"/tree/* # S3 tells whole seconds
cloud s3 sync --quiet "$folder/tree" s3://ebb/tree || fail "s3 sync"
same "sync again" "$(cloud s3 sync "$folder/tree" s3://ebb/tree)" ""
cloud s3 rm --quiet --recursive s3://ebb/tree || fail "s3 rm"
same "after rm" "$(cloud s3api list-objects-v2 --no-paginate --bucket ebb --prefix tree/ --query KeyCount)" 0
cloud s3 mb s3://another >/dev/null && cloud s3 rb s3://another >/dev/null || fail "s3 mb and rb"
cloud s3api get-object --bucket ebb --key d/small --range bytes=1-3 "$folder/part" >/dev/null || fail "range"
same "range" "$(cat "$folder/part")" mal
cloud s3api head-object --bucket ebb --key none >/dev/null 2>"$folder/err" && fail "head of nothing"
grep -q 404 "$folder/err" || fail "head of nothing: $(cat "$folder/err")"

# EC2: launch with user data, look, tag, end.
printf '#!/bin/sh\necho booted in $PWD\nsleep 1000\n' >"$folder/boot"
vm=$(cloud ec2 run-instances --image-id ami-0ebb0000000000001 --instance-type c5.large --count 1 \
  --instance-market-options MarketType=spot --placement AvailabilityZone=us-east-1b \
  --user-data "file://$folder/boot" --client-token t1 \
  --tag-specifications 'ResourceType=instance,Tags=[{Key=Name,Value=one}]' \
  --query 'Instances[0].InstanceId') || fail "run-instances"
cloud ec2 wait instance-running --instance-ids "$vm" || fail "wait instance-running"
for _ in $(seq 600); do grep -q "booted in" "$folder/state/vms/$vm/console.log" 2>/dev/null && break; sleep 0.1; done
grep -q "booted in" "$folder/state/vms/$vm/console.log" || fail "it does not boot"
cloud ec2 create-tags --resources "$vm" --tags Key=k,Value=v || fail "create-tags"
same "describe-instances" "$(cloud ec2 describe-instances --filters Name=tag:k,Values=v Name=instance-state-name,Values=running \
  --query 'Reservations[].Instances[].[InstanceId,InstanceLifecycle,Placement.AvailabilityZone]')" "$vm	spot	us-east-1b"
same "terminate-instances" "$(cloud ec2 terminate-instances --instance-ids "$vm" --query 'TerminatingInstances[0].CurrentState.Name')" shutting-down
cloud ec2 wait instance-terminated --instance-ids "$vm" || fail "wait instance-terminated"
same "zones" "$(cloud ec2 describe-availability-zones --query 'length(AvailabilityZones)')" 3
same "price" "$(cloud ec2 describe-spot-price-history --instance-types c5.large --availability-zone us-east-1c \
  --product-descriptions Linux/UNIX --query 'SpotPriceHistory[0].SpotPrice')" 0.029700
same "type" "$(cloud ec2 describe-instance-types --instance-types c5.xlarge --query 'InstanceTypes[0].VCpuInfo.DefaultVCpus')" 4
cloud ec2 run-instances --image-id ami-0ebb0000000000001 --instance-type g5.xlarge --count 1 \
  --instance-market-options MarketType=spot --placement AvailabilityZone=us-east-1c >/dev/null 2>"$folder/err" && fail "no capacity"
grep -q InsufficientInstanceCapacity "$folder/err" || fail "no capacity: $(cat "$folder/err")"

# The wrong secret.
AWS_ACCESS_KEY_ID=$(sed -n 's/^aws_access_key_id = //p' "$AWS_SHARED_CREDENTIALS_FILE") AWS_SECRET_ACCESS_KEY=wrong \
  cloud s3api list-buckets >/dev/null 2>"$folder/err" && fail "a wrong secret is taken"
grep -q SignatureDoesNotMatch "$folder/err" || fail "wrong secret: $(cat "$folder/err")"
echo "awscli: all as it should be"
