"""The service as it runs, each part a process of its own: Gunicorn, a worker for each queue, clock, Redis, sandbox."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from redis import Redis
from sqlalchemy import text

from notifier.bootstrap import carriers_in_use, open_packs
from notifier.core.person_row import PersonRow
from notifier.doorbell import QUEUES
from notifier.service import CONFIG_DIR
from notifier.settings import Settings
from notifier.store.engine import Database
from notifier.store.keys import open_keyring
from notifier.store.ledger import read_chain, verify
from notifier.store.vault import Vault
from notifier.usecases.approve import approve_sending
from notifier.usecases.intake import NewMatter, create_matter
from tests.installation import DEMAND, Office, open_office
from tests.sandbox import MAILBOX, NUMBER, ROOT, Sandbox
from tests.usecases.replay import replayed

PROGRAMS = {
    "web": ("gunicorn", "-c", "config/gunicorn.conf.py", "notifier.web:create_app()"),
    "clock": ("workers.clock",),
    **{queue: ("workers.worker", queue) for queue in QUEUES},
}


@dataclass
class House:
    """Everything that runs, and one office in it."""

    environment: dict[str, str] = field(repr=False)
    folder: Path
    sandbox: Sandbox
    db: Database
    vault: Vault
    redis: Redis
    office: Office
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, program: str | None = None) -> None:
        """Start one of PROGRAMS; `name` tells two of one kind apart."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *PROGRAMS[program or name]],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """End one at once, as a power cut would."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """Ask all to end, and wait."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        self.running.clear()

    def logs(self) -> dict[str, bytes]:
        return {path.stem: path.read_bytes() for path in sorted(self.folder.glob("*.log"))}

    def until(self, is_so: Callable[[], object], seconds: float = 30) -> None:
        """Return when it is so; fail when it is not in time, or when a program has ended."""
        end = time.monotonic() + seconds
        while not is_so():
            ended = [name for name, process in self.running.items() if process.poll() is not None]
            last = {name: log[-800:].decode(errors="replace") for name, log in self.logs().items()}
            assert not ended, (ended, last)
            assert time.monotonic() < end, (self.standing(), last)
            time.sleep(0.05)

    def web_is_up(self) -> bool:
        """Whether it answers, and has its database."""
        where = urlsplit(self.environment["PUBLIC_BASE_URL"])
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def approved(self, people: Sequence[PersonRow]) -> UUID:
        """A matter with these people, approved."""
        now = datetime.now(UTC)
        with self.db.transaction(self.office.agency_id) as tx:
            matter_id = create_matter(
                tx,
                NewMatter(str(uuid4()), DEMAND),
                people,
                principal=self.office.uploader,
                packs=open_packs(),
                edition="2026-11",
                body_digest=b"digest",
                vault=self.vault,
                now=now,
            ).matter_id
            approve_sending(
                tx,
                matter_id,
                principal=self.office.approver,
                packs=open_packs(),
                carrier_of=carriers_in_use(Settings.load(self.environment, CONFIG_DIR)),
                carriers_are_real=False,
                vault=self.vault,
                now=now,
            )
        return matter_id

    def rows(self, query: str, **values: object) -> Sequence[Any]:
        with self.db.transaction(self.office.agency_id) as tx:
            return tx.conn.execute(text(query), values).all()

    def statuses(self, matter_id: UUID) -> Counter[str]:
        rows = self.rows("select status, count(*) from attempt where matter_id = :m group by 1", m=matter_id)
        return Counter({row.status: row.count for row in rows})

    def standing(self) -> list[tuple[object, ...]]:
        """How many attempts stand where, for a test's last words."""
        return [tuple(row) for row in self.rows("select channel, status, count(*) from attempt group by 1, 2")]

    def taken(self, matter_id: UUID) -> Counter[str]:
        """How often the carriers took each attempt of a matter, by their own record."""
        ours = {
            str(row.attempt_id) for row in self.rows("select attempt_id from attempt where matter_id = :m", m=matter_id)
        }
        return Counter(line["attempt"] for line in self.sandbox.record(kind="taken") if line["attempt"] in ours)

    def check_everything(self) -> None:
        """Every chain verifies, and tells where each attempt stands."""
        with self.db.transaction(self.office.agency_id) as tx:
            chains = tx.conn.execute(text("select chain_id from chain")).scalars().all()
            for chain_id in chains:
                verify(tx, chain_id)
            said = replayed(body for chain_id in chains for body in read_chain(tx, chain_id))
            rows = tx.conn.execute(text("select attempt_id, status from attempt")).all()
        assert {str(row.attempt_id): row.status for row in rows} == {one: status for one, (status, *_) in said.items()}


@contextmanager
def open_house(*, database_url: str, redis_url: str, key_dir: Path, folder: Path, sandbox: Sandbox) -> Iterator[House]:
    """Everything but the programs, which the test starts; all are ended at the end."""
    port = free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "NOTIFIER_KEY_DIR": str(key_dir),
        "NOTIFIER_DATA_DIR": str(folder / "data"),
        "NOTIFIER_BIND": f"127.0.0.1:{port}",
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "TWILIO_BASE_URL": sandbox.url,
        "TWILIO_ACCOUNT_SID": sandbox.account_sid,
        "TWILIO_AUTH_TOKEN": sandbox.auth_token,
        "TWILIO_FROM": NUMBER,
        "SENDGRID_BASE_URL": sandbox.url,
        "SENDGRID_API_KEY": sandbox.api_key,
        "SENDGRID_FROM": MAILBOX,
        "SENDGRID_WEBHOOK_PUBLIC_KEY": sandbox.public_key,
    }
    sandbox.control(webhook_url=f"http://127.0.0.1:{port}/callbacks/sendgrid_email")
    db, vault = Database(database_url), Vault(open_keyring(key_dir))
    redis = Redis.from_url(redis_url)
    house = House(environment, folder, sandbox, db, vault, redis, open_office(db, vault))
    try:
        yield house
    finally:
        house.stop()
        db.close()
        redis.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
