"""A sandbox of the carriers in a process of its own, and somebody who catches what it posts.

with running_sandbox(webhook_url=catcher.url("/callbacks/sendgrid_email")) as sandbox: ...
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from notifier.carriers.base import Callback

ROOT = Path(__file__).resolve().parents[1]
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "sandbox-token"
API_KEY = "SG.sandbox-key"
SERVICE_SID = "MG" + "0123456789abcdef" * 2
NUMBER = "+12025550199"
MAILBOX = "records@agency.example.org"
LOB_KEY = "test_sandbox_key"
LOB_SECRET = "lob-sandbox-secret"


class _Crowded(ThreadingHTTPServer):
    """Takes a burst of receipts: with the usual queue of five, some wait seconds for their second try to connect."""

    request_queue_size = 256
    daemon_threads = True


class Reply(NamedTuple):
    """An HTTP answer, after some seconds."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox: where it is, and what its vendors' consoles would show."""

    url: str
    public_key: str
    process_id: int
    tls_url: str = ""  # the same one over TLS, when it was given a file for its certificate
    ca_file: str = ""
    account_sid: str = ACCOUNT_SID
    auth_token: str = field(default=AUTH_TOKEN, repr=False)
    api_key: str = field(default=API_KEY, repr=False)
    senders: tuple[str, ...] = (NUMBER, SERVICE_SID)
    mailbox: str = MAILBOX
    lob_key: str = field(default=LOB_KEY, repr=False)
    lob_secret: str = field(default=LOB_SECRET, repr=False)

    def control(self, **changes: object) -> None:
        """Turn switches: those of sandbox/options.py."""
        reply = self._call("POST", "/control", json.dumps(changes).encode())
        assert reply.status == 200, reply

    def write(self, number: str, words: str, opt_out_type: str = "") -> str:
        """Somebody writes to our number; returns the id of the message."""
        said = {"from": number, "body": words, "opt_out_type": opt_out_type}
        reply = self._call("POST", "/inbound", json.dumps(said).encode())
        assert reply.status == 200, reply
        return str(json.loads(reply.body)["sid"])

    def summary(self) -> dict[str, Any]:
        """Counts, what is waiting, CPU seconds."""
        summary = json.loads(self._call("GET", "/record/summary").body)
        assert isinstance(summary, dict)
        return summary

    def record(self, *, after: int = 0, **wanted: object) -> list[dict[str, Any]]:
        """Its own lines from number `after` on, those that have all these values."""
        lines = [json.loads(line) for line in self._call("GET", f"/record?after={after}").body.splitlines()]
        return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]

    def settle(self, seconds: float = 30) -> None:
        """Wait until it has nothing more to do."""
        wait_for(lambda: self.summary()["waiting"] == 0, seconds)

    def _call(self, method: str, path: str, body: bytes | None = None) -> Reply:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read())
        finally:
            connection.close()


@contextmanager
def running_sandbox(*, ca_file: Path | None = None, **options: object) -> Iterator[Sandbox]:
    """Start a sandbox on a free loopback port, stop it at the end. `options` are those of sandbox/options.py.

    With `ca_file` it speaks TLS too, and puts its certificate there.
    """
    accounts = {
        "account_sid": ACCOUNT_SID,
        "auth_token": AUTH_TOKEN,
        "senders": [NUMBER, SERVICE_SID],
        "api_key": API_KEY,
        "mailboxes": [MAILBOX],
        "lob_key": LOB_KEY,
        "lob_secret": LOB_SECRET,
        "delay_ms": 20,
    }
    given: dict[str, object] = {"host": "127.0.0.1", "port": 0, "options": {**accounts, **options}}
    if ca_file is not None:
        given["ca_file"] = str(ca_file)
    process = subprocess.Popen(
        [sys.executable, "-m", "notifier.carriers.sandbox"],
        cwd=ROOT,
        env={**os.environ, "NOTIFIER_SANDBOX": json.dumps(given)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        facts = json.loads(process.stdout.readline())
        yield Sandbox(facts["url"], facts["webhook_public_key"], process.pid, facts["tls_url"], str(ca_file or ""))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stdout.close()


class Catcher:
    """Stands where our callback pages, or a carrier, would: keeps each request as received and answers 204.

    `replies` are given first, one each.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.caught: list[Callback] = []
        self.replies: deque[Reply] = deque()

    def url(self, path: str = "") -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def wait(self, count: int, seconds: float = 10) -> list[Callback]:
        """What has been caught, once it is so many."""
        wait_for(lambda: len(self.caught) >= count, seconds)
        return list(self.caught)


@contextmanager
def catching() -> Iterator[Catcher]:
    """A catcher on a free loopback port."""

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            catcher.caught.append(Callback(catcher.url(self.path), headers, body, datetime.now(UTC)))
            reply = catcher.replies.popleft() if catcher.replies else Reply(204)
            time.sleep(reply.after)
            self.send_response(reply.status)
            for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = _Crowded(("127.0.0.1", 0), Page)
    catcher = Catcher(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield catcher
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def wait_for(is_so: Callable[[], bool], seconds: float) -> None:
    """Return when it is so.

    Raises:
        TimeoutError: it was not so in time.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)
