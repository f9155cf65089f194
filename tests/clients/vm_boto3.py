"""VMs of the emulated cloud from inside and outside: boot, metadata, revocation, partition, death."""

import json
import os
import signal
import time
import unittest
import urllib.error
import urllib.request

import boto3
import botocore.config

from emulated_cloud import Cloud, CloudTest, FreshCloudTest, main, wait_for

METADATA = "http://127.169.254.169:%d"


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Metadata:
    def __init__(self, port):
        self.base = METADATA % port
        self.token = self.ask("/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})[1]

    def ask(self, path, method="GET", headers=None):
        try:
            with urllib.request.urlopen(urllib.request.Request(self.base + path, method=method,
                                                               headers=headers or {})) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def get(self, path):
        return self.ask("/latest/" + path, headers={"X-aws-ec2-metadata-token": self.token})


class Guests(CloudTest):
    def boot(self, script, **more):
        i = self.cloud.run("#!/bin/bash\n" + script, **more)
        wait_for("it boots", lambda: self.cloud.vm(i)["booted"])
        return i

    def tearDown(self):
        live = [v["instance"] for v in self.cloud.ask("/_ebb/vms")["vms"] if v["state"] in ("pending", "running")]
        if live:
            self.cloud.client("ec2").terminate_instances(InstanceIds=live)

    def pids(self, i, count):
        """What the boot script has written: process ids."""
        path = os.path.join(self.cloud.state, "vms", i, "root", "pids")
        return wait_for("the processes of " + i, lambda: os.path.exists(path) and
                        len(open(path).read().split()) >= count and [int(p) for p in open(path).read().split()])

    FAMILY = """
        echo $$ >> pids
        sleep 1000 & echo $! >> pids
        setsid sh -c 'echo $$ >> pids; exec sleep 1000' &
        setsid sh -c '(setsid sh -c "echo \\$\\$ >> pids; exec sleep 1000" &) ; exit 0'
        wait
    """

    def test_user_data_runs_in_an_environment_of_its_own(self):
        os.environ["AWS_SECRET_ACCESS_KEY"] = "of-the-user"
        i = self.boot("pwd; env; echo out; echo err >&2; shutdown -h now; sleep 100")
        wait_for("it ends", lambda: self.cloud.describe(i)["State"]["Name"] == "terminated")
        console = self.cloud.console(i)
        self.assertIn("out\n", console)
        self.assertIn("err\n", console)
        self.assertNotIn("of-the-user", console)
        env = dict(line.split("=", 1) for line in console.splitlines() if "=" in line)
        folder = os.path.join(os.path.realpath(self.cloud.state), "vms", i)
        self.assertEqual(env["HOME"], folder + "/root")
        self.assertEqual(env["TMPDIR"], folder + "/tmp")
        self.assertTrue(env["PATH"].startswith(folder + "/bin:"))
        self.assertEqual(env["AWS_ENDPOINT_URL"], self.cloud.endpoint)
        self.assertTrue(env["AWS_EC2_METADATA_SERVICE_ENDPOINT"].startswith("http://127.169.254.169:"))
        self.assertNotIn("ALL_PROXY", env)
        self.assertEqual(self.cloud.describe(i)["StateReason"]["Code"], "Client.InstanceInitiatedShutdown")
        self.assertFalse(os.path.exists(folder + "/boot"))  # user data may hold secrets

    def test_a_boot_script_that_ends_leaves_the_vm_running(self):
        i = self.boot("(setsid sleep 1000 & echo $! > pids); exit 3")
        pid = self.pids(i, 1)[0]
        wait_for("its status", lambda: "[boot script exited with status 3]" in self.cloud.console(i))
        self.assertTrue(alive(pid))
        self.assertEqual(self.cloud.vm(i)["state"], "running")

    def test_termination_kills_every_process_at_once(self):
        i = self.boot(self.FAMILY)
        pids = self.pids(i, 4)
        self.assertTrue(all(map(alive, pids)))
        self.cloud.client("ec2").terminate_instances(InstanceIds=[i])
        self.assertEqual([p for p in pids if alive(p)], [])  # before the answer came

    def test_revocation_without_notice_kills_every_process_at_once(self):
        i = self.boot(self.FAMILY + "\ntrap '' TERM HUP")
        pids = self.pids(i, 4)
        self.cloud.tell("/_ebb/revoke?instance=%s&notice=none" % i)
        wait_for("it ends", lambda: self.cloud.vm(i)["state"] != "running")
        self.assertEqual([p for p in pids if alive(p)], [])
        d = self.cloud.describe(i)
        self.assertEqual(d["StateReason"]["Code"], "Server.SpotInstanceTermination")
        self.assertRegex(d["StateTransitionReason"], r"^Service initiated \(")

    def test_the_emulator_takes_its_vms_with_it(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            cloud = Cloud()
            try:
                i = cloud.run("#!/bin/bash\n" + self.FAMILY)
                path = os.path.join(cloud.state, "vms", i, "root", "pids")
                wait_for("the processes", lambda: os.path.exists(path) and len(open(path).read().split()) >= 4)
                pids = [int(p) for p in open(path).read().split()]
                cloud.stop(how)
                wait_for("all are dead", lambda: not any(map(alive, pids)))
            finally:
                cloud.close()

    def test_a_killed_supervisor_is_a_host_failure(self):
        i = self.boot(self.FAMILY)
        pids = self.pids(i, 4)
        os.kill(self.cloud.vm(i)["supervisor"], signal.SIGKILL)
        wait_for("it ends", lambda: self.cloud.vm(i)["state"] == "terminated")
        self.assertEqual(self.cloud.vm(i)["reason"], "Server.InternalError")
        wait_for("all are dead", lambda: not any(map(alive, pids)))

    def test_the_metadata_service_tells_who_it_is(self):
        script = "#!/bin/sh\nsleep 1000 # <&>\n"
        i = self.cloud.run(script, tags=[("Name", "n"), ("ebb:vm", "vm-7")])
        m = Metadata(self.cloud.vm(i)["metadata_port"])
        self.assertEqual(m.get("meta-data/instance-id"), (200, i))
        self.assertEqual(m.get("meta-data/instance-type"), (200, "t3.medium"))
        self.assertEqual(m.get("meta-data/placement/availability-zone"), (200, "us-east-1a"))
        self.assertEqual(m.get("meta-data/placement/region"), (200, "us-east-1"))
        self.assertEqual(m.get("meta-data/instance-life-cycle"), (200, "spot"))
        self.assertEqual(m.get("meta-data/local-ipv4"), (200, self.cloud.describe(i)["PrivateIpAddress"]))
        self.assertEqual(m.get("meta-data/tags/instance"), (200, "Name\nebb:vm"))
        self.assertEqual(m.get("meta-data/tags/instance/ebb:vm"), (200, "vm-7"))
        self.assertEqual(m.get("meta-data/tags/instance/none")[0], 404)
        self.assertEqual(m.get("user-data"), (200, script))
        document = json.loads(m.get("dynamic/instance-identity/document")[1])
        self.assertEqual((document["instanceId"], document["region"], document["availabilityZone"]),
                         (i, "us-east-1", "us-east-1a"))
        self.assertEqual(m.get("meta-data/spot/instance-action")[0], 404)
        self.assertEqual(m.get("meta-data/events/recommendations/rebalance")[0], 404)
        self.assertEqual(m.get("meta-data/no-such")[0], 404)

    def test_metadata_wants_a_token_that_lives(self):
        m = Metadata(self.cloud.vm(self.boot("sleep 1000"))["metadata_port"])
        self.assertEqual(m.ask("/latest/meta-data/instance-id")[0], 401)
        self.assertEqual(m.ask("/latest/meta-data/instance-id", headers={"X-aws-ec2-metadata-token": "x"})[0], 401)
        for ttl in ("0", "21601", "soon"):
            self.assertEqual(m.ask("/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": ttl})[0], 400)
        self.assertEqual(m.ask("/latest/api/token", "PUT")[0], 400)
        short = m.ask("/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "3"})[1]
        header = {"X-aws-ec2-metadata-token": short}
        self.assertEqual(m.ask("/latest/meta-data/instance-id", headers=header)[0], 200)
        time.sleep(3.1)
        self.assertEqual(m.ask("/latest/meta-data/instance-id", headers=header)[0], 401)
        self.assertEqual(m.ask("/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60",
                                                            "X-Forwarded-For": "1.2.3.4"})[0], 403)

    def test_boto3_inside_finds_its_role_credentials(self):
        i = self.boot("sleep 1000", IamInstanceProfile={"Name": "worker"})
        vm = self.cloud.vm(i)
        changed = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": METADATA % vm["metadata_port"], "AWS_EC2_METADATA_DISABLED": "false"}
        before = {k: os.environ.get(k) for k in changed}
        os.environ.update(changed)
        os.environ.pop("AWS_SECRET_ACCESS_KEY", None)
        try:
            session = boto3.Session(region_name="us-east-1")
            config = botocore.config.Config(s3={"addressing_style": "path"}, signature_version="s3v4")
            s3 = session.client("s3", endpoint_url=self.cloud.endpoint, config=config)
            s3.put_object(Bucket="ebb", Key="from-inside", Body=b"x")
            url = s3.generate_presigned_url("get_object", {"Bucket": "ebb", "Key": "from-inside"})
            self.assertEqual(urllib.request.urlopen(url).read(), b"x")
            arn = session.client("sts", endpoint_url=self.cloud.endpoint).get_caller_identity()["Arn"]
            self.assertTrue(arn.endswith(":assumed-role/worker/" + i), arn)
        finally:
            os.environ.update({k: v for k, v in before.items() if v is not None})
            os.environ.pop("AWS_EC2_METADATA_SERVICE_ENDPOINT", None)

    def test_a_notice_is_shown_and_kept(self):
        i = self.boot("sleep 1000")
        m = Metadata(self.cloud.vm(i)["metadata_port"])
        before = time.time()
        self.cloud.tell("/_ebb/revoke?instance=%s&notice=4s&rebalance=3s" % i)
        wait_for("recommendation", lambda: m.get("meta-data/events/recommendations/rebalance")[0] == 200)
        self.assertEqual(m.get("meta-data/spot/instance-action")[0], 404)
        status, text = wait_for("notice", lambda: m.get("meta-data/spot/instance-action")[0] == 200 and
                                m.get("meta-data/spot/instance-action"))
        notice = json.loads(text)
        self.assertEqual(notice["action"], "terminate")
        self.assertRegex(notice["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(self.cloud.vm(i)["state"], "running")
        wait_for("it ends", lambda: self.cloud.vm(i)["state"] != "running")
        self.assertGreater(time.time() - before, 6.9)

    def test_late_and_lost_notices(self):
        late, lost = self.boot("sleep 1000"), self.boot("sleep 1000")
        m = Metadata(self.cloud.vm(late)["metadata_port"])
        self.cloud.tell("/_ebb/revoke?instance=%s&notice=late&length=7s&late_by=3s" % late)
        self.assertEqual(m.get("meta-data/spot/instance-action")[0], 404)
        self.cloud.tell("/_ebb/revoke?instance=%s&notice=lost&length=1s" % lost)
        wait_for("late notice", lambda: m.get("meta-data/spot/instance-action")[0] == 200)
        wait_for("both end", lambda: {self.cloud.vm(v)["state"] for v in (late, lost)} & {"running"} == set())
        self.assertFalse(self.cloud.vm(lost)["notice_shown"])

    def test_on_demand_vms_are_not_taken(self):
        i = self.boot("sleep 1000", spot=False)
        with self.assertRaises(urllib.error.HTTPError):
            self.cloud.tell("/_ebb/revoke?instance=%s&notice=none" % i)
        self.assertEqual(self.cloud.vm(i)["state"], "running")

    def test_the_bill_of_a_vm(self):
        i = self.boot("sleep 1000", spot=False)
        j = self.boot("sleep 1000")
        time.sleep(1.2)
        self.cloud.client("ec2").terminate_instances(InstanceIds=[i])
        self.cloud.tell("/_ebb/revoke?instance=%s&notice=none" % j)
        bill = wait_for("lines", lambda: {v["instance"]: v for v in self.cloud.ask("/_ebb/bill")["vms"]}.keys() >= {i, j}
                        and {v["instance"]: v for v in self.cloud.ask("/_ebb/bill")["vms"]})
        d = self.cloud.describe(i)
        end = time.strptime(d["StateTransitionReason"].split("(")[1], "%Y-%m-%d %H:%M:%S GMT)")
        import calendar
        seconds = calendar.timegm(end) - int(d["LaunchTime"].timestamp())
        self.assertEqual(bill[i]["billed_s"], max(60, seconds * 60))
        self.assertEqual(bill[i]["usd_micros"], (bill[i]["billed_s"] * 41600 + 1800) // 3600)
        self.assertTrue(bill[j]["forgiven"])
        self.assertEqual(bill[j]["usd_micros"], 0)
        with open(os.path.join(self.cloud.state, "bill.json")) as f:
            self.assertIn(i, [v["instance"] for v in json.load(f)["vms"]])


class Plans(CloudTest):
    """Revocations of the fleet file hit the launch they name, in its phase."""
    extra = """
revocations:
  - {vm: 1, phase: boot, notice: none}
  - {vm: 2, phase: running, after: 0.3s, notice: 1s}
  - {vm: 3, phase: running, after: 2s, scope: zone, notice: none, unavailable: 4s}
"""

    def test_they_do(self):
        script = "#!/bin/sh\ntouch booted\nsleep 1000\n"
        first = self.cloud.run(script)
        wait_for("first ends", lambda: self.cloud.vm(first)["state"] == "terminated")
        self.assertFalse(self.cloud.vm(first)["booted"])
        second = self.cloud.run(script)
        wait_for("notice", lambda: self.cloud.vm(second)["notice_shown"])
        wait_for("second ends", lambda: self.cloud.vm(second)["state"] == "terminated")
        self.assertTrue(self.cloud.vm(second)["booted"])
        third, fourth = self.cloud.run(script), self.cloud.run(script)
        other = self.cloud.run(script, zone="us-east-1b")
        wait_for("the zone ends", lambda: {self.cloud.vm(v)["state"] for v in (third, fourth)} == {"terminated"})
        self.assertEqual(self.cloud.vm(other)["state"], "running")
        self.refused("InsufficientInstanceCapacity", self.cloud.run, script)
        self.succeeds(self.cloud.run, script)


class Traces(FreshCloudTest):
    def test_a_trace_takes_vms_and_refuses_launches(self):
        cloud = self.cloud
        cloud.stop()
        with open(os.path.join(cloud.folder, "trace.json"), "w") as f:
            json.dump({"metadata": {"gap_seconds": 600}, "data": [1] * 8 + [0] * 8 + [1] * 200}, f)
        with open(cloud.fleet, "a") as f:
            f.write("traces: [{zone: us-east-1a, file: trace.json, speed: 1200, notice: none}]\n")
        cloud.start()  # 0.5 s a gap: available for 4 s, then not for 4 s
        i, other = cloud.run(), cloud.run(zone="us-east-1b")
        wait_for("it is taken", lambda: cloud.vm(i)["state"] == "terminated")
        self.refused("InsufficientInstanceCapacity", cloud.run)
        self.assertEqual(cloud.vm(other)["state"], "running")
        self.succeeds(cloud.run)


class Partitions(CloudTest):
    extra = "faults: [{kind: partition, vm: 1, phase: running, after: 4s, for: 3s}]\n"

    def test_a_vm_that_is_cut_off_reaches_its_metadata_alone(self):
        script = """#!/bin/bash
            ask() { curl -s -m 2 -o /dev/null "$AWS_ENDPOINT_URL/_ebb/vms" && echo -n yes || echo -n no; }
            token() { curl -s -m 10 -o /dev/null -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
                "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/api/token" && echo yes || echo no; }
            while [ $SECONDS -lt 12 ]; do echo "try $(date +%s.%N) $(ask) $(token)"; sleep 0.1; done
        """
        i = self.cloud.run(script)
        j = self.cloud.run(script)
        wait_for("both are done", lambda: all("exited" in self.cloud.console(v) for v in (i, j)))

        def tries(vm):
            return [line.split()[2:] for line in self.cloud.console(vm).splitlines() if line.startswith("try")]

        seen = [t[0] for t in tries(i)]
        self.assertEqual((seen[0], seen[-1]), ("yes", "yes"))
        self.assertIn("no", seen)
        self.assertNotIn("no", [t[1] for t in tries(i)])
        self.assertEqual({t[0] for t in tries(j)}, {"yes"})

    def test_its_credentials_are_cut_off_too(self):
        self.cloud.tell("/_ebb/fault?kind=partition&for=6s&vm=3")
        i = self.cloud.run()
        wait_for("it runs", lambda: self.cloud.vm(i)["booted"])
        if self.cloud.vm(i)["number"] != 3:
            self.skipTest("another launch came between")
        m = Metadata(self.cloud.vm(i)["metadata_port"])
        c = json.loads(m.get("meta-data/iam/security-credentials/ebb-vm")[1])
        s3 = self.cloud.client("s3", key=c["AccessKeyId"], secret=c["SecretAccessKey"], token=c["Token"], read_timeout=0.3)
        with self.assertRaises(Exception) as caught:
            s3.list_buckets()
        self.assertIn("Timeout", type(caught.exception).__name__)
        self.succeeds(s3.list_buckets)


class Idle(unittest.TestCase):
    def test_an_idle_cloud_ends_by_itself(self):
        import subprocess
        import tempfile
        from emulated_cloud import EBB, clean_environment
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([EBB, "emulate", "--state", folder + "/s", "--idle-exit", "1s"], timeout=120,
                                  env=clean_environment(), capture_output=True, text=True)
            self.assertEqual(done.returncode, 0)
            self.assertIn("AWS_ENDPOINT_URL=http://127.0.0.1:", done.stdout)


if __name__ == "__main__":
    main()
