"""The template on LocalStack's CloudFormation, and the commands of the documents on it."""

import base64
import re
import unittest

from awscrt import checksums

import documents
import events
from stack import PART, ROOT, world

# In the order in which an operator types their commands; before the runbook's, there is trouble.
MANUAL = (
    "README.md",
    "docs/deploying.md",
    "examples/hand-over/README.md",
    "docs/reference.md",
    "docs/auditing.md",
    "CONTRIBUTING.md",
)
DOCUMENTS = (*MANUAL, "RUNBOOK.md")
# They define what the documents' commands use.
SCRIPTS = ("deploy/runbook.sh", "deploy/stack.sh")
# Commands that cannot work here, and why. Any other failure is a fault of a document, and so is one
# of these that works.
CANNOT = {
    "cloudformation update-stack": "LocalStack has no --use-previous-template",
    "cloudformation detect-stack-drift": "LocalStack does not have it",
    "cloudformation describe-stack-resource-drifts": "LocalStack does not have it",
}
# Commands that are named in prose, and not to be run.
NOT_RUN = {
    "cloudformation wait": "follows update-stack",
    "configure export-credentials": "hands an operator's session to the audit; there is none",
    "s3api put-object": "its arguments are the operator's",
    "sso login": "signs an operator in",
    "s3api delete-bucket-policy": "the root user's last resort, which ends the archive's promise",
    "cloudformation delete-stack": "takes away what the other commands are about",
    "s3 rb": "takes away the bucket of deploy/deploy.sh, which is not run",
    "lambda delete-function-concurrency": "for an installation that reserves none",
    "iam enable-outbound-web-identity-federation": "LocalStack does not have it",
    "cloudwatch put-metric-alarm": "follows azure/reconcile.sh",
}
# Blocks that are not run, by what is in them.
UNTRIED = {
    "deploy/deploy.sh": "wants version 2 of the AWS command line, which PyPI does not have",
    "azure/federate.sh": "LocalStack has no outbound identity federation",
    "azure/reconcile.sh": "fails where the audit has findings, as it has here",
    "ffprobe": "is for a person who plays the media",
    "az account get-access-token": "downloads from ACS itself",
    "https://s3.example.com": "is another store",
    "--version-stage AWSPREVIOUS": "the secret has no earlier version yet",
    "cargo run --example local": "run by .ci/run",
    "jq '.body": "run by documentation::a_command_dates_a_sample_event_to_now",
    "cargo lambda": "wants cargo-lambda, and what it starts goes on",
    "sam local invoke": "wants a container runtime",
}
# Values for the placeholders of the documents, by the beginning of their line.
PLACEHOLDERS = {
    "KEY=recordings/": lambda made: f"KEY={made.rejection}",
    "OBJECT=": lambda made: f"OBJECT={made.object}",
    "UPLOAD_ID=": lambda made: f"UPLOAD_ID={made.upload_id}",
    "MARKER=": lambda made: f"MARKER={made.marker()}",
    "PAGER=": lambda made: "PAGER=https://pager.example.com/",
    "WORKSPACE_ID=": lambda made: f"WORKSPACE_ID={events.TOPIC}/workspace",
}


def setUpModule():
    world.start()


