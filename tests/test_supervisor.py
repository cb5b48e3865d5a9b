"""Programs that start together and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from notifier import supervisor
from notifier.supervisor import Ended, Program, Stopped

CHECKOUT = Path(__file__).resolve().parents[1]
SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], stdout=-3);"
    "print(p.pid, flush=True); p.wait()"
)


def python(name: str, code: str, **env: str) -> Program:
    return Program(name, [sys.executable, "-c", code], env)


def until(true: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run(programs: Sequence[Program], lines: list[str], *, grace: float = 5) -> AbstractContextManager[supervisor.Crew]:
    return supervisor.running(programs, folder=CHECKOUT, say=lines.append, grace=grace)


def test_each_line_of_output_comes_under_the_programs_name() -> None:
    lines: list[str] = []
    with run([python("web", SLEEPER), python("worker", "print('one\\ntwo', flush=True)" + ";" + SLEEPER)], lines):
        assert until(lambda: len(lines) == 4)
    assert sorted(lines) == ["web    | up", "worker | one", "worker | two", "worker | up"]


def test_a_program_gets_its_own_environment_and_no_other() -> None:
    lines: list[str] = []
    show = "import os; print(sorted(set(os.environ) - {'LC_CTYPE', 'PYTHONUNBUFFERED'}))"
    with run([python("a", show + ";" + SLEEPER, ONLY="this")], lines):
        assert until(lambda: len(lines) == 2)
    assert lines[0] == "a | ['ONLY']"


def test_a_program_that_ends_by_itself_is_noticed_and_ends_the_others() -> None:
    lines: list[str] = []
    with pytest.raises(Ended, match="worker ended by itself") as caught:  # noqa: SIM117 - the order is the point
        with run([python("web", SLEEPER), python("worker", "raise SystemExit(3)")], lines) as crew:
            crew.wait(20)
    assert caught.value.status == 3


def test_a_program_that_does_not_listen_is_killed_after_the_grace() -> None:
    lines: list[str] = []
    with run([python("deaf", DEAF)], lines, grace=0.3):
        assert until(lambda: lines == ["deaf | up"])
        began = time.monotonic()
    assert 0.2 < time.monotonic() - began < 5


def test_what_a_program_started_ends_with_it() -> None:
    lines: list[str] = []
    with run([python("parent", PARENT)], lines):
        assert until(lambda: bool(lines))
        child = int(lines[0].split("| ")[1])
        assert is_running(child)
    assert until(lambda: not is_running(child))


def test_sigterm_ends_the_block_and_all_programs() -> None:
    lines: list[str] = []

    def serve() -> None:
        with run([python("web", f"import os; print(os.getpid(), flush=True); {SLEEPER}")], lines) as crew:
            assert until(lambda: len(lines) == 2)
            os.kill(os.getpid(), signal.SIGTERM)
            crew.wait(20)

    with pytest.raises(Stopped):
        serve()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert not is_running(int(lines[0].split("| ")[1]))


STARTER = """
import sys; from pathlib import Path; from notifier import supervisor
child = supervisor.Program("child", [sys.executable, "-c", sys.argv[1]], {})
with supervisor.running([child], folder=Path("/"), say=lambda line: print(line, flush=True)) as crew:
    crew.wait()
"""


def test_programs_end_when_we_are_killed_with_minus_nine() -> None:
    command = [sys.executable, "-c", STARTER, f"import os; print(os.getpid(), flush=True); {SLEEPER}"]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline().split("| ")[1])
        process.kill()
    assert until(lambda: not is_running(child))
