"""Real servers, started and killed."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from notifier.servers import postgres
from notifier.servers.errors import CannotStart

CHECKOUT = Path(__file__).resolve().parents[2]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[postgres.Postgres]:
    with postgres.running(server_folder / "one", durable=False) as running:
        yield running


@pytest.fixture(params=postgres.versions())
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_versions_sixteen_and_newer_are_bundled() -> None:
    assert postgres.versions() == (16, 18)


def test_a_server_starts_speaks_and_leaves_nothing_running(server_folder: Path, version: int) -> None:
    with postgres.running(server_folder / f"new{version}", version=version, durable=False) as server:
        assert str(ask(server.url, "show server_version")).startswith(f"{version}.")
        process = server.process
    assert process is not None
    assert process.poll() == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)


def test_the_newest_version_is_the_default_and_data_keep_theirs(server_folder: Path) -> None:
    folder = server_folder / "kept"
    with postgres.running(folder, version=16, durable=False) as server, psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select 7 as a")
    with postgres.running(folder, durable=False) as server:
        assert server.version == 16
        assert ask(server.url, "select a from kept") == 7
    with pytest.raises(CannotStart, match="PostgreSQL 16, not 18"):
        postgres.start(folder, version=18)


def test_the_owner_of_the_database_is_no_superuser_and_bypasses_no_policy(server: postgres.Postgres) -> None:
    assert ask(server.url, "select rolsuper or rolbypassrls from pg_roles where rolname = current_user") is False
    assert ask(server.admin_url, "select current_user::text") == "postgres"


def test_the_socket_folder_is_closed_to_others(server: postgres.Postgres) -> None:
    assert mode(server.folder / "socket") == 0o700
    assert mode(server.folder / "data") == 0o700
    assert mode(server.folder) & 0o067 == 0
    assert mode(server.folder / "admin-password") == 0o600
    assert mode(server.folder / "owner-password") == 0o600
    assert mode(server.folder / "server.log") == 0o600


def test_the_server_listens_on_no_network_and_trusts_nobody(server: postgres.Postgres) -> None:
    assert ask(server.admin_url, "show listen_addresses") == ""
    methods = "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"
    assert ask(server.admin_url, methods) == "scram-sha-256"
    password = (server.folder / "owner-password").read_text().strip()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url.replace(password, "wrong"))


def test_no_password_is_shown(server: postgres.Postgres) -> None:
    assert (server.folder / "owner-password").read_text().strip() not in repr(server)
    assert (server.folder / "admin-password").read_text().strip() not in repr(server)


def test_an_error_is_logged_without_the_row_it_is_about(server: postgres.Postgres) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create table t (name text primary key)")
        connection.execute("insert into t values ('Canary Canarsie')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("insert into t values ('Canary Canarsie')")
    log = (server.folder / "server.log").read_text()
    assert "duplicate key value" in log
    assert "Canary" not in log


def test_data_are_safe_against_a_power_cut_by_default(server_folder: Path) -> None:
    with postgres.running(server_folder / "safe") as server:
        assert ask(server.admin_url, "show fsync") == "on"
        assert ask(server.admin_url, "show synchronous_commit") == "on"
        assert ask(server.admin_url, "show data_checksums") == "on"


def test_a_server_killed_with_minus_nine_starts_again(server_folder: Path, version: int) -> None:
    folder = server_folder / f"killed{version}"
    with postgres.running(folder, version=version, durable=False) as first:
        assert first.process is not None
        with psycopg.connect(first.url, autocommit=True) as busy:
            busy.execute("create table kept as select 7 as a")
            first.process.kill()
            with postgres.running(folder, durable=False) as second:
                assert second.process is not None
                assert ask(second.url, "select a from kept") == 7


def test_a_process_number_that_was_given_away_again_does_not_hinder_the_start(server_folder: Path) -> None:
    folder = server_folder / "stale"
    with postgres.running(folder, durable=False) as server:
        home, note = server.folder, (server.folder / "data" / "postmaster.pid").read_text()
    lines = [str(os.getpid()), *note.splitlines()[1:]]
    (home / "data" / "postmaster.pid").write_text("\n".join(lines))
    with postgres.running(folder, durable=False) as server:
        assert ask(server.url, "select 1") == 1


def test_a_second_starter_shares_the_running_server_and_does_not_end_it(
    server: postgres.Postgres, server_folder: Path
) -> None:
    with postgres.running(server_folder / "one", durable=False) as second:
        assert second.process is None
        assert second.url == server.url
    assert ask(server.url, "select 1") == 1


STARTER = """
import sys, time; from pathlib import Path; from notifier.servers import postgres, redis
server = postgres.start(Path(sys.argv[1]) / "p", durable=False); cache = redis.start(Path(sys.argv[1]) / "r")
print(server.process is not None, server.url, cache.process.pid if cache.process else 0, flush=True)
time.sleep(60)
"""


def starter(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], env=env, stdout=subprocess.PIPE, text=True)


def read_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def test_two_that_start_at_once_get_one_server(server_folder: Path) -> None:
    both = [starter(server_folder / "race") for _ in range(2)]
    try:
        answers = [read_line(process) for process in both]
        assert sorted(answer[0] for answer in answers) == ["False", "True"]
        assert answers[0][1] == answers[1][1]
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_the_servers_end_when_their_starter_is_killed_with_minus_nine(server_folder: Path) -> None:
    folder = server_folder / "orphan"
    process = starter(folder)
    _, url, redis_pid = read_line(process)
    assert ask(url, "select 1") == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    home = Path(url.partition("host=")[2].partition("&")[0]).parent
    assert until(lambda: not (home / "data" / "postmaster.pid").exists())
    assert until(lambda: not Path(f"/proc/{redis_pid}").exists())


def test_a_start_right_after_the_starter_was_killed_waits_for_the_end_of_the_old_server(server_folder: Path) -> None:
    folder = server_folder / "hasty"
    process = starter(folder)
    read_line(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with postgres.running(folder / "p", durable=False) as server:
        assert ask(server.url, "select 1") == 1
        time.sleep(0.2)
        assert ask(server.url, "select 1") == 1


def test_a_checkout_whose_path_is_too_long_for_a_socket_is_served_all_the_same(server_folder: Path) -> None:
    deep = server_folder
    for _ in range(5):
        deep /= "a-folder-with-a-long-name"
        deep.mkdir()
        deep.chmod(0o755)
    with postgres.running(deep, durable=False) as server:
        assert ask(server.url, "select 1") == 1
        sockets = Path((server.folder / "socket-folder").read_text())
        assert mode(sockets) == 0o700
        assert len(str(sockets)) < 60
    with postgres.running(deep, durable=False) as server:
        assert Path((server.folder / "socket-folder").read_text()) == sockets
    sockets.rmdir()


def test_making_the_data_is_done_again_when_it_was_cut_off(server_folder: Path) -> None:
    folder = server_folder / "cut"
    with postgres.running(folder, durable=False) as server:
        home = server.folder
    (home / "data").rename(home / "unfinished-0123")
    with postgres.running(folder, durable=False) as server:
        assert ask(server.url, "select 1") == 1
    assert not (home / "unfinished-0123").exists()


def test_a_failed_start_says_where_to_look(server_folder: Path) -> None:
    folder = server_folder / "broken"
    with postgres.running(folder, durable=False) as server:
        home = server.folder
    (home / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(CannotStart, match="did not start") as caught:
        postgres.start(folder, durable=False)
    assert "no_such_setting" in str(caught.value)
    assert "server.log" in str(caught.value)


def test_a_lost_password_is_told_and_ends_the_server(server_folder: Path) -> None:
    folder = server_folder / "lost"
    with postgres.running(folder, durable=False) as server:
        home = server.folder
    (home / "admin-password").write_text("wrong\n")
    with pytest.raises(CannotStart, match="not with the passwords"):
        postgres.start(folder, durable=False)
    assert not (home / "data" / "postmaster.pid").exists()
