"""Nobody is to be seen where data is not kept sealed: planted wherever it can come in, looked for everywhere else.

One run through everything that handles it: intake as JSON, NDJSON and CSV, requests that are refused, approval, sending
with every kind of failure, receipts that are early, forged, for nobody or crash their worker, a page that breaks. Then
logs of every process, every command that Redis was given, all that the database holds in clear, metrics, answers to
errors, command lines and file names are searched in every spelling.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from sqlalchemy import text

from notifier.core.codes import format_code
from notifier.servers import redis
from notifier.store import tables as t
from notifier.store.migrate import migrate
from tests.canaries import found, spellings
from tests.canary_run import (
    BOUNCING,
    CANARIES,
    MAILBOX,
    NAME,
    NATIVE,
    PHONES,
    Run,
    break_things,
    monitored,
    refuse,
    send_and_follow,
    take_in,
)
from tests.sandbox import running_sandbox
from tests.workers.house import PROGRAMS, House, open_house


@pytest.fixture(scope="module")
def run(
    database_from_template: Callable[[Callable[[str], object]], AbstractContextManager[str]],
    server_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("canaries")
    key_dir = folder / "keys"
    with (
        running_sandbox(delay_ms=20) as sandbox,
        redis.running(server_folder / "canary-redis") as own_redis,
        database_from_template(partial(migrate, key_dir=key_dir)) as url,
        open_house(database_url=url, redis_url=own_redis.url, key_dir=key_dir, folder=folder, sandbox=sandbox) as house,
    ):
        run = Run(house)
        with monitored(own_redis.url) as heard:
            for name in PROGRAMS:
                house.start(name)
            house.until(house.web_is_up)
            take_in(run)
            refuse(run)
            send_and_follow(run)
            break_things(run)
            house.until(lambda: heard)
        run.monitor = bytes(heard)
        yield run


def _codes(house: House) -> dict[str, str]:
    """The codes that people were given: canaries too."""
    codes: dict[str, str] = {}
    with house.db.transaction(house.office.agency_id) as tx:
        for number, row in enumerate(tx.conn.execute(text("select * from recipient")).all()):
            cipher = house.vault.cipher(tx, row.person_id)
            code = json.loads(cipher.open(row.sealed, "recipient.sealed", row.recipient_id))["code"]
            codes |= {f"code {number}": code, f"code {number} as shown": format_code(code)}
    return codes


@pytest.fixture(scope="module")
def canaries(run: Run) -> dict[str, str]:
    tokens = {
        "a machine's key": run.house.office.machine_token,
        "an officer's key": run.house.office.personal_token,
    }
    return CANARIES | tokens | _codes(run.house)


def test_the_search_finds_every_spelling() -> None:
    for canary in (NAME, NATIVE, MAILBOX, PHONES["good"]):
        for planted in (
            canary.encode(),
            canary.upper().encode(),
            quote(canary).encode(),
            json.dumps(canary).encode(),
            canary.encode("utf-16"),
            repr({"name": canary}).encode(),
            repr(canary.encode()).encode(),
            *(b64encode(b"x" * before + canary.encode() + b"yz") for before in range(5)),
            canary.encode().hex().encode(),
        ):
            assert found({"it": canary}, {"here": b"before " + planted + b" after"}) == ["it in here"], planted
    assert found(CANARIES, {"here": b"nothing of the kind"}) == []
    assert all(spellings(canary) for canary in CANARIES.values())


def test_people_were_really_told(run: Run) -> None:
    """Else there would be nothing to find."""
    taken = repr(run.house.sandbox.record(kind="taken"))
    for canary in (PHONES["good"], MAILBOX, BOUNCING):
        assert canary in taken
    rows = run.house.rows("select status, reason from attempt")
    assert {"delivered", "failed", "handed_over", "returned"} <= {row.status for row in rows}
    assert run.house.rows("select count(*) from receipt")[0][0] > 5
    assert run.house.rows("select count(*) from contact_flag")[0][0] > 0
    assert len(run.refusals) > 30


def test_no_log_shows_anybody(run: Run, canaries: Mapping[str, str]) -> None:
    logs = run.house.logs()
    assert len(b"".join(logs.values())) > 5000
    for name in ("web", "sms", "email", "letter", "receipts"):
        assert b"ValueError" in logs[name], name
    assert found(canaries, logs) == []


def test_no_answer_to_a_mistake_repeats_it(run: Run, canaries: Mapping[str, str]) -> None:
    assert found(canaries, {str(number): answer for number, answer in enumerate(run.refusals)}) == []


def test_redis_never_heard_of_anybody(run: Run, canaries: Mapping[str, str]) -> None:
    assert b"workers.jobs.answer" in run.monitor
    kept = {}
    for key in run.house.redis.scan_iter():
        kept[repr(key)] = key + (run.house.redis.dump(key) or b"")
    assert found(canaries, {"commands": run.monitor, **kept}) == []


def test_no_metric_shows_anybody(run: Run, canaries: Mapping[str, str]) -> None:
    status, metrics = run.call("GET", "/metrics")
    assert status == 200
    assert b"notifier_http_requests" in metrics
    assert found(canaries, {"metrics": metrics}) == []


def test_the_database_holds_nobody_in_clear(run: Run, canaries: Mapping[str, str]) -> None:
    house = run.house
    tables: dict[str, bytes] = {}
    for table in t.metadata.sorted_tables:
        if "agency_id" in table.c:
            with house.db.transaction(house.office.agency_id) as tx:
                rows = tx.conn.execute(table.select()).all()
        else:
            with house.db.no_agency() as conn:
                rows = conn.execute(table.select()).all()
        for place, column in enumerate(table.c):
            tables[f"{table.name}.{column.name}"] = b"\n".join(_as_bytes(row[place]) for row in rows)
    filled = {name.partition(".")[0] for name, content in tables.items() if content}
    assert filled >= {table.name for table in t.metadata.sorted_tables} - {"open_work", "stop", "returned_piece"}
    assert found(canaries, tables) == []


def _as_bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else f"{value!r} {value}".encode()


def test_the_databases_own_log_shows_nobody(run: Run, canaries: Mapping[str, str]) -> None:
    sockets = parse_qs(urlsplit(run.house.environment["DATABASE_URL"]).query).get("host", [""])[0]
    log = Path(sockets).parent / "server.log"
    if not log.exists():
        pytest.skip("the database is not ours")
    assert found(canaries, {"server.log": log.read_bytes()}) == []


def test_no_command_line_and_no_file_name_shows_anybody(run: Run, canaries: Mapping[str, str]) -> None:
    names = "\n".join(str(path.relative_to(run.house.folder)) for path in run.house.folder.rglob("*"))
    places = {"file names": names.encode()}
    for name, process in run.house.running.items():
        command = Path(f"/proc/{process.pid}/cmdline")
        if command.exists():
            places[name] = command.read_bytes()
    assert found(canaries, places) == []


def test_no_file_beside_the_keys_shows_anybody(run: Run, canaries: Mapping[str, str]) -> None:
    files = [path for path in run.house.folder.rglob("*") if path.is_file() and path.suffix != ".key"]
    assert found(canaries, {str(path): path.read_bytes() for path in files}) == []
