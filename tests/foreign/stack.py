"""The deployed stack, and the objects that the documents' commands work on."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import documents
import events
from acs import Acs, Document
from engine import REGION, Engine
from events import Recording

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STACK = "acs-recording-archiver"
AWS = Path(sys.executable).with_name("aws")
PORT = 4567
PART = 5 * 1024 * 1024


class World:
    """The engine, ACS, and the stack."""

    engine = acs = folder = made = None

    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="foreign-"))
        unittest.addModuleCleanup(shutil.rmtree, self.folder)
        self.acs = Acs(self.folder, names=[f"*.lambda-url.{REGION}.localhost"])
        unittest.addModuleCleanup(self.acs.stop)
        install_executor(self.folder / "plugins")
        function = {"HTTPS_PROXY": self.acs.proxy, "SSL_CERT_FILE": str(self.acs.ca_path)}
        self.engine = Engine(
            port=PORT,
            workers=16,
            variables={
                "LAMBDA_RUNTIME_EXECUTOR": "process",
                "FUNCTION_VARIABLES": json.dumps(function),
                # curl resolves names below `localhost` by itself.
                "LOCALSTACK_HOST": f"localhost:{PORT}",
                "CUSTOM_SSL_CERT_PATH": str(self.acs.leaf_path),
            },
            python_path=[HERE, self.folder / "plugins"],
        )
        unittest.addModuleCleanup(self.engine.stop)
        deploy()
        self.made = Made()
        unittest.addModuleCleanup(self.made.terminal.end)


world = World()


def install_executor(plugins):
    """Writes the entry point by which LocalStack finds the executor."""
    info = plugins / "process_executor-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: process-executor\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[localstack.lambda.runtime_executor]\nprocess = executor:ProcessExecutorPlugin\n"
    )


def aws(*arguments):
    """Runs the AWS command line."""
    variables = world.engine.environment() | {"PATH": os.environ["PATH"], "HOME": str(world.folder)}
    done = subprocess.run(
        [AWS, *arguments], env=variables, cwd=world.folder, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise AssertionError(f"aws {' '.join(arguments)}: {done.stderr}")


def deploy():
    """Packages and deploys the template, with the built function in place of `sam build`'s."""
    build = world.folder / "build"
    build.mkdir()
    shutil.copy(ROOT / "template.yaml", build)
    # Symbols make the binary several times as large.
    subprocess.run(["strip", "-o", build / "bootstrap", os.environ["FUNCTION"]], check=True)
    aws("s3", "mb", "s3://artefacts")
    packaged = world.folder / "packaged.yaml"
    aws(
        "cloudformation", "package", "--template-file", str(build / "template.yaml"),
        "--s3-bucket", "artefacts", "--output-template-file", str(packaged),
    )
    aws(
        "cloudformation", "deploy", "--template-file", str(packaged), "--stack-name", STACK,
        "--s3-bucket", "artefacts", "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND",
        "--parameter-overrides", "AlarmEmail=oncall@example.com",
    )


class Made:
    """The resources of the stack, and the objects that the documents' commands work on."""

    def __init__(self):
        stacks = world.engine.client("cloudformation")
        resources = stacks.describe_stack_resources(StackName=STACK)["StackResources"]
        self.resources = {each["LogicalResourceId"]: each for each in resources}
        outputs = stacks.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.archive = self.outputs["RecordingsBucketName"]
        self.work = self.outputs["WorkBucketName"]
        self.s3 = world.engine.client("s3")
        self.call = ""
        place = world.folder / "terminal"
        place.mkdir()
        self.event_file = place / "event.json"
        self.terminal = documents.Terminal(
            place,
            world.engine.environment()
            | {
                "REAL_AWS": str(AWS),
                "AUDIT": os.environ["AUDIT"],
                "CURL_CA_BUNDLE": str(world.acs.ca_path),
                "ACS_CONNECTION_STRING": world.acs.connection_string(),
                "ACS_RESOURCE": events.TOPIC,
                "DEAD_LETTER": str(self.event_file),
            },
        )

    def post(self, content_type, body):
        """Posts events to the function's URL; returns the outcome of the first."""
        secret = world.engine.client("secretsmanager").get_secret_value(
            SecretId=self.outputs["WebhookSecretArn"]
        )
        secret = json.loads(secret["SecretString"])["WEBHOOK_SECRETS"].split(",")[-1]
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", "60", "--data-binary", "@-"]
            + ["--cacert", str(world.acs.ca_path), "--header", f"content-type: {content_type}"]
            + [f"{self.outputs['FunctionUrl']}?code={secret}"],
            input=body,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        answer = json.loads(done.stdout)
        return answer["events"][0]["outcome"] if "events" in answer else answer

    def archive_one(self):
        """Archives a recording."""
        recording = Recording([document(70_001), document(20)])
        content_type, body = events.published(recording.event())
        self.outcome = self.post(content_type, body)
        self.call = recording.call
        self.event_file.write_text(body)

    def tick(self):
        """Calls the Sweeper as the schedule does."""
        answer = world.engine.client("lambda").invoke(
            FunctionName=self.resources["Sweeper"]["PhysicalResourceId"],
            Payload=(ROOT / "events" / "schedule-scheduler.json").read_bytes(),
        )
        return json.loads(answer["Payload"].read())

    def trouble(self):
        """Makes the faults that the recipes of the runbook repair."""
        foreign = Recording([document(9)])
        key, _ = foreign.keys(0)
        self.s3.put_object(Bucket=self.archive, Key=key, Body=b"another's")
        posted = events.published(foreign.event())
        self.rejected = self.post(*posted)
        self.rejection = foreign.rejection()
        # The recipe reads an event from either bucket by one variable.
        self.s3.put_object(Bucket=self.work, Key=self.rejection, Body=posted[1].encode())
        pending = "pending/20261123T152034.2199328Z-event-0123456789abcdef"
        attempt = {"attempts": 1, "deaths": 0, "failure": "ACS answered 503"}
        for name, content in (("event.json", {}), ("attempt.json", attempt)):
            self.s3.put_object(
                Bucket=self.work, Key=f"{pending}/{name}", Body=json.dumps(content).encode()
            )
        self.unfinished_upload()

    def unfinished_upload(self):
        """Makes an unfinished upload with all its parts."""
        self.object = "recordings/2026/11/23/call/150211Z/0000-document-0123456789abcdef.mp4"
        upload = self.s3.create_multipart_upload(
            Bucket=self.archive,
            Key=self.object,
            ChecksumAlgorithm="CRC64NVME",
            ChecksumType="FULL_OBJECT",
        )
        self.upload_id = upload["UploadId"]
        for number, part in enumerate((bytes(PART), b"rest"), 1):
            self.s3.upload_part(
                Bucket=self.archive,
                Key=self.object,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=part,
                ChecksumAlgorithm="CRC64NVME",
            )

    def marker(self):
        """Returns the version that hides the deleted object."""
        versions = self.s3.list_object_versions(Bucket=self.archive)
        return versions["DeleteMarkers"][0]["VersionId"]


def document(size):
    held = Document(f"0-eus-d12-{os.urandom(16).hex()}", os.urandom(size))
    world.acs.add(held)
    return held
