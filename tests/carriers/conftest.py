"""What every carrier's tests need: the real timetable, a sandbox in its own process, and a catcher of its posts."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from notifier.carriers.timetable import Wire, load
from tests.sandbox import Catcher, Sandbox, catching, running_sandbox

CONFIG = Path(__file__).resolve().parents[2] / "config" / "carriers.toml"


@pytest.fixture(scope="session")
def wires() -> Mapping[str, Wire]:
    return {slug: timetable.wire for slug, timetable in load(CONFIG).items() if timetable.wire is not None}


@pytest.fixture(scope="module")
def catcher() -> Iterator[Catcher]:
    with catching() as catcher:
        yield catcher


@pytest.fixture(scope="module")
def sandbox(catcher: Catcher) -> Iterator[Sandbox]:
    with running_sandbox(webhook_url=catcher.url("/callbacks/sendgrid_email")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def tls_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One that speaks TLS too; nobody trusts it until SSL_CERT_FILE names its `ca_file`."""
    with running_sandbox(ca_file=tmp_path_factory.mktemp("tls") / "sandbox.pem") as sandbox:
        yield sandbox
