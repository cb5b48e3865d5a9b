"""Redis and PostgreSQL are gone for a while, in the middle of sending: long, run by hand with `make deep`."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from notifier.servers import postgres, redis
from notifier.store.migrate import migrate
from tests.sandbox import running_sandbox
from tests.usecases.desk import mailbox, person, phone
from tests.workers.house import PROGRAMS, House, open_house

pytestmark = pytest.mark.deep
GONE_SECONDS = 8


@pytest.fixture
def folders(server_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    return server_folder / f"postgres-{tmp_path.name}", server_folder / f"redis-{tmp_path.name}"


@pytest.fixture
def house(folders: tuple[Path, Path], tmp_path: Path) -> Iterator[House]:
    """Servers of its own, which a test may kill and start again in the same place."""
    database, memory = postgres.start(folders[0]), redis.start(folders[1])
    try:
        migrate(database.url, tmp_path / "keys")
        with (
            running_sandbox(delay_ms=20, answer_delay_ms=200) as sandbox,
            open_house(
                database_url=database.url,
                redis_url=memory.url,
                key_dir=tmp_path / "keys",
                folder=tmp_path,
                sandbox=sandbox,
            ) as house,
        ):
            for name in PROGRAMS:
                house.start(name)
            house.until(house.web_is_up)
            yield house
    finally:
        for server in (database, memory):
            server.stop()


@contextmanager
def started_again(server: postgres.Postgres | redis.Redis) -> Iterator[None]:
    try:
        yield
    finally:
        server.stop()


def test_redis_may_be_gone_for_a_while(house: House, folders: tuple[Path, Path]) -> None:
    matter_id = house.approved([person(phone=phone(n), email=mailbox()) for n in range(40)])
    house.until(lambda: house.taken(matter_id))
    os.kill(house.redis.info("server")["process_id"], signal.SIGKILL)
    later = house.approved([person(phone=phone(n)) for n in range(40)])
    time.sleep(GONE_SECONDS)
    with started_again(redis.start(folders[1])):
        house.until(lambda: house.statuses(matter_id) == {"delivered": 80}, 60)
        house.until(lambda: house.statuses(later) == {"delivered": 40}, 60)
        assert set(house.taken(matter_id).values()) == set(house.taken(later).values()) == {1}
        house.check_everything()
        house.stop()  # while Redis is there: asked to end, all end in order


def test_postgresql_may_be_killed_in_the_middle_of_sending(house: House, folders: tuple[Path, Path]) -> None:
    people = [person(phone=phone(n, area=area), email=mailbox()) for area in (303, 720, 970) for n in range(50)]
    matter_id = house.approved(people)
    house.until(lambda: len(house.taken(matter_id)) >= 20)
    sockets = parse_qs(urlsplit(house.environment["DATABASE_URL"]).query)["host"][0]
    process_id = (Path(sockets).parent / "data" / "postmaster.pid").read_text().split()[0]
    os.kill(int(process_id), signal.SIGKILL)
    time.sleep(GONE_SECONDS / 2)
    with started_again(postgres.start(folders[0])):
        house.until(lambda: not house.statuses(matter_id)["planned"], 60)
        with house.db.transaction(house.office.agency_id) as tx:  # time passes
            tx.conn.execute(text("update attempt set lease_until = now() where status = 'sending'"))
        house.until(lambda: not house.statuses(matter_id)["sending"], 30)
        assert set(house.taken(matter_id).values()) == {1}
        assert sum(house.statuses(matter_id).values()) == 300
        # Twilio does not repeat a receipt that it could not hand in, so that some are never more than handed over.
        assert set(house.statuses(matter_id)) <= {"delivered", "accepted", "handed_over", "unknown"}
        house.check_everything()
        house.stop()
