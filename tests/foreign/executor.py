"""A runtime executor of LocalStack that runs a function's `bootstrap` as a plain process.

LocalStack's own starts a container. This one is loaded inside LocalStack, as a plugin."""

import json
import os
from pathlib import Path

from localstack import config
from localstack.services.lambda_ import provider
from localstack.services.lambda_.invocation.lambda_models import (
    FunctionUrlConfig,
    InvocationResult,
)
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from function import Process


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *_, **__):
        provider.FunctionUrlConfig = SecureUrl
        return ProcessExecutor


class SecureUrl(FunctionUrlConfig):
    """A Function URL with https, as in Lambda; LocalStack serves https and says http."""

    def __init__(self, *arguments, url, **others):
        super().__init__(*arguments, url=url.replace("http://", "https://", 1), **others)


class ProcessExecutor(RuntimeExecutor):
    """A process for each execution environment."""

    def start(self, env_vars):
        self.variables = {name: str(value) for name, value in env_vars.items()}
        # Every function also gets the variables that lead to ACS.
        self.variables |= json.loads(os.environ.get("FUNCTION_VARIABLES", "{}"))
        self.process, self.told = None, 0
        self._begin()

    def _begin(self):
        code = Path(self.function_version.config.code.get_unzipped_code_location())
        binary = code / "bootstrap"
        binary.chmod(0o755)
        self.process, self.told = Process(binary, self.variables), 0

    def stop(self):
        self.process.end()

    def invoke(self, payload):
        # As in Lambda, a new process replaces one that has ended.
        if self.process.child.poll() is not None:
            self.process.end()
            self._begin()
        invocation = self.process.begin(
            payload["payload"].encode(),
            payload["invoke-id"],
            payload["invoked-function-arn"],
            self.function_version.config.timeout,
        )
        answered = invocation.done.wait(self.function_version.config.timeout)
        answer = invocation.answer if answered else b'{"errorMessage": "timed out"}'
        lines = self.process.lines[self.told :]
        self.told += len(lines)
        failed = invocation.failed or not answered
        return InvocationResult(payload["invoke-id"], answer, failed, "\n".join(lines) or "-")

    def get_address(self):
        return "127.0.0.1"

    def get_endpoint_from_executor(self):
        return "127.0.0.1"

    def get_runtime_endpoint(self):
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}"

    def get_logs(self):
        return "\n".join(self.process.lines)

    @classmethod
    def prepare_version(cls, function_version):
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version):
        pass
