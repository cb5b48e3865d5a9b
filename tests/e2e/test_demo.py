"""`notifier demo` and `notifier run` as a stranger uses them: a process, an empty HOME, nothing left behind."""

import re
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from notifier.bootstrap import open_packs
from notifier.core.model import Mode
from notifier.core.status import PersonOutcome
from notifier.store.engine import Database
from notifier.store.keys import open_keyring
from notifier.store.migrate import migrate
from notifier.store.vault import Vault
from notifier.usecases.intake import NewMatter, create_matter
from tests.e2e.stranger import all_gone, descendants, environment, is_up, notifier, wait_until, watching
from tests.installation import DEMAND, NOW, open_office

Prepare = Callable[[str], object]
FromTemplate = Callable[[Prepare], AbstractContextManager[str]]

# What a shell may hold where the service is used for real; a demonstration must never touch it.
REAL_ACCOUNT = {
    "TWILIO_BASE_URL": "https://api.twilio.com",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "a-real-token",
    "TWILIO_FROM": "+13035550100",
    "TWILIO_EDGE": "sydney",
    "PUBLIC_BASE_URL": "https://notices.agency.example.org",
}
PARTS = 9  # processes at least: sandbox, web with two of its own, four workers, the clock


@pytest.mark.parametrize("servers", ["embedded", "named"])
def test_the_demonstration_accounts_for_everybody_and_leaves_nothing_running(
    servers: str, home: Path, database_from_template: FromTemplate, redis_url: str
) -> None:
    with database_from_template(lambda _: None) as url:
        named = {**REAL_ACCOUNT, "DATABASE_URL": url, "REDIS_URL": redis_url} if servers == "named" else {}
        with notifier("demo", "--exit", env=environment(home, **named)) as demo, watching(demo.pid) as seen:
            output, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, output
    assert len(seen) >= PARTS
    assert all_gone(seen, 1), output
    lines = output.splitlines()
    assert sum(bool(re.match(r" ?DEMO-\d\d ", line)) for line in lines) == 40
    for outcome in (
        PersonOutcome.DELIVERED,
        PersonOutcome.NOT_REACHED,
        PersonOutcome.NO_WORD,
        PersonOutcome.UNCERTAIN,
        PersonOutcome.UNREACHABLE,
    ):
        assert f" {outcome.value} " in output
    for seen_there in ("certified letter: silent", "wrote back: stop", "a caseworker: unknown_outcome by "):
        assert seen_there in output
    assert " = 40 people" in output
    assert "Everybody is accounted for." in output
    assert {path.name for path in home.iterdir()} <= {"data", "keys"}


def test_a_killed_demonstration_leaves_nothing_running(home: Path) -> None:
    with notifier("demo", env=environment(home)) as demo:
        assert wait_until(lambda: is_up(demo.pid), 60)
        seen = descendants(demo.pid)
        demo.send_signal(signal.SIGKILL)
        demo.wait()
        assert all_gone(seen)


def test_ctrl_c_ends_a_demonstration_in_order_and_a_second_one_waits_its_turn(home: Path) -> None:
    env = environment(home)
    with notifier("demo", env=env) as demo:
        assert wait_until(lambda: is_up(demo.pid), 60)
        with notifier("demo", env=env) as second:
            assert "A demo runs in this checkout already." in second.communicate(timeout=30)[0]
            assert second.returncode == 1
        seen = descendants(demo.pid)
        demo.send_signal(signal.SIGINT)
        output, _ = demo.communicate(timeout=40)
        assert demo.returncode == 0, output
        assert all_gone(seen, 1)
    assert "everything is stopped" in output
    assert not (home / "data" / "demo.env").exists()


def test_a_database_with_live_matters_is_no_place_for_a_demonstration(
    home: Path, database_from_template: FromTemplate, redis_url: str
) -> None:
    keys = home / "keys"
    with database_from_template(partial(migrate, key_dir=keys)) as url:
        open_live_matter(url, keys)
        named = {"DATABASE_URL": url, "REDIS_URL": redis_url}
        with notifier("demo", "--exit", env=environment(home, **named)) as demo:
            output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert "a demo needs a database of its own" in output


def open_live_matter(url: str, keys: Path) -> None:
    db, vault = Database(url), Vault(open_keyring(keys))
    office = open_office(db, vault, mode=Mode.LIVE)
    with db.transaction(office.agency_id) as tx:
        create_matter(
            tx,
            NewMatter(external_id="2026-118", demand=DEMAND),
            [],
            principal=office.uploader,
            packs=open_packs(),
            edition="draft",
            body_digest=b"",
            vault=vault,
            now=NOW,
        )
    db.close()


def test_run_serves_until_told_to_stop_and_commands_find_its_database(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = environment(home, NOTIFIER_BIND=f"127.0.0.1:{port}")
    with notifier("run", env=env) as service:
        assert wait_until(lambda: is_up(service.pid), 60)
        seen = descendants(service.pid)
        with notifier("migrate", env=env) as command:
            command.communicate(timeout=60)
            assert command.returncode == 0
        with notifier("agency", "list", env=env) as command:
            output, _ = command.communicate(timeout=60)
            assert (command.returncode, output.split()[0]) == (0, "agency")
        assert service.poll() is None
        service.send_signal(signal.SIGTERM)
        output, _ = service.communicate(timeout=40)
        assert service.returncode == 0, output
        assert all_gone(seen, 1)
