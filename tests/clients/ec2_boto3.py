"""boto3 against the emulated EC2, STS and price list."""

import datetime
import json
import time
import unittest

from emulated_cloud import FLEET, IMAGE, Cloud, CloudTest, FreshCloudTest, main, wait_for

SPOT = {"MarketType": "spot"}


class Launches(CloudTest):
    def setUp(self):
        self.ec2 = self.cloud.client("ec2")

    def tearDown(self):
        live = [v["instance"] for v in self.cloud.ask("/_ebb/vms")["vms"] if v["state"] in ("pending", "running")]
        if live:
            self.ec2.terminate_instances(InstanceIds=live)

    def ask_for(self, **more):
        q = dict(ImageId=IMAGE, InstanceType="t3.medium", MinCount=1, MaxCount=1, InstanceMarketOptions=SPOT,
                 Placement={"AvailabilityZone": "us-east-1a"})
        q.update(more)
        return self.ec2.run_instances(**q)

    def test_a_vm_goes_through_its_states(self):
        tags = [{"Key": "Name", "Value": "n <&>"}, {"Key": "ebb:vm", "Value": "vm-1"}]
        launched = self.ask_for(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])["Instances"][0]
        self.assertEqual(launched["State"]["Name"], "pending")
        i = launched["InstanceId"]
        wait_for("running", lambda: self.cloud.describe(i)["State"]["Name"] == "running")
        d = self.cloud.describe(i)
        self.assertEqual((d["InstanceType"], d["Placement"]["AvailabilityZone"], d["InstanceLifecycle"]),
                         ("t3.medium", "us-east-1a", "spot"))
        self.assertTrue(d["SpotInstanceRequestId"].startswith("sir-"))
        self.assertEqual({t["Key"]: t["Value"] for t in d["Tags"]}, {"Name": "n <&>", "ebb:vm": "vm-1"})
        answer = self.ec2.terminate_instances(InstanceIds=[i])["TerminatingInstances"][0]
        self.assertEqual((answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]), ("running", "shutting-down"))
        wait_for("terminated", lambda: self.cloud.describe(i)["State"]["Name"] == "terminated")
        d = self.cloud.describe(i)
        self.assertEqual(d["StateReason"]["Code"], "Client.UserInitiatedShutdown")
        self.assertRegex(d["StateTransitionReason"], r"^User initiated \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\)$")
        self.ec2.terminate_instances(InstanceIds=[i])  # again is fine

    def test_a_client_token_names_a_launch_for_good(self):
        one = self.ask_for(ClientToken="token-1")["Instances"][0]["InstanceId"]
        two = self.ask_for(ClientToken="token-1")["Instances"][0]["InstanceId"]
        self.assertEqual(one, two)
        self.refused("IdempotentParameterMismatch", self.ask_for, ClientToken="token-1", InstanceType="c5.large")
        self.ec2.terminate_instances(InstanceIds=[one])
        self.assertEqual(self.ask_for(ClientToken="token-1")["Instances"][0]["InstanceId"], one)
        self.assertNotEqual(self.ask_for(ClientToken="token-2")["Instances"][0]["InstanceId"], one)
        self.refused("InvalidParameterValue", self.ask_for, ClientToken="x" * 65)

    def test_capacity_runs_out_and_comes_back(self):
        ids = [i["InstanceId"] for i in self.ask_for(MinCount=2, MaxCount=5)["Instances"]]
        self.assertEqual(len(ids), 3)  # what there is
        self.refused("InsufficientInstanceCapacity", self.ask_for)
        self.ask_for(Placement={"AvailabilityZone": "us-east-1b"})
        self.ec2.terminate_instances(InstanceIds=ids[:1])
        self.ask_for()
        self.refused("InsufficientInstanceCapacity", self.ask_for, MinCount=3, MaxCount=3)
        elsewhere = self.ask_for(Placement={})["Instances"][0]  # any zone
        self.assertNotEqual(elsewhere["Placement"]["AvailabilityZone"], "us-east-1a")

    def test_what_is_not_right_is_refused(self):
        self.refused("InvalidParameterValue", self.ask_for, InstanceType="no.such")
        self.refused("InvalidParameterValue", self.ask_for, Placement={"AvailabilityZone": "us-east-9a"})
        self.refused("InvalidAMIID.Malformed", self.ask_for, ImageId="image")
        self.refused("SpotMaxPriceTooLow", self.ask_for,
                     InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.01"}})
        self.refused("Unsupported", self.ask_for, InstanceType="c5.large", Placement={"AvailabilityZone": "us-east-1c"})
        self.refused("DryRunOperation", self.ask_for, DryRun=True)
        self.refused("InvalidInstanceID.NotFound", self.ec2.describe_instances, InstanceIds=["i-00000000000000000"])
        self.refused("InvalidInstanceID.Malformed", self.ec2.terminate_instances, InstanceIds=["i-zz"])
        self.refused("InvalidAction", self.ec2.describe_vpcs)

    def test_who_signs_wrong_is_refused(self):
        wrong = self.cloud.client("ec2", secret="x" * 40)
        self.refused("AuthFailure", wrong.describe_instances, status=401)
        sts = self.cloud.client("sts", secret="x" * 40)
        self.refused("SignatureDoesNotMatch", sts.get_caller_identity, status=403)

    def test_filters_and_pages(self):
        ids = [self.cloud.run(zone=z, tags=[("g", "page"), ("n", str(n))])
               for n, z in enumerate(["us-east-1a", "us-east-1a", "us-east-1b", "us-east-1c"])]
        self.cloud.run(zone="us-east-1c", tags=[("g", "other")])

        def found(*filters, **more):
            pages = self.ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": n, "Values": v} for n, v in filters], **more)
            return [i["InstanceId"] for p in pages for r in p["Reservations"] for i in r["Instances"]]

        page = ("tag:g", ["page"])
        self.assertEqual(found(page), ids)
        self.assertEqual(found(page, PaginationConfig={"PageSize": 5}), ids)
        self.assertEqual(found(page, ("availability-zone", ["us-east-1b", "us-east-1c"])), ids[2:])
        self.assertEqual(found(page, ("tag:n", ["[01]"])), ids[:2])
        self.assertEqual(found(("tag-key", ["n"]), ("instance-state-name", ["pending", "running"])), ids)
        self.assertEqual(found(page, ("instance-state-name", ["stopped"])), [])
        self.refused("InvalidParameterValue", found, ("no-such-filter", ["x"]))
        self.refused("InvalidParameterCombination", self.ec2.describe_instances, InstanceIds=ids, MaxResults=5)

    def test_tags(self):
        i = self.cloud.run(tags=[("a", "1")])
        self.ec2.create_tags(Resources=[i], Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
        tags = self.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [i]}])["Tags"]
        self.assertEqual([(t["Key"], t["Value"], t["ResourceType"]) for t in tags],
                         [("a", "2", "instance"), ("b", "", "instance")])
        self.refused("InvalidID", self.ec2.create_tags, Resources=["i-00000000000000000"], Tags=[{"Key": "a", "Value": ""}])

    def test_fleets(self):
        self.ec2.create_launch_template(LaunchTemplateName="lt-test", LaunchTemplateData={
            "ImageId": IMAGE, "InstanceType": "t3.medium",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "lt"}]}]})

        def fleet(target, overrides, token="", market="spot"):
            return self.ec2.create_fleet(
                Type="instant", ClientToken=token, SpotOptions={"AllocationStrategy": "lowest-price"},
                TargetCapacitySpecification={"TotalTargetCapacity": target, "DefaultTargetCapacityType": market},
                LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateName": "lt-test", "Version": "$Latest"},
                                        "Overrides": overrides}])

        def dearer():
            history = self.ec2.describe_spot_price_history(
                InstanceTypes=["t3.medium"], AvailabilityZone="us-east-1b", ProductDescriptions=["Linux/UNIX"],
                StartTime=datetime.datetime.now(datetime.timezone.utc))
            return history["SpotPriceHistory"][0]["SpotPrice"] == "0.014000"

        wait_for("us-east-1a is the cheapest zone, as it is from 1 s on", dearer)
        zones = [{"InstanceType": "t3.medium", "AvailabilityZone": z} for z in ("us-east-1c", "us-east-1a", "us-east-1b")]
        answer = fleet(4, zones, "fleet-1")
        got = [(i["LaunchTemplateAndOverrides"]["Overrides"]["AvailabilityZone"], i["Lifecycle"]) for i in answer["Instances"]]
        self.assertEqual(got, [("us-east-1a", "spot")] * 3 + [("us-east-1b", "spot")])  # by price, up to capacity
        self.assertEqual(answer["Errors"][0]["ErrorCode"], "InsufficientInstanceCapacity")
        ids = [i for f in answer["Instances"] for i in f["InstanceIds"]]
        again = fleet(4, zones, "fleet-1")
        self.assertEqual([i for f in again["Instances"] for i in f["InstanceIds"]], ids)
        self.refused("IdempotentParameterMismatch", fleet, 3, zones, "fleet-1")
        self.assertEqual(self.cloud.describe(ids[0])["Tags"], [{"Key": "from", "Value": "lt"}])
        none = fleet(1, [{"InstanceType": "g5.xlarge", "AvailabilityZone": "us-east-1a"}], market="on-demand")
        self.assertEqual(none["Instances"][0]["Lifecycle"], "on-demand")
        full = fleet(1, [{"InstanceType": "g5.xlarge", "AvailabilityZone": "us-east-1a"}])
        self.assertEqual((full.get("Instances", []), full["Errors"][0]["ErrorCode"]), ([], "InsufficientInstanceCapacity"))
        self.ec2.delete_launch_template(LaunchTemplateName="lt-test")
        self.refused("InvalidLaunchTemplateName.NotFoundException", fleet, 1, zones)


