"""The application behind Gunicorn on loopback, and calls to it that a test client cannot make."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Server:
    port: int
    log: Path

    def post(
        self, path: str, body: bytes | Iterable[bytes], token: str, *, media: str, once: str | None = None
    ) -> Answer:
        """Length-delimited for bytes, chunked for an iterable."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Content-Type": media, **self.headers(token, once)}
        try:
            connection.request("POST", path, body, headers, encode_chunked=not isinstance(body, bytes))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def raw(self, request: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes as they are; what comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while piece := connection.recv(65536):
                received += piece
            return received

    @staticmethod
    def headers(token: str, once: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": once or str(uuid4())}


@contextmanager
def running_server(environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Two processes of Gunicorn with the configuration of production; ended at the end."""
    # Another program may take the port in between; then the server says so and the tests end.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {
        "PATH": os.environ.get("PATH", ""),
        **environment,
        "NOTIFIER_BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "2",
    }
    command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "notifier.web:create_app()"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output) as process,
    ):
        try:
            wait_for_health(port, process, log)
            yield Server(port, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_for_health(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError(log.read_text())
