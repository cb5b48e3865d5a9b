"""Where a database would not keep agencies apart nothing starts. Roles are the whole server's: each test mends them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from notifier.core.errors import SettingsError
from notifier.servers import postgres
from notifier.store.engine import Database, require_safe_role
from tests.store.conftest import as_superuser

CHECKOUT = Path(__file__).resolve().parents[2]

OWN = "agency_id = nullif(current_setting('app.agency', true), '')::uuid"
# What is done to the server, how it is undone, and what the refusal must name.
SPOILT = {
    "a superuser": (
        "alter role notifier_app superuser",
        "alter role notifier_app nosuperuser",
        ["notifier_app", "superuser"],
    ),
    "a role that bypasses policies": (
        "alter role notifier_app bypassrls",
        "alter role notifier_app nobypassrls",
        ["notifier_app", "bypasses row-level security"],
    ),
    "a member of a role that bypasses policies": (
        "create role sneaky bypassrls; grant sneaky to notifier_app",
        "drop role sneaky",
        ["notifier_app is a member of sneaky"],
    ),
    "a member of a member of a superuser": (
        "create role top superuser; create role middle; grant top to middle; grant middle to notifier_app",
        "drop role top; drop role middle",
        ["notifier_app is a member of top"],
    ),
    "a table without policies": (
        "alter table person disable row level security",
        "alter table person enable row level security",
        ["person", "not under forced row-level security"],
    ),
    "a table whose owner is let through": (
        "alter table receipt no force row level security",
        "alter table receipt force row level security",
        ["receipt", "not under forced row-level security"],
    ),
    "a table that the application owns": (
        "alter table blob owner to notifier_app",
        "alter table blob owner to notifier",
        ["blob"],
    ),
    "a new table that was forgotten": (
        "create table diary (agency_id uuid)",
        "drop table diary",
        ["diary", "not under forced row-level security"],
    ),
    "a policy that shows everything": (
        "create policy everything on person to notifier_app using (true)",
        "drop policy everything on person",
        ["person", "other policies than ours"],
    ),
    "our policy, widened": (
        "alter policy own_agency on person using (true)",
        f"alter policy own_agency on person using ({OWN})",
        ["person", "other policies than ours"],
    ),
    "our policy, for everybody": (
        "alter policy own_agency on receipt to public",
        "alter policy own_agency on receipt to notifier_app",
        ["receipt", "other policies than ours"],
    ),
    "a policy that was dropped": (
        "drop policy own_agency on blob",
        f"create policy own_agency on blob to notifier_app using ({OWN})",
        ["blob", "other policies than ours"],
    ),
    "a directory that anybody may write in": (
        "alter policy own_agency on directory with check (true)",
        f"alter policy own_agency on directory with check ({OWN})",
        ["directory", "other policies than ours"],
    ),
    "a directory without policies": (
        "alter table directory disable row level security",
        "alter table directory enable row level security",
        ["directory", "not under forced row-level security"],
    ),
}


@pytest.mark.parametrize("way", SPOILT)
def test_it_refuses_to_start_and_names_what_is_wrong(server: postgres.Postgres, db: Database, way: str) -> None:
    spoil, mend, named = SPOILT[way]
    with spoilt(server, spoil, mend), pytest.raises(SettingsError) as caught:
        require_safe_role(db)
    for word in named:
        assert word in str(caught.value)
    require_safe_role(db)


def test_it_names_everything_that_is_wrong_at_once(server: postgres.Postgres, db: Database) -> None:
    with (
        spoilt(server, *SPOILT["a superuser"][:2]),
        spoilt(server, *SPOILT["a table without policies"][:2]),
        pytest.raises(SettingsError) as caught,
    ):
        require_safe_role(db)
    assert len(caught.value.problems) == 2


def test_a_database_that_was_never_migrated_is_named_as_such(server: postgres.Postgres) -> None:
    empty = Database(server.url)
    try:
        with pytest.raises(SettingsError, match="notifier migrate"):
            require_safe_role(empty)
    finally:
        empty.close()


def test_a_worker_process_does_not_start_and_says_why(server: postgres.Postgres, url: str, key_dir: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "NOTIFIER_KEY_DIR": str(key_dir),
    }
    with spoilt(server, *SPOILT["a role that bypasses policies"][:2]):
        refused = subprocess.run(
            [sys.executable, "-m", "workers.clock"],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert refused.returncode == 2
    assert refused.stderr == b"the role notifier_app bypasses row-level security\n"


@contextmanager
def spoilt(server: postgres.Postgres, spoil: str, mend: str) -> Iterator[None]:
    with as_superuser(server) as connection:
        connection.execute(spoil.encode())
        try:
            yield
        finally:
            connection.execute(mend.encode())
