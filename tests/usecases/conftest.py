"""A desk for each test: an agency of its own in a shared database, beside a shared sandbox of the carriers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from notifier.bootstrap import build, open_redis
from notifier.service import CONFIG_DIR, Service
from notifier.settings import Settings
from notifier.store.migrate import migrate
from tests.installation import open_office
from tests.sandbox import MAILBOX, NUMBER, Catcher, Sandbox, catching, running_sandbox
from tests.usecases.desk import Desk

Prepare = Callable[[str], object]


@pytest.fixture(scope="session")
def catcher() -> Iterator[Catcher]:
    with catching() as catcher:
        yield catcher


@pytest.fixture(scope="session")
def sandbox(catcher: Catcher) -> Iterator[Sandbox]:
    email, inbound = (catcher.url(f"/callbacks/{name}") for name in ("sendgrid_email", "twilio_inbound"))
    with running_sandbox(webhook_url=email, inbound_url=inbound, delay_ms=5) as sandbox:
        yield sandbox


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with open_redis(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def key_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("usecases") / "keys"


@pytest.fixture(scope="session")
def service(
    database_from_template: Callable[[Prepare], AbstractContextManager[str]],
    key_dir: Path,
    sandbox: Sandbox,
    catcher: Catcher,
) -> Iterator[Service]:
    with database_from_template(partial(migrate, key_dir=key_dir)) as url:
        environment = {
            "DATABASE_URL": url,
            "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody there, and nobody asks
            "NOTIFIER_KEY_DIR": str(key_dir),
            "PUBLIC_BASE_URL": catcher.url(),
            "TWILIO_BASE_URL": sandbox.url,
            "TWILIO_ACCOUNT_SID": sandbox.account_sid,
            "TWILIO_AUTH_TOKEN": sandbox.auth_token,
            "TWILIO_FROM": NUMBER,
            "SENDGRID_BASE_URL": sandbox.url,
            "SENDGRID_API_KEY": sandbox.api_key,
            "SENDGRID_FROM": MAILBOX,
            "SENDGRID_WEBHOOK_PUBLIC_KEY": sandbox.public_key,
        }
        service = build(Settings.load(environment, CONFIG_DIR))
        yield service
        service.db.close()


@pytest.fixture
def desk(service: Service, sandbox: Sandbox, catcher: Catcher) -> Iterator[Desk]:
    """When the test is over the ledger must hold, and must tell every attempt's standing by itself."""
    opened = Desk(service, open_office(service.db, service.vault), sandbox, catcher)
    yield opened
    opened.check_everything()
