"""The built function against LocalStack's S3 and Secrets Manager."""

import json
import os
import subprocess
import time
import unittest
import uuid
from pathlib import Path

from botocore.exceptions import ClientError

import events
from case import PART, Case, document, world
from events import Recording

ROOT = Path(__file__).resolve().parents[2]
AUDIT = Path(os.environ["AUDIT"])


def setUpModule():
    world.start()


class Sizes(Case):
    """Recordings of each size and form."""

    def setUp(self):
        super().setUp()
        self.buckets()

    def test_a_small_recording(self):
        self.archived(self.start(), Recording([document(4321)]))

    def test_one_byte_in_the_form_of_2021(self):
        self.archived(self.start(), Recording([document(1)], preview=True))

    def test_exactly_one_part(self):
        self.archived(self.start(), Recording([document(PART)]))

    def test_several_parts_and_a_rest(self):
        recording = Recording([document(3 * PART + 12345)])
        answer = self.archived(self.start(), recording)
        self.assertEqual(world.acs.sent(), 3 * PART + 12345, "each byte is fetched once")
        self.assertGreaterEqual(answer["bytes"], world.acs.sent())

    def test_three_chunks_by_cloud_events(self):
        recording = Recording([document(PART + 1), document(1), document(70_001)])
        self.archived(self.start(), recording, cloud=True)

    def test_ranges_ignored(self):
        for ranges in ("ignored", "ignored without length"):
            with self.subTest(ranges):
                world.acs.reset()
                self.archive = f"archive-{uuid.uuid4().hex}"
                self.work = f"work-{uuid.uuid4().hex}"
                self.buckets()
                world.acs.ranges = ranges
                self.archived(self.start(), Recording([document(2 * PART + 5)]))

    def test_one_bucket_for_all(self):
        process = self.start(WORK_BUCKET=None)
        self.archived(process, Recording([document(PART + 1)]))


