"""A local S3 server that runs in its own process, and one that drops every download."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import httpx
from botocore.config import Config
from pydantic import SecretStr
from types_boto3_s3 import S3Client

from faces_jobs.settings import Settings
from tests.http_servers import serving

STOP_TIMEOUT_SECONDS = 30
BUCKET = "faces-jobs-tests"
# Prints its port once it listens. Exits at the end of its standard input, so it can't outlive a
# test run that is killed.
SERVER = """
import sys
from werkzeug.serving import WSGIRequestHandler, make_server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    def log(self, *_):
        pass

app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
print(server.port, flush=True)
import threading
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class S3Server:
    """The server's endpoint, its only valid access key, and a client of its one bucket."""

    endpoint: str
    key_id: str
    secret: str
    client: S3Client  # for inspecting the bucket without the product's storage classes


@dataclass(frozen=True, slots=True)
class BucketPrefix:
    """An unused prefix of the bucket, for one test."""

    server: S3Server
    prefix: str

    def settings(self, settings: Settings, **overrides: object) -> Settings:
        """Return these settings with their storage at this prefix."""
        return settings.model_copy(
            update={
                "storage": f"s3://{BUCKET}/{self.prefix}",
                "s3_endpoint": self.server.endpoint,
                "s3_allow_http": True,
                "s3_access_key_id": self.server.key_id,
                "s3_secret_access_key": SecretStr(self.server.secret),
                **overrides,
            }
        )

    def keys(self) -> list[str]:
        """Return the keys of all objects below the prefix, sorted and without the prefix."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self.prefix}/"
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return sorted(key.removeprefix(f"{self.prefix}/") for key in keys)

    def pending_uploads(self) -> list[str]:
        """Return the keys of unfinished multipart uploads, sorted and without the prefix."""
        listing = self.server.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        return sorted(
            upload["Key"].removeprefix(f"{self.prefix}/") for upload in listing.get("Uploads", ())
        )


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server that verifies the signature of every request."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
            yield _set_up(endpoint)
        finally:
            process.stdin.close()
            process.wait(STOP_TIMEOUT_SECONDS)


def _set_up(endpoint: str) -> S3Server:
    """Create the access key and the bucket, then enable authentication."""
    iam = boto3.session.Session().client(
        "iam",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="first",
        aws_secret_access_key="first",
    )
    iam.create_user(UserName="tests")
    key = iam.create_access_key(UserName="tests")["AccessKey"]
    iam.put_user_policy(
        UserName="tests",
        PolicyName="all",
        PolicyDocument='{"Version": "2012-10-17", "Statement": '
        '[{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}',
    )
    # From now on the server rejects requests whose signature it can't verify.
    httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0").raise_for_status()
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    return S3Server(endpoint, key["AccessKeyId"], key["SecretAccessKey"], client)


class DroppedDownload(BaseHTTPRequestHandler):
    """Announces 100,000 bytes, sends 500 of them and closes the connection."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.send_header("Last-Modified", "Fri, 27 Nov 2026 10:00:00 GMT")
        self.send_header("ETag", '"x"')
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"x" * 500)

    def log_message(self, *_arguments: object) -> None:
        """Suppress the log of requests."""


class NoS3Server(BaseHTTPRequestHandler):
    """Answers as a web server does that knows nothing of S3: no path of it exists."""

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_HEAD()

    def log_message(self, *_arguments: object) -> None:
        """Suppress the log of requests."""


class RefusingServer(BaseHTTPRequestHandler):
    """Refuses every request with the status and error code that a test sets on the class."""

    status = 503
    code = "SlowDown"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = f"<Error><Code>{self.code}</Code></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Suppress the log of requests."""


class OldS3Server(BaseHTTPRequestHandler):
    """Stores whatever is sent, and refuses to delete files without the checksum of its time."""

    def do_PUT(self) -> None:
        self._read_body()
        self._send(200, b"")

    def do_POST(self) -> None:
        digest = hashlib.md5(self._read_body(), usedforsecurity=False).digest()
        if self.headers["Content-MD5"] == base64.b64encode(digest).decode():
            self._send(200, b"<DeleteResult/>")
        else:
            self._send(400, b"<Error><Code>MissingContentMD5</Code></Error>")

    def _read_body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Suppress the log of requests."""


@contextmanager
def wrong_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server in place of a current S3 server, and yield its endpoint."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as endpoint:
        yield endpoint
