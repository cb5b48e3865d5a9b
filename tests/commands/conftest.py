"""An installation of each module's own, and the commands in its environment."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial

import pytest
from click.testing import CliRunner, Result

from notifier.bootstrap import build
from notifier.cli import commands
from notifier.service import CONFIG_DIR, Service
from notifier.settings import Settings
from notifier.store.migrate import migrate
from tests.api.served import running_server
from tests.commands.cli import AGENCY, Run

Prepare = Callable[[str], object]
FromTemplate = Callable[[Prepare], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def house(
    database_from_template: FromTemplate, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of an installation of this module's own."""
    folder = tmp_path_factory.mktemp("cli")
    with database_from_template(partial(migrate, key_dir=folder / "keys")) as url:
        yield {
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "NOTIFIER_KEY_DIR": str(folder / "keys"),
            "NOTIFIER_DATA_DIR": str(folder / "data"),
        }


@pytest.fixture
def run(house: Mapping[str, str]) -> Run:
    """Run a command in this process."""

    def invoke(*words: str, **env: str) -> Result:
        return CliRunner().invoke(commands, words, env={**house, **env}, catch_exceptions=False)

    return invoke


@pytest.fixture(scope="module")
def service(house: Mapping[str, str]) -> Iterator[Service]:
    built = build(Settings.load(house, CONFIG_DIR))
    yield built
    built.db.close()
    built.redis.close()


@pytest.fixture(scope="module")
def api_url(house: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(house, tmp_path_factory.mktemp("web") / "log") as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def agency(run: Run) -> str:
    return run("agency", "add", "Example Agency", *AGENCY).output.strip()


@pytest.fixture
def keys(run: Run, agency: str, api_url: str) -> dict[str, str]:
    """The environment in which the commands call the API as a system and as a second officer."""
    officers = [
        run("officer", "add", name, "--agency", agency, "--role", role).output.strip()
        for name, role in (("First Officer", "caseworker"), ("Second Officer", "approver"))
    ]
    machine = run("apikey", "create", "--officer", officers[0], "--machine").stdout.strip()
    personal = run("apikey", "create", "--officer", officers[1]).stdout.strip()
    return {"API_URL": api_url, "MACHINE_KEY": machine, "PERSONAL_KEY": personal}
