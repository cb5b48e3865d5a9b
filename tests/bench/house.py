"""A whole installation as production runs it, on this machine: durable PostgreSQL, Redis, Gunicorn, a worker for each
queue, the clock; and the sandbox in the place of the carriers, on one core. Text messages go to it by plain HTTP, as in
the bare loop beside them, and emails over TLS.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from redis import Redis

from notifier.core.model import KeyKind, Mode, Role
from notifier.doorbell import QUEUES
from notifier.servers import postgres, redis
from notifier.servers.tether import start_tethered, stop
from notifier.store.engine import Database
from notifier.store.vault import Vault
from notifier.usecases.access import add_agency, add_officer, create_key
from tests.bench.caller import Caller
from tests.bench.processes import Meter
from tests.bench.watch import Watch, WentWrong
from tests.installation import PROFILE, installation
from tests.sandbox import ROOT, SERVICE_SID, Sandbox, running_sandbox

ANSWER_DELAY_MS = 100
HOST = "127.0.0.1"
START_SECONDS = 60
POLL_SECONDS = 0.05
OURS = ("postgres", "redis", "web", *QUEUES, "clock")
SANDBOX = "sandbox"
CERTIFICATE = "sandbox.pem"
# /tmp may be memory, on which a flush to disk costs nothing.
DISK = Path("/var/tmp")  # noqa: S108 - a folder with a random name is made in it
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "web": ("-m", "gunicorn", "-c", "config/gunicorn.conf.py", "notifier.web:create_app()"),
    **{queue: ("-m", "workers.worker", queue) for queue in QUEUES},
    "clock": ("-m", "workers.clock"),
}


@dataclass(frozen=True, slots=True)
class House:
    """Everything runs, and nothing waits to be done."""

    caller: Caller
    sandbox: Sandbox
    watch: Watch
    meter: Meter
    folder: Path
    programs: Mapping[str, subprocess.Popen[bytes]] = field(repr=False)

    def until(self, is_so: Callable[[], bool], *, seconds: float) -> None:
        """Return when it is so.

        Raises:
            WentWrong: it was not so in time, or a program has ended.
        """
        end = time.monotonic() + seconds
        while not is_so():
            for name, process in self.programs.items():
                if process.poll() is not None:
                    raise WentWrong(f"{name} has ended; its last words:\n{_last_words(self.folder, name, lines=10)}")
            if time.monotonic() > end:
                words = "\n".join(f"{name}: {_last_words(self.folder, name, lines=3)}" for name in self.programs)
                raise WentWrong(f"not done within {seconds:.0f} s; the last words of all:\n{words}")
            time.sleep(POLL_SECONDS)

    def rest(self) -> None:
        """Let everything come to rest, so that no run pays for the one before."""
        self.sandbox.settle(60)
        self.watch.tidy()
        time.sleep(0.5)


@contextmanager
def open_house() -> Iterator[House]:
    """Start everything, and end it; use it in the main thread."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="notifier-bench-", dir=DISK if DISK.is_dir() else None))
        stack.callback(shutil.rmtree, folder)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # root's servers run as nobody
        database = stack.enter_context(postgres.running(folder / "postgres"))
        bell = stack.enter_context(redis.running(folder / "redis"))
        port = _free_port()
        public = f"http://{HOST}:{port}"
        sandbox = stack.enter_context(
            running_sandbox(
                ca_file=folder / CERTIFICATE,
                answer_delay_ms=ANSWER_DELAY_MS,
                webhook_url=f"{public}/callbacks/sendgrid_email",
            )
        )
        os.sched_setaffinity(sandbox.process_id, {max(os.sched_getaffinity(0))})
        db, vault = stack.enter_context(installation(database.url, folder / "keys"))
        agency_id, uploader, approver = _open_office(db, vault)
        programs = stack.enter_context(
            _running(folder, _environment(folder, database.url, bell.url, public=public, sandbox=sandbox))
        )
        admin_url = urlunsplit(urlsplit(database.admin_url)._replace(path=urlsplit(database.url).path))
        watch = Watch(stack.enter_context(psycopg.connect(admin_url, autocommit=True)), db, agency_id)
        roots = {
            "postgres": _process_id(database.process),
            "redis": _process_id(bell.process),
            **{name: process.pid for name, process in programs.items()},
            SANDBOX: sandbox.process_id,
        }
        house = House(
            caller=Caller(HOST, port, uploader, approver),
            sandbox=sandbox,
            watch=watch,
            meter=Meter(roots, aside=[watch.backend]),
            folder=folder,
            programs=programs,
        )
        workers = Redis.from_url(bell.url)
        house.until(lambda: workers.scard("rq:workers") == len(QUEUES), seconds=START_SECONDS)
        workers.close()
        house.until(house.caller.is_ready, seconds=START_SECONDS)
        yield house


def _environment(folder: Path, database_url: str, redis_url: str, *, public: str, sandbox: Sandbox) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_BASE_URL": public,
        "NOTIFIER_BIND": public.removeprefix("http://"),
        "NOTIFIER_KEY_DIR": str(folder / "keys"),
        "NOTIFIER_DATA_DIR": str(folder / "data"),
        "TWILIO_BASE_URL": sandbox.url,
        "TWILIO_ACCOUNT_SID": sandbox.account_sid,
        "TWILIO_AUTH_TOKEN": sandbox.auth_token,
        "TWILIO_MESSAGING_SERVICE_SID": SERVICE_SID,
        "SENDGRID_BASE_URL": sandbox.tls_url,
        "SSL_CERT_FILE": str(folder / CERTIFICATE),
        "SENDGRID_API_KEY": sandbox.api_key,
        "SENDGRID_FROM": sandbox.mailbox,
        "SENDGRID_WEBHOOK_PUBLIC_KEY": sandbox.public_key,
    }


@contextmanager
def _running(folder: Path, env: Mapping[str, str]) -> Iterator[Mapping[str, subprocess.Popen[bytes]]]:
    programs: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in PROGRAMS.items():
            with _log(folder, name).open("ab") as log:
                command = [sys.executable, *arguments]
                programs[name] = start_tethered(command, env=env, folder=ROOT, output=log.fileno())
        yield programs
    finally:
        for process in programs.values():
            process.terminate()  # all at once, then wait for each
        for process in programs.values():
            stop(process, (signal.SIGTERM,), grace=20)


def _open_office(db: Database, vault: Vault) -> tuple[UUID, str, str]:
    """An agency with two officers; its id and their personal test keys."""
    now = datetime.now(UTC)
    agency_id = add_agency(
        db,
        name="Example Agency",
        profile=PROFILE,
        zone="America/Denver",
        lone_officer_in_test=False,
        vault=vault,
        now=now,
    )
    tokens = []
    with db.transaction(agency_id) as tx:
        for name, role in (("First Officer", Role.CASEWORKER), ("Second Officer", Role.APPROVER)):
            officer_id = add_officer(tx, name=name, roles=[role], now=now)
            key = create_key(tx, officer_id=officer_id, kind=KeyKind.PERSONAL, mode=Mode.TEST, vault=vault, now=now)
            tokens.append(key.token)
    return agency_id, tokens[0], tokens[1]


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def _last_words(folder: Path, name: str, *, lines: int) -> str:
    return "\n".join(_log(folder, name).read_text("utf-8", "replace").splitlines()[-lines:])


def _process_id(process: subprocess.Popen[bytes] | None) -> int:
    if process is None:
        raise WentWrong("a server of somebody else's cannot be measured")
    return process.pid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
