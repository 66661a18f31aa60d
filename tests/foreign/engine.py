"""LocalStack as a process: S3, Secrets Manager and more of AWS, written by others."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

REGION = "eu-central-1"
START_SECONDS = 120
PR_SET_PDEATHSIG = 1


def end_with_parent():
    """Makes the kernel end this process when the tests end in any way."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Engine:
    """A running LocalStack, without the state of earlier ones."""

    def __init__(self, port, workers, variables=None, python_path=()):
        """Starts LocalStack and waits until it answers.

        With several workers it loses an object that two complete at once; with one,
        CloudFormation waits for itself when it makes a function."""
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.folder = Path(tempfile.mkdtemp(prefix="localstack-"))
        self.log_path = self.folder / "log"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join(str(folder) for folder in python_path),
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "GATEWAY_WORKER_COUNT": str(workers),
            "FILESYSTEM_ROOT": str(self.folder / "root"),
            "TMPDIR": str(self.folder),
            # The executor is loaded from the repository.
            "PYTHONDONTWRITEBYTECODE": "1",
            **(variables or {}),
        }
        with self.log_path.open("wb") as log:
            # Its own process group, so that its children end with it.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "localstack.runtime.main"],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        try:
            self._wait()
        except BaseException:
            print(self.log()[-4000:], file=sys.stderr)
            self.stop()
            raise

    def _wait(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError("LocalStack ended while it started")
            try:
                with urllib.request.urlopen(f"{self.url}/_localstack/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError("LocalStack does not answer")

    def client(self, service):
        """Returns boto3's client of a service."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def environment(self):
        """Returns the variables that lead AWS's SDKs and command line to LocalStack."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.url,
            # Version 1 of the command line, the only one on PyPI, reads the other variable.
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def log(self):
        """Returns LocalStack's log."""
        return self.log_path.read_text(errors="replace")

    def stop(self):
        """Ends LocalStack and its children, and deletes its state."""
        for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(seconds)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        shutil.rmtree(self.folder, ignore_errors=True)
