"""Start a program that ends when its starter ends, whatever happens to the starter.

Run as a script, this file becomes the program:

    python tether.py STARTER SIGNAL UID GID PROGRAM [ARGUMENT ...]

It drops to UID and GID ("-": keeps them), asks the kernel to send it SIGNAL when the starter's thread ends (Linux;
elsewhere the program may outlive a starter that was killed with -9), and replaces itself with PROGRAM. A program of
its own, because code between fork and exec is not safe in a process with threads. It imports little: each start pays.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a program runs as, by number."""

    uid: int
    gid: int


def start_tethered(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path,
    output: IO[bytes] | int,
    end_with: signal.Signals = signal.SIGTERM,
    identity: Identity | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` (absolute path first) in `folder`, in a session of its own, so that Ctrl-C reaches only us.

    Call it from a thread that lives as long as the program shall: the main one. The program gets `env` and nothing
    else, no input, `output` for both its outputs, the descriptors `keep_open`, and umask 077.
    """
    who = ("-", "-") if identity is None else (str(identity.uid), str(identity.gid))
    return subprocess.Popen(  # the program and its arguments are ours
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(end_with)), *who, *command],
        env=dict(env),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o077,
        pass_fds=keep_open,
    )


def stop(process: subprocess.Popen[bytes], signals: Sequence[signal.Signals], *, grace: float) -> None:
    """End `process`: each of `signals` in turn, with `grace` seconds each, then SIGKILL. It is gone on return."""
    for sign in (*signals, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _become(starter: int, sign: int, uid: str, gid: str, command: list[str]) -> None:
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # After the change of user: the kernel forgets the request when the user changes.
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, sign, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != starter:  # it ended before the kernel knew of our wish
        sys.exit("the starter is gone")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
