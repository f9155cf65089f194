"""boto3 against the emulated S3."""

import base64
import concurrent.futures
import hashlib
import os
import time
import unittest
import urllib.error
import urllib.request
import zlib

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions

from emulated_cloud import Cloud, CloudTest, main


def with_header(client, operation, **headers):
    """Adds raw headers to the next calls of an operation: conditions that this boto3 has no names for."""
    def add(request, **_):
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
    client.meta.events.register("before-sign.s3." + operation, add)
    return client


class Objects(CloudTest):
    def setUp(self):
        self.s3 = self.cloud.client("s3")

    def test_bytes_come_back_with_their_metadata(self):
        body = os.urandom(100000)
        put = self.s3.put_object(Bucket="ebb", Key="k/a", Body=body, ContentType="text/x", Metadata={"n": "v"})
        self.assertEqual(put["ETag"], '"%s"' % hashlib.md5(body).hexdigest())
        got = self.s3.get_object(Bucket="ebb", Key="k/a")
        self.assertEqual(got["Body"].read(), body)
        self.assertEqual((got["ETag"], got["ContentType"], got["Metadata"]), (put["ETag"], "text/x", {"n": "v"}))
        head = self.s3.head_object(Bucket="ebb", Key="k/a")
        self.assertEqual((head["ContentLength"], head["ETag"]), (len(body), put["ETag"]))
        self.assertLess(abs(head["LastModified"].timestamp() - time.time()), 5)

    def test_any_key_signs_and_lists(self):
        keys = ["odd/" + k for k in ("a b", "a+b", "a=b&c", "ü/ß", "~x", "a//b", "%41", "q?x", "'(!*)", "<&>", "é\u4e2d")]
        for key in keys:
            self.s3.put_object(Bucket="ebb", Key=key, Body=key.encode())
        listed = self.s3.list_objects_v2(Bucket="ebb", Prefix="odd/")
        self.assertEqual([o["Key"] for o in listed["Contents"]], sorted(keys, key=lambda k: k.encode()))
        for key in keys:
            self.assertEqual(self.s3.get_object(Bucket="ebb", Key=key)["Body"].read(), key.encode())

    def test_an_empty_object_is_an_object(self):
        self.s3.put_object(Bucket="ebb", Key="empty", Body=b"")
        self.assertEqual(self.s3.get_object(Bucket="ebb", Key="empty")["Body"].read(), b"")

    def test_ranges(self):
        self.s3.put_object(Bucket="ebb", Key="r", Body=b"0123456789")
        for asked, wanted, said in (("bytes=0-3", b"0123", "bytes 0-3/10"), ("bytes=7-", b"789", "bytes 7-9/10"),
                                    ("bytes=-2", b"89", "bytes 8-9/10"), ("bytes=5-500", b"56789", "bytes 5-9/10")):
            got = self.s3.get_object(Bucket="ebb", Key="r", Range=asked)
            self.assertEqual((got["Body"].read(), got["ContentRange"]), (wanted, said))
            self.assertEqual(got["ResponseMetadata"]["HTTPStatusCode"], 206)
        self.refused("InvalidRange", self.s3.get_object, Bucket="ebb", Key="r", Range="bytes=10-", status=416)

    def test_reads_with_conditions(self):
        etag = self.s3.put_object(Bucket="ebb", Key="c", Body=b"x")["ETag"]
        self.s3.get_object(Bucket="ebb", Key="c", IfMatch=etag)
        self.refused("PreconditionFailed", self.s3.get_object, Bucket="ebb", Key="c", IfMatch='"0"', status=412)
        self.refused("304", self.s3.get_object, Bucket="ebb", Key="c", IfNoneMatch=etag, status=304)

    def test_what_is_not_there(self):
        self.refused("NoSuchKey", self.s3.get_object, Bucket="ebb", Key="none", status=404)
        self.refused("404", self.s3.head_object, Bucket="ebb", Key="none", status=404)
        self.refused("NoSuchBucket", self.s3.get_object, Bucket="none", Key="k", status=404)
        self.s3.delete_object(Bucket="ebb", Key="none")

    def test_create_only_puts(self):
        s3 = with_header(self.cloud.client("s3"), "PutObject", If_None_Match="*")
        s3.put_object(Bucket="ebb", Key="once", Body=b"1")
        self.refused("PreconditionFailed", s3.put_object, Bucket="ebb", Key="once", Body=b"2", status=412)
        self.assertEqual(self.s3.get_object(Bucket="ebb", Key="once")["Body"].read(), b"1")

    def test_compare_and_swap_puts(self):
        etag = self.s3.put_object(Bucket="ebb", Key="head", Body=b"1")["ETag"]
        swap = with_header(self.cloud.client("s3"), "PutObject", If_Match=etag)
        swap.put_object(Bucket="ebb", Key="head", Body=b"2")
        self.refused("PreconditionFailed", swap.put_object, Bucket="ebb", Key="head", Body=b"3", status=412)
        self.refused("NoSuchKey", swap.put_object, Bucket="ebb", Key="nohead", Body=b"3", status=404)
        self.assertEqual(self.s3.get_object(Bucket="ebb", Key="head")["Body"].read(), b"2")

    def test_one_wins_a_race(self):
        s3 = with_header(self.cloud.client("s3", max_pool_connections=20), "PutObject", If_None_Match="*")

        def put(i):
            try:
                s3.put_object(Bucket="ebb", Key="race", Body=str(i).encode())
                return i
            except botocore.exceptions.ClientError as e:
                self.assertEqual(e.response["Error"]["Code"], "PreconditionFailed")

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            winners = [i for i in pool.map(put, range(20)) if i is not None]
        self.assertEqual(len(winners), 1)
        self.assertEqual(self.s3.get_object(Bucket="ebb", Key="race")["Body"].read(), str(winners[0]).encode())

    def test_checksums_are_checked(self):
        body = b"some bytes"
        right = {"CRC32": zlib.crc32(body).to_bytes(4, "big"), "SHA1": hashlib.sha1(body).digest(),
                 "SHA256": hashlib.sha256(body).digest(), "CRC32C": bytes.fromhex("7e8ea84f")}
        for name, digest in right.items():
            if name == "CRC32C":
                digest = crc32c(body)
            self.s3.put_object(Bucket="ebb", Key="sum", Body=body,
                               **{"Checksum" + name: base64.b64encode(digest).decode()})
            got = self.s3.get_object(Bucket="ebb", Key="sum", ChecksumMode="ENABLED")
            self.assertEqual(got["Checksum" + name], base64.b64encode(digest).decode())
            wrong = bytes([digest[0] ^ 1]) + digest[1:]
            self.refused("BadDigest", self.s3.put_object, Bucket="ebb", Key="bad", Body=body, status=400,
                         **{"Checksum" + name: base64.b64encode(wrong).decode()})
        self.refused("BadDigest", self.s3.put_object, Bucket="ebb", Key="bad", Body=body,
                     ContentMD5=base64.b64encode(hashlib.md5(b"other").digest()).decode())
        self.refused("InvalidDigest", self.s3.put_object, Bucket="ebb", Key="bad", Body=body, ContentMD5="AAAA")
        self.refused("404", self.s3.head_object, Bucket="ebb", Key="bad")

    def test_a_checksum_that_boto3_works_out_itself(self):
        self.s3.put_object(Bucket="ebb", Key="auto", Body=b"x" * 1000, ChecksumAlgorithm="SHA256")
        self.assertEqual(self.s3.get_object(Bucket="ebb", Key="auto")["Body"].read(), b"x" * 1000)

    def test_lists_page_and_fold(self):
        for i in range(25):
            self.s3.put_object(Bucket="ebb", Key="l/%d/%02d" % (i % 3, i), Body=b"x")
        self.s3.put_object(Bucket="ebb", Key="l/top", Body=b"x")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="ebb", Prefix="l/", PaginationConfig={"PageSize": 4})
        keys = [o["Key"] for p in pages for o in p["Contents"]]
        self.assertEqual(keys, sorted(["l/%d/%02d" % (i % 3, i) for i in range(25)] + ["l/top"]))
        for size in (1, 2, 1000):
            folded = [e for p in self.s3.get_paginator("list_objects_v2").paginate(
                          Bucket="ebb", Prefix="l/", Delimiter="/", PaginationConfig={"PageSize": size})
                      for e in [c["Prefix"] for c in p.get("CommonPrefixes", [])] + [o["Key"] for o in p.get("Contents", [])]]
            self.assertEqual(folded, ["l/0/", "l/1/", "l/2/", "l/top"])
        old = [o["Key"] for p in self.s3.get_paginator("list_objects").paginate(
                   Bucket="ebb", Prefix="l/", PaginationConfig={"PageSize": 7}) for o in p["Contents"]]
        self.assertEqual(old, keys)
        after = self.s3.list_objects_v2(Bucket="ebb", Prefix="l/", StartAfter="l/2/23")
        self.assertEqual([o["Key"] for o in after["Contents"]], ["l/top"])

    def test_deletes(self):
        for i in range(3):
            self.s3.put_object(Bucket="ebb", Key="d/<%d>&" % i, Body=b"x")
        answer = self.s3.delete_objects(Bucket="ebb", Delete={"Objects": [{"Key": "d/<%d>&" % i} for i in range(3)]})
        self.assertEqual(len(answer["Deleted"]), 3)
        self.assertEqual(self.s3.list_objects_v2(Bucket="ebb", Prefix="d/")["KeyCount"], 0)

    def test_copies(self):
        self.s3.put_object(Bucket="ebb", Key="from ü", Body=b"bytes", Metadata={"a": "b"})
        self.s3.copy_object(Bucket="ebb", Key="to", CopySource={"Bucket": "ebb", "Key": "from ü"})
        got = self.s3.get_object(Bucket="ebb", Key="to")
        self.assertEqual((got["Body"].read(), got["Metadata"]), (b"bytes", {"a": "b"}))

    def test_multipart(self):
        parts = [os.urandom(5 << 20), os.urandom(5 << 20), b"end"]
        upload = self.s3.create_multipart_upload(Bucket="ebb", Key="mp", ContentType="a/b")["UploadId"]
        done = [{"PartNumber": i + 1, "ETag": self.s3.upload_part(Bucket="ebb", Key="mp", UploadId=upload,
                                                                  PartNumber=i + 1, Body=p)["ETag"]}
                for i, p in enumerate(parts)]
        self.refused("InvalidPartOrder", self.s3.complete_multipart_upload, Bucket="ebb", Key="mp", UploadId=upload,
                     MultipartUpload={"Parts": done[::-1]})
        answer = self.s3.complete_multipart_upload(Bucket="ebb", Key="mp", UploadId=upload, MultipartUpload={"Parts": done})
        digest = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()
        self.assertEqual(answer["ETag"], '"%s-3"' % digest)
        got = self.s3.get_object(Bucket="ebb", Key="mp")
        self.assertEqual((got["Body"].read(), got["ContentType"]), (b"".join(parts), "a/b"))
        self.refused("NoSuchUpload", self.s3.upload_part, Bucket="ebb", Key="mp", UploadId=upload, PartNumber=1, Body=b"")
        small = self.s3.create_multipart_upload(Bucket="ebb", Key="mp2")["UploadId"]
        two = [{"PartNumber": i, "ETag": self.s3.upload_part(Bucket="ebb", Key="mp2", UploadId=small, PartNumber=i,
                                                             Body=b"x")["ETag"]} for i in (1, 2)]
        self.refused("EntityTooSmall", self.s3.complete_multipart_upload, Bucket="ebb", Key="mp2", UploadId=small,
                     MultipartUpload={"Parts": two})
        self.s3.abort_multipart_upload(Bucket="ebb", Key="mp2", UploadId=small)
        self.refused("NoSuchUpload", self.s3.upload_part, Bucket="ebb", Key="mp2", UploadId=small, PartNumber=1, Body=b"")

    def test_buckets(self):
        self.assertIn("ebb", [b["Name"] for b in self.s3.list_buckets()["Buckets"]])
        self.s3.create_bucket(Bucket="second")
        self.s3.head_bucket(Bucket="second")
        self.s3.put_object(Bucket="second", Key="k", Body=b"")
        self.refused("BucketNotEmpty", self.s3.delete_bucket, Bucket="second", status=409)
        self.s3.delete_object(Bucket="second", Key="k")
        self.s3.delete_bucket(Bucket="second")
        self.refused("404", self.s3.head_bucket, Bucket="second")
        self.refused("InvalidBucketName", self.s3.create_bucket, Bucket="no..dots")

    def test_files_of_any_size_go_up_and_down(self):
        body = os.urandom(30 << 20)
        path = os.path.join(self.cloud.folder, "big")
        with open(path, "wb") as f:
            f.write(body)
        self.s3.upload_file(path, "ebb", "big")
        self.s3.download_file("ebb", "big", path + ".back")
        with open(path + ".back", "rb") as f:
            self.assertEqual(f.read(), body)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "big")


