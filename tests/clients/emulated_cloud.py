"""Starts `ebb emulate` for a test and talks to it with boto3, which was not written here.

A test program calls main(): it ends with status 77 (skipped) where boto3 is missing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

try:
    import boto3
    import botocore
    import botocore.config
    import botocore.exceptions
except ImportError:
    print("SKIP: boto3 is not installed (Debian: python3-boto3)")
    sys.exit(77)

EBB = os.environ["EBB"]

FLEET = """
region: us-east-1
time_scale: 60
boot: 0.2s
pending: 0.1s
zones:
  - {name: us-east-1a, capacity: {default: 3, g5.xlarge: 1}}
  - {name: us-east-1b, capacity: 2}
  - us-east-1c
types:
  - name: t3.medium
    vcpus: 1
    memory: 2 GiB
    on_demand: 0.0416
    spot: {us-east-1a: 0.0131, us-east-1b: [{at: 0s, usd: 0.0125}, {at: 1s, usd: 0.0140}], us-east-1c: 0.0142}
  - {name: c5.large, vcpus: 2, memory: 4 GiB, on_demand: 0.085, spot: {us-east-1a: 0.0319, us-east-1b: 0.0343}}
  - {name: g5.xlarge, vcpus: 4, memory: 16 GiB, gpus: 1, gpu: a10g, on_demand: 1.006, spot: 0.4}
"""

IMAGE = "ami-0ebb0000000000001"


def clean_environment():
    """The environment without anything that would lead a client elsewhere."""
    drop = ("AWS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
            "NO_PROXY", "no_proxy")
    return {k: v for k, v in os.environ.items() if not k.startswith(drop)}


for _name in set(os.environ) - set(clean_environment()):
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null"


class Cloud:
    def __init__(self, fleet=FLEET, extra="", state=None):
        self.folder = state or tempfile.mkdtemp(prefix="ebb-cloud-")
        self.keep = state is not None
        self.fleet = os.path.join(self.folder, "fleet.yaml")
        with open(self.fleet, "w") as f:
            f.write(fleet + extra)
        self.state = os.path.join(self.folder, "state")
        self.start()

    def start(self):
        self.log = open(os.path.join(self.folder, "log"), "a")
        self.process = subprocess.Popen([EBB, "emulate", self.fleet, "--state", self.state],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=clean_environment())
        self.banner = self.process.stdout.readline()
        if not self.banner:
            self.process.wait()
            raise RuntimeError("the emulator did not start: " + self.read_log())
        self.endpoint = open(os.path.join(self.state, "endpoint")).read().strip()
        lines = dict(line.split(" = ") for line in
                     open(os.path.join(self.state, "credentials")).read().splitlines()[1:])
        self.key, self.secret = lines["aws_access_key_id"], lines["aws_secret_access_key"]
        self.client("ec2")  # to make the first takes long, which is not to be missing from a fault's time

    def read_log(self):
        return open(os.path.join(self.folder, "log")).read()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        if how == signal.SIGTERM and status != 0:
            raise AssertionError("the emulator ended with status %d: %s" % (status, self.read_log()))

    def close(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def client(self, service, key=None, secret=None, token=None, **config):
        config.setdefault("retries", {"max_attempts": 0})
        config.setdefault("s3", {"addressing_style": "path"})
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1",
                            aws_access_key_id=key or self.key, aws_secret_access_key=secret or self.secret,
                            aws_session_token=token, config=botocore.config.Config(**config))

    def ask(self, path):
        with urllib.request.urlopen(self.endpoint + path) as answer:
            return json.load(answer)

    def tell(self, path):
        with urllib.request.urlopen(urllib.request.Request(self.endpoint + path, method="POST")) as a:
            return json.load(a)

    def vm(self, instance):
        return next(v for v in self.ask("/_ebb/vms")["vms"] if v["instance"] == instance)

    def console(self, instance):
        path = os.path.join(self.state, "vms", instance, "console.log")
        return open(path).read() if os.path.exists(path) else ""

    def run(self, script="#!/bin/sh\nexec sleep 1000\n", zone="us-east-1a", kind="t3.medium", spot=True,
            tags=(), **more):
        """One VM; returns its id."""
        q = dict(ImageId=IMAGE, InstanceType=kind, MinCount=1, MaxCount=1, UserData=script,
                 Placement={"AvailabilityZone": zone}, **more)
        if spot:
            q["InstanceMarketOptions"] = {"MarketType": "spot"}
        if tags:
            q["TagSpecifications"] = [{"ResourceType": "instance",
                                       "Tags": [{"Key": k, "Value": v} for k, v in tags]}]
        return self.client("ec2").run_instances(**q)["Instances"][0]["InstanceId"]

    def describe(self, instance):
        answer = self.client("ec2").describe_instances(InstanceIds=[instance])
        return answer["Reservations"][0]["Instances"][0]


def wait_for(what, condition, timeout=60):
    """Polls until condition() is true; returns its value."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("in %d s it did not come: %s" % (timeout, what))


class CloudTest(unittest.TestCase):
    extra = ""

    @classmethod
    def setUpClass(cls):
        cls.cloud = Cloud(extra=cls.extra)

    @classmethod
    def tearDownClass(cls):
        cls.cloud.close()

    def succeeds(self, call, *args, **kwargs):
        """When what refuses it is over."""
        def done():
            try:
                return [call(*args, **kwargs)]
            except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
                return None
        return wait_for("it is served", done)[0]

    def refused(self, code, call, *args, status=None, **kwargs):
        """call must fail with this error code."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*args, **kwargs)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], code)
        if status:
            self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], status)
        return answer


class FreshCloudTest(CloudTest):
    """A cloud for each test: what one does to it (faults have no end) is not met by the next."""

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        self.cloud = Cloud(extra=self.extra)
        self.addCleanup(self.cloud.close)


def main():
    unittest.main(verbosity=2, warnings="ignore")
