"""An emulator of Communication Services' recording downloads, with its own signature check.

It is a proxy that answers for every host over TLS, so the function calls the real hosts."""

import base64
import datetime
import email.utils
import hashlib
import hmac
import ipaddress
import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

RESOURCE = "contoso.communication.azure.com"
MEDIA_HOST = "eus-prod.asm.skype.com"
PREVIEW = "?api-version=2021-04-15-preview1"
EMPTY_HASH = base64.b64encode(hashlib.sha256(b"").digest()).decode()
MAX_SKEW = datetime.timedelta(minutes=15)
BLOCK = 256 * 1024


class Document:
    """A chunk's media and metadata."""

    def __init__(self, document_id, media):
        self.id = document_id
        self.media = media
        self.metadata = json.dumps({"resourceId": document_id, "chunkIndex": 0}).encode()


class Request:
    """A request to ACS, and the number of bytes of media in the answer."""

    def __init__(self, host, path, byte_range):
        self.host, self.path, self.range = host, path, byte_range
        self.status = None
        self.sent = 0


class Acs:
    """A resource with documents, keys, and faults that a test switches on."""

    def __init__(self, folder, names=()):
        """Starts the emulator, and writes its certificates, also for `names`, to `folder`."""
        self.keys = [bytes(range(32))]
        self.documents = {}
        self.requests = []
        # With ranges ignored, the answer is 200 and everything, with or without a length.
        self.ranges = "honoured"
        # After this number of bytes of media, replies wait until `go_on` is set.
        self.hold_after = None
        self.go_on = threading.Event()
        self.lock = threading.Lock()
        self.ca_path = folder / "acs-ca.pem"
        self.leaf_path = make_certificates(folder, [RESOURCE, MEDIA_HOST, *names])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.leaf_path)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.acs, self.server.context = self, context
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.proxy = "http://127.0.0.1:%d" % self.server.server_address[1]

    def add(self, document):
        """Adds a document."""
        self.documents[document.id] = document

    def connection_string(self, key=None):
        """Returns the resource's connection string with one of its keys."""
        key = base64.b64encode(key or self.keys[0]).decode()
        return f"endpoint=https://{RESOURCE}/;accesskey={key}"

    def reset(self):
        """Removes documents, requests and faults, and restores the first key."""
        self.go_on.set()
        self.__dict__.update(keys=[bytes(range(32))], documents={}, requests=[])
        self.__dict__.update(ranges="honoured", hold_after=None, go_on=threading.Event())

    def sent(self):
        """Returns the number of bytes of media that were sent."""
        return sum(request.sent for request in self.requests)

    def stop(self):
        """Stops the emulator."""
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