class Signatures(CloudTest):
    def setUp(self):
        self.s3 = self.cloud.client("s3", signature_version="s3v4")  # else boto3 presigns as of old
        self.s3.put_object(Bucket="ebb", Key="k", Body=b"body")

    def get(self, url, **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def test_who_signs_wrong_is_refused(self):
        wrong = self.cloud.client("s3", secret="x" * 40)
        self.refused("SignatureDoesNotMatch", wrong.get_object, Bucket="ebb", Key="k", status=403)
        unknown = self.cloud.client("s3", key="AKIA" + "A" * 16)
        self.refused("InvalidAccessKeyId", unknown.get_object, Bucket="ebb", Key="k", status=403)
        token = self.cloud.client("s3", token="made-up")
        self.refused("InvalidToken", token.get_object, Bucket="ebb", Key="k", status=400)
        self.assertEqual(self.get(self.cloud.endpoint + "/ebb/k")[0], 403)

    def test_presigned_urls_work_until_they_expire(self):
        url = self.s3.generate_presigned_url("get_object", {"Bucket": "ebb", "Key": "k"}, ExpiresIn=60)
        self.assertEqual(self.get(url), (200, b"body"))
        self.assertEqual(self.get(url.replace("/k?", "/other?"))[0], 403)
        self.assertEqual(self.get(url.replace("Expires=60", "Expires=6000"))[0], 403)
        short = self.s3.generate_presigned_url("get_object", {"Bucket": "ebb", "Key": "k"}, ExpiresIn=1)
        time.sleep(2.1)
        status, body = self.get(short)
        self.assertEqual(status, 403)
        self.assertIn(b"AccessDenied", body)

    def test_a_presigned_put_needs_no_more_than_its_url(self):
        url = self.s3.generate_presigned_url("put_object", {"Bucket": "ebb", "Key": "up"}, ExpiresIn=60)
        with urllib.request.urlopen(urllib.request.Request(url, data=b"sent", method="PUT")) as answer:
            self.assertEqual(answer.status, 200)
        self.assertEqual(self.s3.get_object(Bucket="ebb", Key="up")["Body"].read(), b"sent")

    def send_signed(self, skew_s=0, headers=(), body=b"", tamper=False):
        request = botocore.awsrequest.AWSRequest("PUT", self.cloud.endpoint + "/ebb/signed", data=body, headers=dict(headers))
        credentials = botocore.credentials.Credentials(self.cloud.key, self.cloud.secret)
        real = botocore.auth.datetime.datetime

        class Shifted(real):
            @classmethod
            def utcnow(cls):
                return real.utcfromtimestamp(time.time() + skew_s)

        botocore.auth.datetime.datetime = Shifted
        try:
            botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
        finally:
            botocore.auth.datetime.datetime = real
        prepared = request.prepare()
        data = body + b"!" if tamper else body
        return self.put(prepared.url, data, dict(prepared.headers))

    def put(self, url, data, headers):
        headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in headers.items() if k.lower() != "content-length"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=data, method="PUT", headers=headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def test_a_clock_that_is_off_is_told_so(self):
        self.assertEqual(self.send_signed()[0], 200)
        self.assertEqual(self.send_signed(skew_s=600)[0], 200)
        status, body = self.send_signed(skew_s=-1200)
        self.assertEqual(status, 403)
        self.assertIn(b"RequestTimeTooSkewed", body)

    def test_a_body_that_is_not_the_signed_one_is_refused(self):
        digest = hashlib.sha256(b"body").hexdigest()
        status, body = self.send_signed(headers={"x-amz-content-sha256": digest}, body=b"body", tamper=True)
        self.assertEqual(status, 400)
        self.assertIn(b"XAmzContentSHA256Mismatch", body)

    def chunked(self, body, checksum):
        return b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (len(body), body, base64.b64encode(checksum))

    def test_chunked_bodies_with_a_trailing_checksum(self):
        body = b"chunked body"
        good = zlib.crc32(body).to_bytes(4, "big")
        headers = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "content-encoding": "aws-chunked",
                   "x-amz-decoded-content-length": str(len(body)), "x-amz-trailer": "x-amz-checksum-crc32"}
        self.assertEqual(self.send_signed(headers=headers, body=self.chunked(body, good))[0], 200)
        self.assertEqual(self.s3.get_object(Bucket="ebb", Key="signed")["Body"].read(), body)
        status, answer = self.send_signed(headers=headers, body=self.chunked(body, b"\0\0\0\0"))
        self.assertEqual((status, b"BadDigest" in answer), (400, True))
        status, answer = self.send_signed(headers=headers, body=b"5\r\nabc")
        self.assertEqual(status, 400)
        status, answer = self.send_signed(headers=dict(headers, **{"x-amz-decoded-content-length": "3"}),
                                          body=self.chunked(body, good))
        self.assertEqual((status, b"IncompleteBody" in answer), (400, True))


class Persistence(unittest.TestCase):
    def test_objects_and_keys_survive_a_kill(self):
        cloud = Cloud()
        try:
            s3 = cloud.client("s3")
            for i in range(50):
                s3.put_object(Bucket="ebb", Key="o%d" % i, Body=b"x" * i, Metadata={"i": str(i)})
            etag = s3.head_object(Bucket="ebb", Key="o7")["ETag"]
            key = cloud.key
            cloud.stop(how=9)
            cloud.start()
            s3 = cloud.client("s3")
            self.assertEqual(cloud.key, key)
            self.assertEqual(s3.list_objects_v2(Bucket="ebb")["KeyCount"], 50)
            got = s3.get_object(Bucket="ebb", Key="o7")
            self.assertEqual((got["Body"].read(), got["ETag"], got["Metadata"]), (b"x" * 7, etag, {"i": "7"}))
        finally:
            cloud.close()

    def test_the_credentials_file_is_private(self):
        cloud = Cloud()
        try:
            self.assertEqual(os.stat(os.path.join(cloud.state, "credentials")).st_mode & 0o777, 0o600)
            self.assertNotIn(cloud.secret, cloud.banner + cloud.read_log())
        finally:
            cloud.close()


if __name__ == "__main__":
    main()