class Stack(unittest.TestCase):
    """The stack, and every command of an operator, in the order of the documents."""

    def test_1_the_stack(self):
        for section, made in (("Resources", world.made.resources), ("Outputs", world.made.outputs)):
            self.assertEqual(set(), set(unconditional(section)) - set(made))
        for name, resource in world.made.resources.items():
            self.assertEqual("CREATE_COMPLETE", resource["ResourceStatus"], name)
        versions = world.made.s3.get_bucket_versioning(Bucket=world.made.archive)
        self.assertEqual("Enabled", versions["Status"])
        policy = world.made.s3.get_bucket_policy(Bucket=world.made.archive)["Policy"]
        self.assertIn("RefuseReplacing", policy)

    def test_2_the_documents(self):
        self.ran = set()
        outputs = self.run_blocks(tried(*MANUAL), world.made.archive_one)
        self.assertIn('{"validationResponse":"hello"}', outputs)
        self.assertEqual("archived", world.made.outcome)
        self.assertIn("All is in order.", outputs, "the audit")
        nothing = {"pending": 0, "taken": 0, "finished": 0, "oldestSeconds": 0}
        self.assertEqual(nothing, world.made.tick())

        world.made.trouble()
        self.assertEqual("setAside", world.made.rejected)
        outputs = self.run_blocks(tried("RUNBOOK.md"))
        self.assertIn("key holds an object that is not a copy of this document", outputs)
        self.assertIn('"outcome":"alreadyArchived"', outputs)
        self.assertIn("1 of 1 taken", outputs)
        self.completed()
        versions = world.made.s3.list_object_versions(Bucket=world.made.archive)
        self.assertNotIn("DeleteMarkers", versions, "what was deleted is restored")

        texts = [each.text for name in DOCUMENTS for each in documents.fences(name)]
        for part in UNTRIED:
            self.assertTrue(any(part in text for text in texts), f"{part} is in no block")
        every = set(DOCUMENTS)
        for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
            every.add(str(path.relative_to(ROOT)))
        for name in every - set(DOCUMENTS):
            self.assertEqual([], list(map(str, documents.fences(name))), "not in DOCUMENTS")
        mentioned = set().union(*map(documents.mentioned, (*every, *SCRIPTS)))
        listed = set(CANNOT) | set(NOT_RUN)
        self.assertEqual(set(), mentioned - self.ran - listed, "neither run nor listed")
        self.assertEqual(set(), listed - mentioned, "listed, and in no document")
        self.assertEqual(set(), listed & self.ran, "listed, and works")

    def run_blocks(self, fences, between=None):
        """Runs blocks, and `between` after the first section; returns the output."""
        self.assertTrue(fences)
        outputs = ""
        for fence in fences:
            if between and fence.heading != fences[0].heading:
                between()
                between = None
            outputs += self.run_block(fence)
        return outputs

    def run_block(self, fence):
        output, ran, failed, others = world.made.terminal.run(filled_in(fence))
        self.ran |= ran
        with self.subTest(str(fence)):
            self.assertEqual(set(), set(failed) - set(CANNOT), output)
            if not failed:
                self.assertEqual([], others, output)
        return output

    def completed(self):
        """Asserts that the recipe has made the object from the upload's parts."""
        head = world.made.s3.head_object(
            Bucket=world.made.archive, Key=world.made.object, ChecksumMode="ENABLED"
        )
        checksum = checksums.crc64nvme(bytes(PART) + b"rest").to_bytes(8, "big")
        self.assertEqual(base64.b64encode(checksum).decode(), head["ChecksumCRC64NVME"])
        self.assertEqual("FULL_OBJECT", head["ChecksumType"])


def tried(*names):
    """Returns the blocks of documents that are run."""
    return [
        fence
        for name in names
        for fence in documents.fences(name)
        if not any(part in fence.text for part in UNTRIED)
    ]


def unconditional(section):
    """Returns the names in a section of the template that have no condition."""
    template = (ROOT / "template.yaml").read_text()
    text = re.search(rf"(?ms)^{section}:\n(.*?)(?=^\S|\Z)", template)[1]
    blocks = re.findall(r"(?ms)^  (\w+):\n(.*?)(?=^  \w|\Z)", text)
    return [name for name, block in blocks if "\n    Condition: " not in "\n" + block]


def filled_in(fence):
    """Returns a block with values in place of its placeholders."""
    lines = []
    for line in fence.text.replace("{callId}", world.made.call).splitlines():
        code = line.split(" #")[0]
        for beginning, value in PLACEHOLDERS.items():
            if "…" in code and code.startswith(beginning):
                line = code = value(world.made)
        if "…" in code:
            raise AssertionError(f"{fence}: no value for the placeholder in {line}")
        lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    unittest.main()
