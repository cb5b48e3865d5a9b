"""An API on a real database with real keys. Whatever it answers is held against what it publishes."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from notifier.bootstrap import build
from notifier.service import CONFIG_DIR, Service
from notifier.settings import Settings
from notifier.store.migrate import migrate
from notifier.store.tables import metadata
from notifier.web import create_app
from tests.api.calling import Caller
from tests.installation import NOW, Office, open_office

PUBLIC = "https://notices.agency.example.org"
TWILIO_TOKEN = "made-up-token-of-tests"

Prepare = Callable[[str], object]
SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())


def environment(database_url: str, redis_url: str, folder: Path) -> dict[str, str]:
    """Settings with both vendors configured towards a port where nobody listens."""
    der = SIGNING_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_BASE_URL": PUBLIC,
        "NOTIFIER_KEY_DIR": str(folder / "keys"),
        "NOTIFIER_DATA_DIR": str(folder / "data"),
        "TWILIO_BASE_URL": "http://127.0.0.1:9",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": TWILIO_TOKEN,
        "TWILIO_FROM": "+12025550199",
        "SENDGRID_BASE_URL": "http://127.0.0.1:9",
        "SENDGRID_API_KEY": "SG.made-up",
        "SENDGRID_FROM": "records@agency.example.org",
        "SENDGRID_WEBHOOK_PUBLIC_KEY": b64encode(der).decode(),
    }


@pytest.fixture(scope="session")
def api_environment(
    database_from_template: Callable[[Prepare], AbstractContextManager[str]],
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("api")
    with database_from_template(partial(migrate, key_dir=folder / "keys")) as url:
        yield environment(url, redis_url, folder)


@pytest.fixture(scope="session")
def service(api_environment: Mapping[str, str]) -> Iterator[Service]:
    settings = Settings.load(api_environment, CONFIG_DIR)
    built = replace(build(settings), now=lambda: NOW)
    yield built
    built.db.close()
    built.redis.close()


@pytest.fixture(scope="session")
def app(service: Service) -> Flask:
    return create_app(service)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def office(service: Service) -> Office:
    return open_office(service.db, service.vault)


@pytest.fixture
def machine(client: FlaskClient, office: Office) -> Caller:
    return Caller(client, office.machine_token)


@pytest.fixture
def approver(client: FlaskClient, office: Office) -> Caller:
    return Caller(client, office.personal_token)


@pytest.fixture
def count_rows(service: Service, office: Office) -> Callable[[], dict[str, int]]:
    """Rows of this agency in every table that has rows of agencies, and of the directory."""

    def count() -> dict[str, int]:
        with service.db.transaction(office.agency_id) as tx:
            return {
                table.name: tx.conn.execute(
                    text(f"select count(*) from {table.name} where agency_id = :agency"),  # noqa: S608 # our own tables
                    {"agency": office.agency_id},
                ).scalar_one()
                for table in metadata.sorted_tables
                if "agency_id" in table.c
            }

    return count
