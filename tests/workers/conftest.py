"""One house for all tests: its programs run from the first to the last, and each test has an office of its own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from notifier.servers import redis
from notifier.store.migrate import migrate
from tests.installation import open_office
from tests.sandbox import Sandbox, running_sandbox
from tests.workers.house import PROGRAMS, House, open_house

Prepare = Callable[[str], object]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(delay_ms=20) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def running_house(
    database_from_template: Callable[[Prepare], AbstractContextManager[str]],
    server_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: Sandbox,
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    key_dir = folder / "keys"
    with (
        redis.running(server_folder / f"redis-{folder.name}") as own_redis,  # it is emptied while it is used
        database_from_template(partial(migrate, key_dir=key_dir)) as url,
        open_house(database_url=url, redis_url=own_redis.url, key_dir=key_dir, folder=folder, sandbox=sandbox) as house,
    ):
        for name in PROGRAMS:
            house.start(name)
        house.until(house.web_is_up)
        yield house


@pytest.fixture
def house(running_house: House) -> Iterator[House]:
    """When the test is over the ledger must hold, and must tell every attempt's standing by itself."""
    running_house.office = open_office(running_house.db, running_house.vault)
    yield running_house
    running_house.check_everything()
