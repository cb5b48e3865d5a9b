"""The example of docs/adding-a-carrier.md, put in place as the page says, in a copy of the checkout, and used."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "adding-a-carrier.md"
BLOCK = re.compile(r"`([\w./]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)

USE = """
import asyncio, hmac, json, sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from notifier.carriers import open_carrier, open_reader
from notifier.carriers.base import Callback, CallbackRefused, Carrier, Message, ReceiptReader
from notifier.carriers.timetable import load

wire = load(Path("config/carriers.toml"))["pigeon_sms"].wire

async def send(*numbers):
    carrier = open_carrier("pigeon_sms", base_url=sys.argv[1], api_key="key", wire=wire)
    try:
        return await carrier.send([Message(UUID(int=1), UUID(int=n), to, "Text") for n, to in enumerate(numbers, 2)])
    finally:
        await carrier.close()

def heard(word, secret=b"secret"):
    body = json.dumps({"event_id": "e1", "id": "p1", "word": word,
                       "metadata": {"agency": str(UUID(int=1)), "attempt": str(UUID(int=2))}}).encode()
    headers = {"x-pigeon-signature": hmac.digest(secret, body, "sha256").hex()}
    callback = Callback("https://notices.example.org/callbacks/pigeon_sms", headers, body, datetime.now(UTC))
    reader = open_reader("pigeon_sms", secret="secret")
    try:
        reader.authenticate(callback)
    except CallbackRefused as refused:
        return refused.code
    [receipt] = reader.parse(callback)
    return [receipt.event, receipt.attempt_id.int, receipt.is_known]

results = asyncio.run(send("+13035550101", "+13035550152", "+13035550176"))
print(json.dumps({
    "sent": [[result.attempt_id.int, result.outcome, result.carrier_ref, result.reason] for result in results],
    "heard": [heard("landed"), heard("seen"), heard("sings"), heard("landed", b"forged")],
}))
"""


@pytest.fixture
def pigeon_post() -> Iterator[str]:
    """The invented vendor: it takes a number, refuses one and breaks at one."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_same = body["metadata"]["attempt"] == self.headers["Idempotency-Key"]
            answers = {"52": (422, {"code": "no_such_number"}), "76": (500, {})}
            status, said = answers.get(body["to"][-2:], (202 if is_same else 400, {"id": "p1"}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout with the page's blocks in their places."""
    shutil.copytree(ROOT / "notifier", tmp_path / "notifier", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "config", tmp_path / "config")
    blocks = dict(BLOCK.findall(PAGE.read_text("utf-8")))
    assert set(blocks) == {"notifier/carriers/pigeon_sms.py", "notifier/carriers/__init__.py", "config/carriers.toml"}
    (tmp_path / "notifier/carriers/pigeon_sms.py").write_text(blocks["notifier/carriers/pigeon_sms.py"], "utf-8")
    table = tmp_path / "notifier/carriers/__init__.py"
    start = "CARRIERS: Mapping[str, Entry] = MappingProxyType(\n    {\n"
    before, found, after = table.read_text("utf-8").partition(start)
    assert found
    table.write_text(before + start + blocks["notifier/carriers/__init__.py"] + after, "utf-8")
    with (tmp_path / "config/carriers.toml").open("a", encoding="utf-8") as timetable:
        timetable.write("\n" + blocks["config/carriers.toml"])
    return tmp_path


def test_the_example_sends_and_hears_as_the_page_says(checkout: Path, pigeon_post: str) -> None:
    command = [sys.executable, "-c", USE, pigeon_post]
    ran = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["sent"] == [
        [2, "handed_over", "p1", None],
        [3, "refused", None, "number_dead"],
        [4, "unknown", None, "carrier_error"],
    ]
    assert said["heard"] == [["arrived", 2, True], [None, 2, True], [None, 2, False], "signature"]


def test_the_example_is_written_as_everything_here_is(checkout: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", checkout)
    for command in (["check"], ["format", "--check"]):
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "ruff",
                *command,
                "notifier/carriers/pigeon_sms.py",
                "notifier/carriers/__init__.py",
            ],
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
