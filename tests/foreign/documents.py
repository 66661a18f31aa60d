"""The commands of the documents, and a terminal that runs them as an operator would."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STUBS = Path(__file__).resolve().parent / "stubs"
COMMAND = re.compile(r"\baws\s+([a-z0-9-]+)\s+([a-z0-9-]+)")


class Fence:
    """A block of shell in a document."""

    def __init__(self, document, heading, line, text):
        self.document, self.heading, self.line, self.text = document, heading, line, text

    def __str__(self):
        return f"{self.document}:{self.line} ({self.heading})"


# A block that is not of shell.
OTHER = object()


def fences(document):
    """Returns a document's blocks of shell."""
    found, heading, block = [], "", None
    for number, line in enumerate((ROOT / document).read_text().splitlines(), 1):
        if block is None:
            if line.startswith("#"):
                heading = line.lstrip("# ")
            elif line.strip() == "```sh":
                block, indent = Fence(document, heading, number, ""), len(line) - len(line.lstrip())
            elif line.strip().startswith("```"):
                block = OTHER
        elif line.strip() == "```":
            if block is not OTHER:
                found.append(block)
            block = None
        elif block is not OTHER:
            block.text += line[indent:] + "\n"
    return found


def mentioned(document):
    """Returns every `aws` command of a document or script, those in its prose too."""
    text = (ROOT / document).read_text()
    if document.endswith(".sh"):
        return {" ".join(found) for found in COMMAND.findall(text)}
    shell = re.findall(r"(?ms)^\s*```(?:sh|bash)$(.*?)^\s*```$", text)
    prose = re.findall(r"(?s)`([^`]*)`", re.sub(r"(?ms)^\s*```.*?^\s*```$", "", text))
    return {" ".join(found) for part in shell + prose for found in COMMAND.findall(part)}


class Terminal:
    """A shell that stays open, in a folder with the repository's scripts.

    `aws` is the real one, recorded; `az` is a stand-in."""

    def __init__(self, folder, variables):
        self.folder = folder
        for name in ("azure", "deploy", "events", "examples", "template.yaml"):
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)
        self.aws_record = folder / "aws-record"
        self.az_record = os.environ.get("AZ_RECORD", folder / "az-record")
        self.failures = folder / "failures"
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={
                "PATH": f"{STUBS}:{os.environ['PATH']}",
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "AWS_RECORD": str(self.aws_record),
                "AZ_RECORD": str(self.az_record),
                "FAILURES": str(self.failures),
                **variables,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.shell.stdin.write(
            "set -E -o pipefail\n"
            """trap 'printf "%s\\n" "$BASH_COMMAND" >>"$FAILURES"' ERR\n"""
        )

    def run(self, text):
        """Runs a block; returns its output, the `aws` commands that worked, those that did not,
        and everything that failed."""
        self.failures.write_text("")
        self.aws_record.write_text("")
        (self.folder / "block.sh").write_text(text)
        output = self.folder / "block.out"
        self.shell.stdin.write(f". ./block.sh >{output} 2>&1 </dev/null\necho done\n")
        self.shell.stdin.flush()
        if self.shell.stdout.readline() != "done\n":
            raise AssertionError(f"the shell ended: {output.read_text()}")
        ran, failed = set(), set()
        for line in self.aws_record.read_text().splitlines():
            status, command = line.split("\t")
            if status == "0":
                ran.add(command)
            else:
                failed.add(command)
        return output.read_text(), ran, failed, self.failures.read_text().splitlines()

    def end(self):
        self.shell.stdin.close()
        self.shell.wait(10)
        self.shell.stdout.close()