class Server(ThreadingHTTPServer):
    """A server that reports no broken connections: tests kill the function on purpose."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    """One tunnel of the proxy, and the requests in it."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.request.recv(1)
            if not byte:
                raise ConnectionError("no tunnel was asked for")
            head += byte
        assert head.startswith(b"CONNECT "), head
        self.authority = head.split()[1].decode()
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        super().finish()
        self.request.close()

    def log_message(self, *_):
        pass

    def do_GET(self):
        acs = self.server.acs
        host = self.headers["host"]
        request = Request(host, self.path, self.headers["range"])
        with acs.lock:
            acs.requests.append(request)
        if self.authority != f"{host}:443":
            return self.fail(request, 400, "the host is not that of the connection")
        kind, document = self.find(host)
        if kind is None:
            return self.fail(request, 404, "there is no such document")
        fault = self.signature_fault(preview=host == RESOURCE)
        if fault:
            return self.fail(request, 401, fault)
        if kind == "metadata":
            return self.reply(request, 200, document.metadata, {"content-type": "application/json"})
        return self.media(request, document.media)

    def find(self, host):
        """Returns `media` or `metadata`, and the document, of a request."""
        for pattern, found_at in (
            (r"/v1/objects/([^/?]+)/content/(video|acsmetadata)", MEDIA_HOST),
            (r"/recording/download/([^/?]+)(/metadata)?" + re.escape(PREVIEW), RESOURCE),
        ):
            match = re.fullmatch(pattern, self.path)
            if match and host == found_at:
                document = self.server.acs.documents.get(match[1])
                kind = "media" if match[2] in (None, "video") else "metadata"
                return (kind, document) if document else (None, None)
        return None, None

    def signature_fault(self, preview):
        """Returns the fault of a signature, `None` for a valid one."""
        date_name = "date" if preview else "x-ms-date"
        signed = f"{date_name};host;x-ms-content-sha256"
        date, content_hash = self.headers[date_name], self.headers["x-ms-content-sha256"]
        if content_hash != EMPTY_HASH:
            return "x-ms-content-sha256 is not that of an empty body"
        if not preview and self.headers["x-ms-host"] != RESOURCE:
            return "x-ms-host is not the resource's"
        try:
            skew = email.utils.parsedate_to_datetime(date) - datetime.datetime.now(datetime.UTC)
        except (TypeError, ValueError):
            return f"{date_name} is no date"
        if abs(skew) > MAX_SKEW:
            return "the signature is too old or too new"
        text = f"GET\n{self.path}\n{date};{RESOURCE};{content_hash}"
        for key in self.server.acs.keys:
            digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
            signature = base64.b64encode(digest).decode()
            if self.headers["authorization"] == (
                f"HMAC-SHA256 SignedHeaders={signed}&Signature={signature}"
            ):
                return None
        return "the signature is wrong"

    def media(self, request, media):
        acs = self.server.acs
        headers = {"content-type": "application/octet-stream"}
        if acs.ranges == "ignored without length":
            return self.reply(request, 200, media, headers | {"transfer-encoding": "chunked"})
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.range or "")
        if not match or acs.ranges == "ignored":
            return self.reply(request, 200, media, headers)
        first, last = int(match[1]), min(int(match[2]), len(media) - 1)
        if first > last:
            headers["content-range"] = f"bytes */{len(media)}"
            return self.reply(request, 416, b"", headers)
        headers["content-range"] = f"bytes {first}-{last}/{len(media)}"
        return self.reply(request, 206, memoryview(media)[first : last + 1], headers)

    def reply(self, request, status, body, headers):
        """Sends an answer, up to the bytes that the test allows."""
        acs, request.status = self.server.acs, status
        chunked = "transfer-encoding" in headers
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not chunked:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        for begin in range(0, len(body), BLOCK):
            block = body[begin : begin + BLOCK]
            if acs.hold_after is not None and acs.sent() >= acs.hold_after:
                acs.go_on.wait()
            if chunked:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
            else:
                self.wfile.write(block)
            if "application/octet-stream" in headers.values():
                request.sent += len(block)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def fail(self, request, status, reason):
        body = json.dumps({"error": {"code": status, "message": reason}}).encode()
        self.reply(request, status, body, {"content-type": "application/json"})


def make_certificates(folder, names):
    """Writes a CA's certificate, and the key and certificate of a server of these names."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject, public_key, issuer, signing_key, extensions):
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
            public_key=public_key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(hours=1),
            not_valid_after=now + datetime.timedelta(days=1),
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signing_key, hashes.SHA256())

    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate(
        "authority", authority.public_key(), "authority", authority,
        [(x509.BasicConstraints(ca=True, path_length=0), True)],
    )
    alternatives = [x509.DNSName(name) for name in names]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    leaf = certificate(
        "acs", key.public_key(), "authority", authority,
        [(x509.SubjectAlternativeName(alternatives), False)],
    )
    pem = serialization.Encoding.PEM
    (folder / "acs-ca.pem").write_bytes(ca.public_bytes(pem))
    path = folder / "acs.pem"
    path.write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + leaf.public_bytes(pem)
    )
    return path
