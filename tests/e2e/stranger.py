"""The command `notifier` as a stranger uses it: in a process of its own, and everything that it starts."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from notifier.service import CHECKOUT


def environment(home: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "NOTIFIER_DATA_DIR": str(home / "data"),
        "NOTIFIER_KEY_DIR": str(home / "keys"),
        **more,
    }


@contextmanager
def notifier(*words: str, env: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process; killed when the test has not ended it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "notifier", *words],
        cwd=CHECKOUT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def descendants(pid: int) -> set[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return set(psutil.Process(pid).children(recursive=True))
    return set()


@contextmanager
def watching(pid: int) -> Iterator[set[psutil.Process]]:
    """Every process that a process has started during a block."""
    seen, over = set[psutil.Process](), threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.update(descendants(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_so()


def is_up(pid: int) -> bool:
    """Whether the last part to be started runs: the clock."""
    with suppress(psutil.NoSuchProcess):
        return any("workers.clock" in process.cmdline() for process in descendants(pid))
    return False


def all_gone(processes: set[psutil.Process], seconds: float = 20) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]
