"""Recording events, made and serialised by Microsoft's own SDK, and their keys in the archive.

The keys are computed here a second time, from docs/reference.md alone."""

import datetime
import hashlib
import http.server
import json
import threading
import uuid

from azure.core.credentials import AzureKeyCredential
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, SystemEventNames

from acs import MEDIA_HOST, RESOURCE

SECRET = "local-secret-for-trying-out"
TOPIC = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/calls"
    "/providers/Microsoft.Communication/communicationServices/contoso"
)
TYPE = SystemEventNames.AcsRecordingFileStatusUpdatedEventName
START = datetime.datetime(2026, 11, 23, 15, 2, 11, 608975, datetime.UTC)


class Recording:
    """A recording of some documents, in the current form or in the 2021 form."""

    def __init__(self, documents, preview=False):
        self.documents, self.preview = documents, preview
        self.call, self.id = str(uuid.uuid4()), str(uuid.uuid4())
        self.time = datetime.datetime.now(datetime.UTC)

    def chunk(self, index, document):
        chunk = {"documentId": document.id, "index": index, "endReason": "SessionEnded"}
        if not self.preview:
            base = f"https://{MEDIA_HOST}/v1/objects/{document.id}"
            chunk |= {
                "contentLocation": f"{base}/content/video",
                "metadataLocation": f"{base}/content/acsmetadata",
                "deleteLocation": base,
            }
        return chunk

    def data(self):
        chunks = [self.chunk(index, document) for index, document in enumerate(self.documents)]
        # Reversed: no document promises an order.
        data = {
            "recordingStorageInfo": {"recordingChunks": chunks[::-1]},
            "recordingStartTime": START.strftime("%Y-%m-%dT%H:%M:%S.%f") + "5Z",
            "recordingDurationMs": 1000,
            "sessionEndReason": "CallEnded",
        }
        if not self.preview:
            data |= {
                "recordingContentType": "AudioVideo",
                "recordingChannelType": "Mixed",
                "recordingFormatType": "Mp4",
            }
        return data

    def event(self, cloud=False):
        """Returns the event as an object of the SDK."""
        common = {"subject": f"/recording/call/{self.call}", "data": self.data(), "id": self.id}
        if cloud:
            return CloudEvent(source=TOPIC, type=TYPE, time=self.time, **common)
        return EventGridEvent(
            event_type=TYPE, data_version="1.0", topic=TOPIC, event_time=self.time, **common
        )

    def identity(self):
        """Returns the identity, as docs/reference.md defines it."""
        chunks = []
        for index, document in enumerate(self.documents):
            content, metadata = None, None
            if not self.preview:
                content, metadata = self.fetched(document)
            chunks.append([index, document.id, content, metadata])
        start = START.strftime("%Y%m%dT%H%M%S.%f") + "5Z"
        form = [TOPIC.lower(), self.call, start, "mp4", "acs", sorted(chunks)]
        return digits(json.dumps(form, separators=(",", ":"), ensure_ascii=False))

    def fetched(self, document):
        """Returns the host and path of media and of metadata."""
        if self.preview:
            path = f"{RESOURCE}/recording/download/{document.id}"
            return path, f"{path}/metadata"
        path = f"{MEDIA_HOST}/v1/objects/{document.id}/content"
        return f"{path}/video", f"{path}/acsmetadata"

    def folder(self):
        return START.strftime(f"recordings/%Y/%m/%d/{self.call}/%H%M%SZ/")

    def keys(self, index):
        """Returns the keys of a chunk's media and metadata."""
        document = self.documents[index]
        content, metadata = self.fetched(document)
        name = f"{self.folder()}{index:04}-{document.id}-"
        return f"{name}{digits(content)}.mp4", f"{name}{digits(metadata)}.metadata.json"

    def manifest(self):
        return f"{self.folder()}{self.id}-{self.identity()}.manifest.json"

    def rejection(self):
        return f"{self.folder()}{self.id}-{self.identity()}.rejected.json"


def digits(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def published(events):
    """Returns content type and body of events, as Microsoft's client sends them."""
    sent = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            sent.append((self.headers["content-type"], body.decode()))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = "http://127.0.0.1:%d/api/events" % server.server_address[1]
        with EventGridPublisherClient(endpoint, AzureKeyCredential("none")) as client:
            client.send(events)
        server.shutdown()
    (posted,) = sent
    return posted


def delivery(content_type, body, secret=SECRET, attempt=0):
    """Returns the payload of a delivery to a Function URL (version 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": f"code={secret}",
        "headers": {
            "content-type": content_type,
            "aeg-event-type": "Notification",
            "aeg-subscription-name": "ARCHIVE-RECORDINGS",
            "aeg-delivery-count": str(attempt),
        },
        "queryStringParameters": {"code": secret},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "foreign",
            "domainName": "localhost",
            "domainPrefix": "foreign",
            "http": {
                "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
            },
            "requestId": "foreign",
            "routeKey": "$default",
            "stage": "$default",
            "time": "23/Nov/2026:15:20:35 +0000",
            "timeEpoch": 1795447235417,
        },
        "body": body,
        "isBase64Encoded": False,
    }
