"""Run several programs as one: together they start, and when one of them or we end, all end.

Each program has a session of its own, so that Ctrl-C reaches us alone and we can end them in order. The kernel tells
them to end should we be killed (see `servers/tether.py`).
"""

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from notifier.servers.tether import start_tethered

LONGEST_LINE = 4000  # characters; more of a line is cut


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: an absolute path and its arguments, with this environment and no other."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(repr=False)


class Ended(Exception):
    """A program ended that was to go on. `status` is its exit status, negative for a signal."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"{name} ended by itself (status {status})")
        self.name = name
        self.status = status


class Stopped(BaseException):
    """We were told to stop by SIGTERM or SIGHUP. Like KeyboardInterrupt, no `except Exception` catches it."""


class Crew:
    """The programs that run."""

    def __init__(self, say: Callable[[str], None], width: int) -> None:
        self._say = say
        self._width = width
        self._voice = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: queue.Queue[tuple[str, int]] = queue.Queue()

    def start(self, program: Program, folder: Path) -> None:
        """Start one; its output goes to `say`, line by line, under its name. Call it from the main thread."""
        env = {"PYTHONUNBUFFERED": "1", **program.env}
        process = start_tethered(program.command, env=env, folder=folder, output=subprocess.PIPE)
        self._processes[program.name] = process
        if process.stdout is not None:
            threading.Thread(target=self._repeat, args=(program.name, process.stdout), daemon=True).start()
        threading.Thread(target=self._watch, args=(program.name, process), daemon=True).start()

    def wait(self, seconds: float | None = None) -> None:
        """Sleep for `seconds` (None: for ever).

        Raises:
            Ended: as soon as a program has ended by itself.
        """
        with suppress(queue.Empty):
            raise Ended(*self._ended.get(timeout=seconds))

    def stop(self, grace: float) -> None:
        """Tell all to end (SIGTERM), and after `grace` seconds end them and whatever they started (SIGKILL)."""
        for process in self._processes.values():
            process.terminate()  # does nothing to one that has ended
        timer = threading.Timer(grace, self._kill_all)
        timer.start()
        for process in self._processes.values():
            process.wait()
        timer.cancel()
        self._kill_all()  # children that outlived their parents

    def _kill_all(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _repeat(self, name: str, output: IO[bytes]) -> None:
        with output:
            for line in output:
                words = line.decode("utf-8", "replace").rstrip()[:LONGEST_LINE]
                with self._voice:
                    self._say(f"{name:<{self._width}} | {words}")

    def _watch(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._ended.put((name, process.wait()))


@contextmanager
def running(
    programs: Sequence[Program], *, folder: Path, say: Callable[[str], None], grace: float = 15.0
) -> Iterator[Crew]:
    """Run `programs` for the length of a block, in that order; use it in the main thread.

    `say` gets each line of output, one at a time. SIGTERM and SIGHUP end the block by Stopped, Ctrl-C as ever by
    KeyboardInterrupt; while the programs end, further signals are ignored.
    """
    before = {sign: signal.signal(sign, _raise_stopped) for sign in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    crew = Crew(say, max(len(program.name) for program in programs))
    try:
        for program in programs:
            crew.start(program, folder)
        yield crew
    finally:
        for sign in before:
            signal.signal(sign, signal.SIG_IGN)
        crew.stop(grace)
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _raise_stopped(_sign: int, _frame: FrameType | None) -> None:
    raise Stopped
