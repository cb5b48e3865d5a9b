"""Where an embedded server keeps its files, and whom it runs as.

An ordinary user: in the folder asked for, as that user, closed to everybody else.

Root: PostgreSQL refuses to run as root, so it runs as `nobody` under a group number that nobody else has. The folder
asked for often lies in a checkout that only root may enter; then the files go to a folder of their own below
`/var/lib/affected-person-notifier`, and a link named `elsewhere` leads there. The programs are copied beside the data,
because their originals lie in a virtual environment that `nobody` may not be able to enter either.
`docs/decisions/0002-embedded-servers-as-root.md` tells the reasons.
"""

import fcntl
import grp
import os
import pwd
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from notifier.servers.errors import CannotStart
from notifier.servers.rights import copy_readable, is_reachable, require_private
from notifier.servers.tether import Identity

STATE_ROOT = Path("/var/lib/affected-person-notifier")
# Group numbers that systemd and the distributions leave unused, low enough for a container's small range of numbers.
FREE_GROUPS = range(60578, 61184)
POLL_SECONDS = 0.02
LOG_BYTES = 5_000_000
SOCKET_PATH_LIMIT = 103  # bytes: macOS has 104 with the final NUL, Linux 108


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one server, and the identity to run it as (None: ours)."""

    folder: Path
    identity: Identity | None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the place while a server is looked for and started, so that two starters cannot both start one.

        An OSError in the block comes out as CannotStart.
        """
        handle = self._open_lock("lock")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise self.why(f"the server's files cannot be used ({error.strerror})") from error
        finally:
            os.close(handle)

    @contextmanager
    def claimed(self, answers: Callable[[], bool], *, patience: float) -> Iterator[int | None]:
        """A descriptor for a new server to keep open while it lives, or None: one lives already, and `answers`.

        The kernel drops the claim when the last process that holds it ends, however it ends; a process number in a
        file cannot tell as much: numbers are used again, and mean nothing in another container. A server that lives
        and does not answer is starting or ending: it gets `patience` seconds, then CannotStart is raised.
        """
        deadline = time.monotonic() + patience
        handle = self._open_lock("alive")
        try:
            while not _flock_at_once(handle):
                if answers():
                    yield None
                    return
                if time.monotonic() > deadline:
                    raise self.why("a server from an earlier start neither answers nor ends")
                time.sleep(POLL_SECONDS)
            yield handle
        finally:
            os.close(handle)  # a server that was started holds its own copy

    def _open_lock(self, name: str) -> int:
        return os.open(self.folder / name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)

    def private_folder(self, name: str) -> Path:
        """A folder below ours that only the server (and root) may enter; made when missing.

        Raises CannotStart when something else has that name, or somebody else owns it.
        """
        path = self.folder / name
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            self.hand_over(path)
        require_private(path, os.geteuid() if self.identity is None else self.identity.uid)
        return path

    def hand_over(self, path: Path) -> None:
        """Make the server's user the owner of `path`, when that is not us."""
        if self.identity is not None:
            os.chown(path, self.identity.uid, self.identity.gid, follow_symlinks=False)

    def secret(self, name: str) -> str:
        """A random word kept in a file that only its owner may read; the same one every time. Call it `locked`."""
        path = self.folder / name
        if not path.exists():
            handle, unfinished = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(24) + "\n")
            Path(unfinished).replace(path)  # whole or not at all
        return path.read_text("ascii").strip()

    def socket_folder(self, socket_name: str) -> Path:
        """A private folder in which a socket called `socket_name` has a path that the kernel accepts.

        Below ours when that is short enough, else a folder with a random name in the system's temporary folder, noted
        in the file `socket-folder`.
        """
        near = self.folder / "socket"
        if len(os.fsencode(near / socket_name)) <= SOCKET_PATH_LIMIT:
            return self.private_folder("socket")
        note = self.folder / "socket-folder"
        owner = os.geteuid() if self.identity is None else self.identity.uid
        with suppress(OSError, CannotStart):
            noted = Path(note.read_text("utf-8"))
            require_private(noted, owner)
            return noted
        far = Path(tempfile.mkdtemp(prefix="notifier-"))
        if len(os.fsencode(far / socket_name)) > SOCKET_PATH_LIMIT:
            far.rmdir()
            raise CannotStart("the temporary folder's path is too long for a socket: set TMPDIR to a shorter one")
        self.hand_over(far)
        note.write_text(str(far), "utf-8")
        return far

    def programs(self, source: Path, parts: Sequence[str], *, label: str) -> Path:
        """Where the server's user finds the programs of `source`: there, or as root in a copy of `parts` below us.

        `parts` are paths below `source`, the first a program's; a new `label` (the version) means a new copy.
        """
        if self.identity is None or is_reachable((source / parts[0]).parent):
            return source
        copy = self.folder / f"programs-{label}"
        if not copy.is_dir():
            unfinished = Path(tempfile.mkdtemp(prefix="copying-", dir=self.folder))
            copy_readable(source, parts, unfinished)
            unfinished.rename(copy)
        return copy

    def open_log(self) -> IO[bytes]:
        """The server's log, ours to read; the one before is kept once it has grown to LOG_BYTES."""
        path = self.folder / "server.log"
        with suppress(FileNotFoundError):
            if path.stat().st_size > LOG_BYTES:
                path.replace(path.with_suffix(".log.1"))
        return os.fdopen(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW, 0o600), "ab")

    def why(self, what: str) -> CannotStart:
        """An error that says `what`, with the last words of the server's log."""
        log = self.folder / "server.log"
        words = log.read_text("utf-8", "replace").splitlines()[-3:] if log.exists() else []
        return CannotStart("\n  ".join([f"{what}; see {log}", *words]))


