"""The `az` commands of documents and scripts, read by azure-cli's own parser; run by hand.

azure-cli is too large to be installed for every change. From the repository's root, with a Python
that it supports, after `tests/foreign/run`, which records what the commands are called with:

    python3 -m venv target/azure-cli
    target/azure-cli/bin/pip install azure-cli==2.91.0
    target/azure-cli/bin/python tests/foreign/azure_cli.py target/ci/foreign/az-record

Nothing is called: a command line is parsed, and that is all. Exit status: 0 if all are
understood."""

import json
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

# Before the import, which reads it: no settings of whoever runs this, and none left behind.
os.environ["AZURE_CONFIG_DIR"] = tempfile.mkdtemp(prefix="azure-")

from azure.cli.core import get_default_cli
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

ROOT = Path(__file__).resolve().parents[2]
# Extensions are not in any package registry, so their commands are not known here.
EXTENSIONS = {"communication"}


def recorded(path):
    """Returns the command lines that a run has recorded."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def in_prose():
    """Returns the command lines that stand in the text of the documents."""
    found = []
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        text = re.sub(r"(?ms)^\s*```.*?^\s*```$", "", document.read_text())
        for span in re.findall(r"`(az [^`]*)`", text):
            words = shlex.split(span.replace("\n", " "))
            if any(word.startswith("--") for word in words):
                found.append(words[1:])
    return found


class Understood(Exception):
    """The command line is parsed, and not to be run."""


def understood(*_, **__):
    raise Understood


def fault(arguments):
    """Returns why the parser refuses a command line; `None` if it does not."""
    cli = get_default_cli()
    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, understood)
    cli.invocation = cli.invocation_cls(
        cli_ctx=cli,
        parser_cls=cli.parser_cls,
        commands_loader_cls=cli.commands_loader_cls,
        help_cls=cli.help_cls,
    )
    try:
        cli.invocation.execute(arguments)
    except Understood:
        return None
    except SystemExit as refused:
        return f"refused, with status {refused.code}"
    return "is no command that can be run"


def main():
    lines = {tuple(line) for line in recorded(sys.argv[1]) + in_prose()}
    faults = 0
    for line in sorted(lines):
        shown = shlex.join(("az", *line))
        if line[0] in EXTENSIONS:
            print(f"not known   {shown}")
        elif found := fault(list(line)):
            faults += 1
            print(f"FAULT       {shown}\n            {found}")
        else:
            print(f"understood  {shown}")
    print(f"{len(lines)} command lines, {faults} faults")
    sys.exit(bool(faults or not lines))


main()
