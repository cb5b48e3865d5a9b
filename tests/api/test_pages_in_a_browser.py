"""The pages as a browser shows them: a real Chromium, without scripts, and nothing fetched from elsewhere."""

import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from flask import Flask

pytestmark = pytest.mark.browser
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
# Only root can install a browser; `make test` does it then.
needs_browser = pytest.mark.skipif(
    not BROWSER and os.geteuid() != 0, reason="no Chromium, and only root can install it"
)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Threads(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


@pytest.fixture(scope="module")
def address(app: Flask) -> Iterator[str]:
    with make_server("127.0.0.1", 0, app, server_class=_Threads, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def browse(url: str, profile: Path, *what: str) -> str:
    """What Chromium prints when it has shown a page."""
    quiet = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
    return subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-javascript",
            *quiet,
            f"--user-data-dir={profile}",
            *what,
            url,
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


@needs_browser
def test_the_public_page_is_read_without_scripts_in_two_languages(address: str, tmp_path: Path) -> None:
    seen = browse(f"{address}/", tmp_path, "--dump-dom")
    assert 'lang="en"' in seen
    assert 'lang="es' in seen
    assert "<script" not in seen


@needs_browser
@pytest.mark.parametrize("page", ["/", "/docs", "/problems/invalid-key"])
def test_a_page_has_something_to_show(address: str, tmp_path: Path, page: str) -> None:
    picture = tmp_path / "page.png"
    browse(f"{address}{page}", tmp_path / "profile", f"--screenshot={picture}", "--window-size=360,740")
    assert picture.stat().st_size > 10_000
