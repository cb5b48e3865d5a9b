"""Redis and PostgreSQL are gone for a while, in the middle of sending: long, run by hand with `make deep`."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.servers import postgres, redis
from notifier.store.migrate import migrate
from tests.sandbox import running_sandbox
from tests.usecases.desk import mailbox, person, phone
from tests.workers.house import PROGRAMS, House, open_house

pytestmark = pytest.mark.deep
GONE_SECONDS = 8


@pytest.fixture(scope="module")
def folders(server_folder: Path) -> tuple[Path, Path]:
    return server_folder / "outage-postgres", server_folder / "outage-redis"


@pytest.fixture(scope="module")
def house(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("outages")
    with running_sandbox(delay_ms=20) as sandbox, postgres.running(folders[0], durable=True) as database:
        memory = redis.start(folders[1])
        try:
            migrate(database.url, folder / "keys")
            with open_house(
                database_url=database.url,
                redis_url=memory.url,
                key_dir=folder / "keys",
                folder=folder,
                sandbox=sandbox,
            ) as house:
                for name in PROGRAMS:
                    house.start(name)
                yield house
        finally:
            redis.start(folders[1]).stop()
            memory.stop()


def test_redis_may_be_gone_for_a_while(house: House, folders: tuple[Path, Path]) -> None:
    house.sandbox.control(answer_delay_ms=200)
    matter_id = house.approved([person(phone=phone(n), email=mailbox()) for n in range(40)])
    house.until(lambda: house.taken(matter_id))
    os.kill(house.redis.info("server")["process_id"], signal.SIGKILL)
    later = house.approved([person(phone=phone(n)) for n in range(40)])
    time.sleep(GONE_SECONDS)
    memory = redis.start(folders[1])
    try:
        house.until(lambda: house.statuses(matter_id) == {"delivered": 80}, 60)
        house.until(lambda: house.statuses(later) == {"delivered": 40}, 60)
        assert set(house.taken(matter_id).values()) == set(house.taken(later).values()) == {1}
        house.check_everything()
        house.stop()  # while Redis is there: asked to end, all end in order
    finally:
        house.sandbox.control(answer_delay_ms=0)
        memory.stop()
