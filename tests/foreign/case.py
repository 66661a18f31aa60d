"""The base of every scenario of the store: the engine, ACS, two buckets and the function."""

import base64
import json
import os
import random
import shutil
import tempfile
import unittest
import uuid
from pathlib import Path

from awscrt import checksums

import events
from acs import Acs, Document
from engine import REGION, Engine
from function import Process

MIB = 1024 * 1024
PART = 16 * MIB
BINARY = Path(os.environ["FUNCTION"])


class World:
    """One engine and one ACS for all scenarios; each has buckets of its own."""

    engine = acs = None

    def start(self):
        folder = Path(tempfile.mkdtemp(prefix="foreign-"))
        unittest.addModuleCleanup(shutil.rmtree, folder)
        self.acs = Acs(folder)
        unittest.addModuleCleanup(self.acs.stop)
        self.engine = Engine(port=4566, workers=1)
        unittest.addModuleCleanup(self.engine.stop)


world = World()


def document(size):
    """Makes a document of this many bytes and adds it to ACS."""
    made = Document(f"0-eus-d12-{uuid.uuid4().hex}", random.Random(size).randbytes(size))
    world.acs.add(made)
    return made


class Case(unittest.TestCase):
    """A case with two buckets and a function."""

    def setUp(self):
        world.acs.reset()
        self.s3 = world.engine.client("s3")
        name = uuid.uuid4().hex
        self.archive, self.work = f"archive-{name}", f"work-{name}"
        self.processes = []
        self.addCleanup(self.end)

    def end(self):
        world.acs.go_on.set()
        for process in self.processes:
            process.end()
        failures = self._outcome.result.failures + self._outcome.result.errors
        if any(test is self for test, _ in failures):
            for process in self.processes:
                lines = (line for line in process.lines if '"_aws"' not in line)
                print(*list(lines)[-15:], sep="\n")

    def buckets(self, **options):
        """Makes both buckets, the archive with these options."""
        for bucket, more in ((self.archive, options), (self.work, {})):
            self.s3.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}, **more
            )

    def start(self, **variables):
        """Starts the function; a variable of `None` is left out."""
        settings = {
            **world.engine.environment(),
            "COMMUNICATION_SERVICES_CONNECTION_STRING": world.acs.connection_string(),
            "WEBHOOK_SECRETS": events.SECRET,
            "RECORDINGS_BUCKET": self.archive,
            "WORK_BUCKET": self.work,
            "S3_FORCE_PATH_STYLE": "true",
            "HTTPS_PROXY": world.acs.proxy,
            "SSL_CERT_FILE": str(world.acs.ca_path),
            **variables,
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        process = Process(BINARY, settings)
        self.processes.append(process)
        return process

    def deliver(self, process, recording, cloud=False, secret=events.SECRET, attempt=0):
        """Delivers a recording's event; returns the status and the body of the answer."""
        posted = events.published(recording.event(cloud))
        answer = process.invoke(events.delivery(*posted, secret=secret, attempt=attempt))
        return answer["statusCode"], json.loads(answer["body"])

    def archived(self, process, recording, **how):
        """Delivers a recording's event and asserts that it is archived completely."""
        status, body = self.deliver(process, recording, **how)
        self.assertEqual(200, status, body)
        self.assertEqual("archived", body["events"][0]["outcome"], body)
        self.holds(recording)
        return body["events"][0]

    def holds(self, recording):
        """Asserts that the archive holds this recording alone, and nothing is left over."""
        expected = {recording.manifest()}
        manifest = json.loads(self.read(recording.manifest()))
        self.assertEqual(1, manifest["version"])
        self.assertEqual(recording.id, manifest["event"]["id"])
        self.assertEqual(len(recording.documents), len(manifest["chunks"]))
        for index, chunk in enumerate(recording.documents):
            media, metadata = recording.keys(index)
            expected |= {media, metadata}
            listed = manifest["chunks"][index]
            self.assertEqual((index, chunk.id), (listed["index"], listed["documentId"]))
            self.object(listed["media"], media, chunk.media)
            self.object(listed["metadata"], metadata, chunk.metadata)
        self.assertEqual(expected, self.keys(self.archive))
        self.nothing_left()

    def object(self, listed, key, content):
        """Asserts an object's bytes, checksum, and entry in the manifest."""
        checksum = checksums.crc64nvme(content).to_bytes(8, "big")
        checksum = base64.b64encode(checksum).decode()
        head = self.s3.head_object(Bucket=self.archive, Key=key, ChecksumMode="ENABLED")
        self.assertEqual(checksum, head["ChecksumCRC64NVME"], key)
        self.assertEqual("FULL_OBJECT", head["ChecksumType"], key)
        self.assertEqual(len(content), head["ContentLength"], key)
        self.assertTrue(content == self.read(key), f"{key} has other bytes")
        # A reply without a length at the start is stored without the source's length.
        told = None if world.acs.ranges == "ignored without length" else str(len(content))
        if key.endswith(".mp4"):
            self.assertEqual(told, head["Metadata"].get("source-length"), key)
        self.assertEqual(
            (key, len(content), checksum, head["ETag"], head.get("VersionId")),
            tuple(listed[name] for name in ("key", "size", "crc64nvme", "etag", "versionId")),
        )

    def read(self, key):
        return self.s3.get_object(Bucket=self.archive, Key=key)["Body"].read()

    def keys(self, bucket):
        listed = self.s3.list_objects_v2(Bucket=bucket)
        return {entry["Key"] for entry in listed.get("Contents", [])}

    def nothing_left(self):
        """Asserts that there is no unfinished upload and nothing pending."""
        for bucket in (self.archive, self.work):
            uploads = self.s3.list_multipart_uploads(Bucket=bucket)
            self.assertEqual([], uploads.get("Uploads", []))
        self.assertEqual(set(), self.keys(self.work))