class Again(Case):
    """Recordings that take more than one run."""

    def setUp(self):
        super().setUp()
        self.buckets()

    def broken_off(self, recording):
        """Kills the function in the middle of a recording; returns the bytes that S3 has."""
        world.acs.hold_after = 2 * PART + PART // 2
        process = self.start(TRANSFER_CONCURRENCY="1")
        posted = events.published(recording.event())
        process.begin(json.dumps(events.delivery(*posted)).encode())
        parts = self.wait(lambda: len(self.parts()) == 2 and self.parts())
        process.kill()
        world.acs.hold_after = None
        world.acs.go_on.set()
        world.acs.requests = []
        media, _ = recording.keys(0)
        self.assertNotIn(media, self.keys(self.archive), "an object is whole or absent")
        return sum(part["Size"] for part in parts)

    def parts(self):
        uploads = self.s3.list_multipart_uploads(Bucket=self.archive).get("Uploads", [])
        if not uploads:
            return []
        (upload,) = uploads
        listed = self.s3.list_parts(
            Bucket=self.archive, Key=upload["Key"], UploadId=upload["UploadId"]
        )
        return listed.get("Parts", [])

    def wait(self, so, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := so():
                return found
            time.sleep(0.1)
        raise AssertionError("never")

    def test_killed_and_delivered_again(self):
        recording = Recording([document(4 * PART + 1)])
        kept = self.broken_off(recording)
        self.archived(self.start(), recording, attempt=1)
        self.assertEqual(4 * PART + 1 - kept, world.acs.sent(), "what S3 keeps stays")

    def test_killed_and_finished_by_the_schedule(self):
        recording = Recording([document(4 * PART + 1)])
        kept = self.broken_off(recording)
        # A run that had to stop leaves an empty claim, and the event is due at once.
        (event,) = (key for key in self.keys(self.work) if key.endswith("/event.json"))
        claim = event.removesuffix("event.json") + "attempt.json"
        self.s3.put_object(Bucket=self.work, Key=claim, Body=b"")
        tick = (ROOT / "events" / "schedule-rule.json").read_text()
        answer = self.start().invoke(json.loads(tick))
        self.assertEqual((1, 1, 1), tuple(answer[n] for n in ("pending", "taken", "finished")))
        self.holds(recording)
        self.assertEqual(4 * PART + 1 - kept, world.acs.sent(), "what S3 keeps stays")

    def test_delivered_again(self):
        recording = Recording([document(PART + 1)])
        process = self.start()
        self.archived(process, recording)
        world.acs.requests = []
        for cloud in (False, True):
            status, body = self.deliver(process, recording, cloud=cloud, attempt=1)
            self.assertEqual((200, "alreadyArchived"), (status, body["events"][0]["outcome"]))
        self.assertEqual([], world.acs.requests)
        self.holds(recording)

    def test_delivered_twice_at_once(self):
        recording = Recording([document(3 * PART + 1)])
        posted = events.published(recording.event())
        payload = json.dumps(events.delivery(*posted)).encode()
        begun = [self.start().begin(payload) for _ in range(2)]
        for invocation in begun:
            self.assertTrue(invocation.done.wait(120))
            self.assertEqual(200, json.loads(invocation.answer)["statusCode"])
        self.holds(recording)


class Buckets(Case):
    """Settings and earlier contents of the archive bucket."""

    def test_versions(self):
        self.buckets()
        self.s3.put_bucket_versioning(
            Bucket=self.archive, VersioningConfiguration={"Status": "Enabled"}
        )
        self.archived(self.start(), Recording([document(PART + 1)]))
        versions = self.s3.list_object_versions(Bucket=self.archive)
        self.assertNotIn("DeleteMarkers", versions)
        self.assertEqual(3, len(versions["Versions"]), "each object has one version")

    def test_object_lock(self):
        self.buckets(ObjectLockEnabledForBucket=True)
        self.s3.put_object_lock_configuration(
            Bucket=self.archive,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
            },
        )
        recording = Recording([document(PART + 1)])
        self.archived(self.start(), recording)
        for key in self.keys(self.archive):
            head = self.s3.head_object(Bucket=self.archive, Key=key)
            self.assertEqual("COMPLIANCE", head["ObjectLockMode"], key)
            with self.assertRaises(ClientError):
                self.s3.delete_object(
                    Bucket=self.archive, Key=key, VersionId=head["VersionId"]
                )

    def test_a_kms_key(self):
        self.buckets()
        key = world.engine.client("kms").create_key()["KeyMetadata"]["Arn"]
        for bucket in (self.archive, self.work):
            by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
            rule = {"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}
            self.s3.put_bucket_encryption(
                Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
            )
        self.archived(self.start(), Recording([document(PART + 1)]))
        for name in self.keys(self.archive):
            head = self.s3.head_object(Bucket=self.archive, Key=name)
            self.assertEqual(("aws:kms", key), (head["ServerSideEncryption"], head["SSEKMSKeyId"]))

    def test_a_foreign_object(self):
        self.buckets()
        recording = Recording([document(1000), document(2000)])
        foreign, _ = recording.keys(0)
        self.s3.put_object(Bucket=self.archive, Key=foreign, Body=b"another's")
        status, body = self.deliver(self.start(), recording)
        self.assertEqual((200, "setAside"), (status, body["events"][0]["outcome"]))
        self.assertEqual(b"another's", self.read(foreign), "nothing is ever replaced")
        rejection = json.loads(self.read(recording.rejection()))
        self.assertIn("not a copy of this document", rejection["chunks"][0]["media"]["reason"])
        self.assertEqual("archived", rejection["chunks"][1]["media"]["outcome"])
        media, metadata = recording.keys(1)
        self.assertEqual(recording.documents[1].media, self.read(media))
        others = {foreign, recording.keys(0)[1], media, metadata, recording.rejection()}
        self.assertEqual(others, self.keys(self.archive))
        self.nothing_left()


class Secrets(Case):
    """Secrets that are rotated while an instance is at work."""

    WEBHOOK, OTHER = "the-webhook-secret-of-now", "the-webhook-secret-of-later"

    def setUp(self):
        super().setUp()
        self.buckets()
        self.manager = world.engine.client("secretsmanager")
        name = uuid.uuid4().hex
        self.webhook, self.connection = f"webhook-{name}", f"connection-{name}"
        for secret, members in (
            (self.webhook, {"WEBHOOK_SECRETS": self.WEBHOOK}),
            (self.connection, self.connects(world.acs.keys[0])),
        ):
            self.manager.create_secret(Name=secret, SecretString=json.dumps(members))
        self.process = self.start(
            WEBHOOK_SECRETS=None,
            COMMUNICATION_SERVICES_CONNECTION_STRING=None,
            SECRET_ID=f"{self.webhook},{self.connection}",
        )

    def connects(self, key):
        return {"COMMUNICATION_SERVICES_CONNECTION_STRING": world.acs.connection_string(key)}

    def put(self, secret, members):
        self.manager.put_secret_value(SecretId=secret, SecretString=json.dumps(members))

    def pause(self):
        """Waits the ten seconds after which the function may read a secret again."""
        time.sleep(11)

    def again(self, secret, expected):
        """Delivers until the status is the expected one; before, only 503 is allowed."""
        end = time.monotonic() + 60
        recording, attempt = Recording([document(10)]), 0
        while True:
            status, body = self.deliver(self.process, recording, secret=secret, attempt=attempt)
            if status == expected:
                return
            self.assertEqual(503, status, body)
            self.assertLess(time.monotonic(), end)
            time.sleep(1)
            attempt += 1

    def test_the_webhook_secret(self):
        self.again(self.WEBHOOK, 200)
        self.put(self.webhook, {"WEBHOOK_SECRETS": f"{self.WEBHOOK},{self.OTHER}"})
        self.pause()
        self.again(self.OTHER, 200)
        self.again(self.WEBHOOK, 200)
        self.put(self.webhook, {"WEBHOOK_SECRETS": self.OTHER})
        self.pause()
        # An unknown secret makes the function read again; then the old one is refused.
        self.again("a-secret-that-nobody-knows", 401)
        self.again(self.WEBHOOK, 401)
        self.again(self.OTHER, 200)
        self.nothing_left()

    def test_the_access_key(self):
        self.again(self.WEBHOOK, 200)
        rotated = bytes(range(32, 64))
        self.put(self.connection, self.connects(rotated))
        world.acs.keys = [rotated]
        self.again(self.WEBHOOK, 200)
        refused = [request for request in world.acs.requests if request.status == 401]
        self.assertTrue(refused, "the first key was tried once more")
        self.nothing_left()


class Audit(Case):
    """The audit of an archive, in order and damaged."""

    def audit(self):
        """Runs it; returns its exit status and its document."""
        done = subprocess.run(
            [AUDIT, "--bucket", self.archive, "--work-bucket", self.work]
            + ["--format", "json", "--force-path-style"],
            env=world.engine.environment(),
            capture_output=True,
            timeout=60,
        )
        self.assertIn(done.returncode, (0, 1), done.stderr.decode())
        return done.returncode, json.loads(done.stdout)

    def test_in_order_and_after_damage(self):
        self.buckets()
        process = self.start()
        recordings = [
            Recording([document(PART + 1), document(20)]),
            Recording([document(30)], preview=True),
        ]
        for recording in recordings:
            status, _ = self.deliver(process, recording)
            self.assertEqual(200, status)
        self.nothing_left()

        status, report = self.audit()
        self.assertEqual((0, True, []), (status, report["inOrder"], report["findings"]))
        self.assertEqual((6, 6), tuple(report["counts"][n] for n in ("compared", "byChecksum")))

        missing, _ = recordings[0].keys(0)
        media, changed = recordings[0].keys(1)
        self.s3.delete_object(Bucket=self.archive, Key=missing)
        head = self.s3.head_object(Bucket=self.archive, Key=changed)
        self.s3.put_object(
            Bucket=self.archive,
            Key=changed,
            Body=b"!" * head["ContentLength"],
            Metadata=head["Metadata"],
            ChecksumAlgorithm="CRC64NVME",
        )
        # A stranger's upload, and an object that no manifest names.
        self.s3.create_multipart_upload(Bucket=self.archive, Key=media)
        self.s3.put_object(Bucket=self.archive, Key=media + ".copy", Body=b"")
        status, report = self.audit()
        self.assertEqual((1, False), (status, report["inOrder"]))
        found = {(finding["what"], finding["key"]) for finding in report["findings"]}
        self.assertIn(("missing", missing), found)
        self.assertIn(changed, {key for _, key in found})
        self.assertEqual(1, report["counts"]["uploads"])


if __name__ == "__main__":
    unittest.main()
