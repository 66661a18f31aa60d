"""The built function as a process behind Lambda's Runtime API.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

import json
import queue
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:acs-recording-archiver"
PATIENCE = 120


class Failed(Exception):
    """The function reported an error in place of an answer, or ended."""


class Invocation:
    """A payload, and later its answer."""

    def __init__(self, payload, request_id, arn, seconds):
        self.payload, self.request_id, self.arn = payload, request_id, arn
        self.deadline = time.time() + seconds
        self.answer, self.failed = None, False
        self.done = threading.Event()

    def finish(self, answer, failed=False):
        self.answer, self.failed = answer, failed
        self.done.set()


class Process:
    """A process of the function, with its own Runtime API."""

    def __init__(self, binary, environment):
        """Starts the process with these variables and those of Lambda."""
        self.waiting = queue.SimpleQueue()
        self.running = {}
        self.init_error = None
        self.count = 0
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.process = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        api = "127.0.0.1:%d" % self.server.server_address[1]
        self.child = subprocess.Popen(
            [binary],
            env={
                "AWS_LAMBDA_FUNCTION_NAME": "acs-recording-archiver",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/acs-recording-archiver",
                "AWS_LAMBDA_LOG_STREAM_NAME": "foreign",
                "AWS_LAMBDA_LOG_FORMAT": "JSON",
                "AWS_LAMBDA_LOG_LEVEL": "INFO",
                **environment,
                "AWS_LAMBDA_RUNTIME_API": api,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        # A full pipe would stop the process.
        for line in self.child.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
        for invocation in list(self.running.values()):
            invocation.finish(b"the process ended", failed=True)

    def begin(self, payload, request_id=None, arn=ARN, seconds=PATIENCE):
        """Hands a payload to the function's next poll."""
        self.count += 1
        request_id = request_id or f"00000000-0000-4000-8000-{self.count:012}"
        invocation = Invocation(payload, request_id, arn, seconds)
        self.running[request_id] = invocation
        self.waiting.put(invocation)
        return invocation

    def invoke(self, payload, seconds=PATIENCE):
        """Gives the function a payload and returns its answer."""
        invocation = self.begin(json.dumps(payload).encode(), seconds=seconds)
        if not invocation.done.wait(seconds + 10):
            raise Failed("the function does not answer")
        if invocation.failed:
            raise Failed(invocation.answer.decode(errors="replace"))
        return json.loads(invocation.answer)

    def kill(self):
        """Kills the process, as a crash would."""
        self.child.kill()
        self.end()

    def end(self):
        """Ends the process and its Runtime API."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.wait()
        self.waiting.put(None)
        self.reader.join(10)
        self.server.shutdown()
        self.server.server_close()


class Server(ThreadingHTTPServer):
    """A server that reports no broken connections: tests kill the function on purpose."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        invocation = self.server.process.waiting.get()
        if invocation is None:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(invocation.payload)))
        self.send_header("lambda-runtime-aws-request-id", invocation.request_id)
        self.send_header("lambda-runtime-deadline-ms", str(int(invocation.deadline * 1000)))
        self.send_header("lambda-runtime-invoked-function-arn", invocation.arn)
        self.send_header(
            "lambda-runtime-trace-id", "Root=1-6b0459c3-0123456789abcdef01234567;Sampled=0"
        )
        self.end_headers()
        self.wfile.write(invocation.payload)

    def do_POST(self):
        process = self.server.process
        body = self.body()
        *_, request_id, verb = self.path.split("/")
        if request_id == "init":
            process.init_error = body
            for invocation in list(process.running.values()):
                invocation.finish(body, failed=True)
        elif invocation := process.running.pop(request_id, None):
            invocation.finish(body, failed=verb == "error")
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def body(self):
        """Reads the request's body, with its length or in chunks."""
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body