def is_alive(folder: Path) -> bool:
    """Whether a server lives whose files lie in `folder`; nothing is made, started or waited for."""
    home = folder / "elsewhere" if (folder / "elsewhere").is_symlink() else folder
    try:
        handle = os.open(home / "alive", os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _flock_at_once(handle)
    finally:
        os.close(handle)


def _flock_at_once(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find_place(folder: Path) -> Place:
    """Make `folder`, or what stands for it, ready for a server.

    Raises CannotStart when it belongs to somebody else or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve(strict=True)
        owner = folder.stat().st_uid
        if os.geteuid() != 0:
            require_private(folder, os.geteuid())
            return Place(folder, None)
        if owner != 0:
            raise CannotStart(
                f"{folder} belongs to another user: start the server as that user, or set NOTIFIER_DATA_DIR"
            )
        with _alone(folder):
            home = folder if _stays(folder) else _elsewhere(folder)
            return Place(home, _give_to_group(home))
    except OSError as error:
        raise CannotStart(
            f"{folder} cannot be used ({error.strerror}): set NOTIFIER_DATA_DIR to a folder of your own"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let nobody else decide at the same time where `folder`'s server lives."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _stays(folder: Path) -> bool:
    """Whether root's server lives in `folder` itself; what was decided once stays so, lest it find itself empty."""
    if (folder / "elsewhere").is_symlink():
        return False
    if is_reachable(folder.parent):
        return True
    if (folder / "lock").exists():
        raise CannotStart(
            f"{folder} is closed to its server's user: let others pass the folders above it again (chmod o+x)"
        )
    return False


def _elsewhere(folder: Path) -> Path:
    """The folder below STATE_ROOT that stands for `folder`: the one its link leads to, or a new one."""
    link = folder / "elsewhere"
    with suppress(OSError):
        home = link.readlink()
        origin = Path((home / "origin").read_text("utf-8"))
        copied = origin != folder and (origin / "elsewhere").is_symlink() and (origin / "elsewhere").readlink() == home
        if home.parent == STATE_ROOT and not copied:
            (home / "origin").write_text(str(folder), "utf-8")  # the checkout may have been moved
            return home
    with suppress(FileExistsError):
        STATE_ROOT.mkdir()
        STATE_ROOT.chmod(0o755)  # whatever our umask is
    if not is_reachable(STATE_ROOT):
        raise CannotStart(f"{STATE_ROOT} must belong to root and be open to all: the server cannot run as root")
    home = Path(tempfile.mkdtemp(prefix="", dir=STATE_ROOT))
    (home / "origin").write_text(str(folder), "utf-8")
    link.unlink(missing_ok=True)
    link.symlink_to(home)
    return home


def _give_to_group(home: Path) -> Identity:
    """Let `nobody` under a group of our own pass through `home`; other programs that run as `nobody` cannot."""
    try:
        uid = pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise CannotStart("there is no user `nobody` to run the server as: start it as an ordinary user") from None
    gid = home.stat().st_gid
    if gid not in FREE_GROUPS:
        gid = next(number for number in FREE_GROUPS if not _is_named(number))
        os.chown(home, 0, gid)
    home.chmod(0o710)
    return Identity(uid, gid)


def _is_named(gid: int) -> bool:
    try:
        grp.getgrgid(gid)
    except KeyError:
        return False
    return True