class Catalogue(CloudTest):
    def setUp(self):
        self.ec2 = self.cloud.client("ec2")

    def test_spot_prices_tell_the_one_in_force_and_each_change(self):
        time.sleep(1.2)  # the price of us-east-1b changes after 1 s
        now = datetime.datetime.now(datetime.timezone.utc)

        def prices(start, **more):
            pages = self.ec2.get_paginator("describe_spot_price_history").paginate(
                InstanceTypes=["t3.medium"], ProductDescriptions=["Linux/UNIX"], StartTime=start, **more)
            return [(p["AvailabilityZone"], p["SpotPrice"]) for page in pages for p in page["SpotPriceHistory"]]

        every = [("us-east-1a", "0.013100"), ("us-east-1b", "0.014000"), ("us-east-1b", "0.012500"), ("us-east-1c", "0.014200")]
        self.assertEqual(prices(now - datetime.timedelta(hours=1)), every)
        self.assertEqual(prices(now - datetime.timedelta(hours=1), PaginationConfig={"PageSize": 1}), every)
        self.assertEqual(prices(now), [every[0], every[1], every[3]])
        self.assertEqual(prices(now, AvailabilityZone="us-east-1c"), every[3:])

    def test_types_zones_and_offerings(self):
        types = {t["InstanceType"]: t for t in self.ec2.describe_instance_types()["InstanceTypes"]}
        self.assertEqual(sorted(types), ["c5.large", "g5.xlarge", "t3.medium"])
        g5 = types["g5.xlarge"]
        self.assertEqual((g5["VCpuInfo"]["DefaultVCpus"], g5["MemoryInfo"]["SizeInMiB"]), (4, 16384))
        self.assertEqual((g5["GpuInfo"]["Gpus"][0]["Name"], g5["GpuInfo"]["Gpus"][0]["Count"]), ("A10G", 1))
        self.refused("InvalidInstanceType", self.ec2.describe_instance_types, InstanceTypes=["no.such"])
        zones = self.ec2.describe_availability_zones()["AvailabilityZones"]
        self.assertEqual([z["ZoneName"] for z in zones], ["us-east-1a", "us-east-1b", "us-east-1c"])
        self.assertEqual(self.ec2.describe_regions()["Regions"][0]["RegionName"], "us-east-1")
        offers = self.ec2.describe_instance_type_offerings(LocationType="availability-zone",
                                                           Filters=[{"Name": "instance-type", "Values": ["c5.large"]}])
        self.assertEqual(len(offers["InstanceTypeOfferings"]), 3)
        self.assertEqual(self.ec2.describe_images()["Images"][0]["ImageId"], IMAGE)

    def test_the_price_list(self):
        pricing = self.cloud.client("pricing")
        answer = pricing.get_products(ServiceCode="AmazonEC2", Filters=[
            {"Type": "TERM_MATCH", "Field": "instanceType", "Value": "c5.large"},
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"}])
        self.assertEqual(len(answer["PriceList"]), 1)
        product = json.loads(answer["PriceList"][0])
        self.assertEqual(product["product"]["attributes"]["instanceType"], "c5.large")
        dimension = next(iter(next(iter(product["terms"]["OnDemand"].values()))["priceDimensions"].values()))
        self.assertEqual((float(dimension["pricePerUnit"]["USD"]), dimension["unit"]), (0.085, "Hrs"))
        self.assertEqual(len(list(pricing.get_paginator("get_products").paginate(
            ServiceCode="AmazonEC2", PaginationConfig={"PageSize": 1}))), 3)

    def test_who_am_i(self):
        self.assertRegex(self.cloud.client("sts").get_caller_identity()["Account"], r"^\d{12}$")


class Faults(FreshCloudTest):
    """Clients are there before the fault: to make one may take longer than the fault lasts."""

    def setUp(self):
        super().setUp()
        self.ec2 = self.cloud.client("ec2")

    def test_throttled_calls_say_so_and_a_client_that_retries_gets_through(self):
        patient = self.cloud.client("ec2", retries={"max_attempts": 10, "mode": "standard"})
        self.cloud.tell("/_ebb/fault?kind=throttle&service=ec2&action=DescribeRegions&for=6s")
        self.refused("RequestLimitExceeded", self.ec2.describe_regions, status=503)
        self.ec2.describe_availability_zones()  # the fault is that action's alone
        self.assertGreater(patient.describe_regions()["ResponseMetadata"]["RetryAttempts"], 0)

    def test_s3_that_refuses_says_slow_down(self):
        s3 = self.cloud.client("s3")
        self.cloud.tell("/_ebb/fault?kind=throttle&service=s3&for=4s")
        self.refused("SlowDown", s3.put_object, Bucket="ebb", Key="k", Body=b"", status=503)
        self.succeeds(s3.put_object, Bucket="ebb", Key="k", Body=b"")

    def test_half_the_calls_fail_at_rate_one_half(self):
        self.cloud.tell("/_ebb/fault?kind=error&service=ec2&action=DescribeImages&rate=0.5")
        good = 0
        for _ in range(100):
            try:
                self.ec2.describe_images()
                good += 1
            except Exception as e:
                self.assertEqual(e.response["Error"]["Code"], "InternalError")
        self.assertTrue(25 < good < 75, good)

    def test_a_lost_answer_was_done_all_the_same(self):
        s3 = self.cloud.client("s3")
        self.cloud.tell("/_ebb/fault?kind=lost-answer&service=s3&action=PUT")
        with self.assertRaises(Exception) as caught:
            s3.put_object(Bucket="ebb", Key="lost", Body=b"there")
        self.assertNotIn("ClientError", type(caught.exception).__name__)
        self.assertEqual(s3.get_object(Bucket="ebb", Key="lost")["Body"].read(), b"there")

    def test_a_transfer_is_slow_no_longer_than_the_fault(self):
        s3 = self.cloud.client("s3")
        self.cloud.tell("/_ebb/fault?kind=slow&service=s3&bandwidth=1000&for=3s")
        before = time.monotonic()
        s3.put_object(Bucket="ebb", Key="slow", Body=b"x" * 100000)
        took = time.monotonic() - before
        self.assertGreater(took, 0.5)
        self.assertLess(took, 60)  # a hundred seconds at that bandwidth

    def test_slow_s3_takes_its_time(self):
        s3 = self.cloud.client("s3")
        s3.put_object(Bucket="ebb", Key="slow", Body=b"x" * 100000)
        self.cloud.tell("/_ebb/fault?kind=slow&service=s3&latency=0.2s&bandwidth=200000")
        for call in (lambda: s3.put_object(Bucket="ebb", Key="slow", Body=b"x" * 100000),
                     lambda: s3.get_object(Bucket="ebb", Key="slow")["Body"].read()):
            begin = time.monotonic()
            call()
            self.assertTrue(0.65 < time.monotonic() - begin < 20)

    def test_no_capacity_and_quota_by_place(self):
        self.cloud.tell("/_ebb/fault?kind=no-capacity&zone=us-east-1b")
        with self.assertRaises(Exception) as caught:
            self.cloud.run(zone="us-east-1b")
        self.assertEqual(caught.exception.response["Error"]["Code"], "InsufficientInstanceCapacity")
        self.cloud.tell("/_ebb/fault?kind=quota&type=c5.large")
        with self.assertRaises(Exception) as caught:
            self.cloud.run(kind="c5.large")
        self.assertEqual(caught.exception.response["Error"]["Code"], "MaxSpotInstanceCountExceeded")
        self.cloud.run(zone="us-east-1a")


class Stale(CloudTest):
    extra = "faults: [{kind: stale-describe, lag: 5s}]\n"

    def test_a_new_vm_is_unknown_for_a_while(self):
        i = self.cloud.run(tags=[("s", "1")])
        self.refused("InvalidInstanceID.NotFound", self.cloud.describe, i)
        self.assertEqual(self.cloud.client("ec2").describe_instances()["Reservations"], [])
        wait_for("it is known", lambda: self.cloud.client("ec2").describe_instances()["Reservations"])


class Restart(unittest.TestCase):
    def test_a_restarted_cloud_remembers_vms_tokens_and_the_bill(self):
        cloud = Cloud(FLEET.replace("pending: 0.1s", "pending: 3s"))
        try:
            i = cloud.run(tags=[("k", "v")], ClientToken="before")
            wait_for("it runs", lambda: cloud.vm(i)["booted"])
            j = cloud.run(ClientToken="ended")
            cloud.client("ec2").terminate_instances(InstanceIds=[j])
            wait_for("it ends", lambda: cloud.vm(j)["state"] == "terminated")
            cloud.stop(how=9)
            cloud.start()
            d = cloud.describe(i)
            self.assertEqual((d["State"]["Name"], d["Tags"]), ("terminated", [{"Key": "k", "Value": "v"}]))
            self.assertEqual(cloud.run(tags=[("k", "v")], ClientToken="before"), i)
            bill = {v["instance"]: v for v in cloud.ask("/_ebb/bill")["vms"]}
            self.assertEqual(sorted(bill), sorted([i, j]))
            self.assertGreaterEqual(bill[i]["billed_s"], 60)
            self.assertGreater(bill[i]["usd_micros"], 0)
            self.assertEqual(bill[j]["usd_micros"], 0)  # it never ran
            cloud.stop()
            cloud.start()
            self.assertEqual(len(cloud.ask("/_ebb/bill")["vms"]), 2)
        finally:
            cloud.close()

    def test_one_state_folder_has_one_cloud(self):
        cloud = Cloud()
        try:
            with self.assertRaises(RuntimeError) as caught:
                Cloud(state=cloud.folder)
            self.assertIn("runs already", str(caught.exception))
        finally:
            cloud.close()


if __name__ == "__main__":
    main()
