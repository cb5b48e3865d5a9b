"""A worker that is killed with SIGKILL at each step of a send, and a web process in the middle of a list.

The step is chosen by holding what it needs next: a table, a chain's row, the carrier's answer. Nothing in the product
knows of it.
"""

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psutil
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from tests.usecases.desk import person, phone
from tests.workers.house import House

PEOPLE = 30
Holding = Callable[[House, UUID], AbstractContextManager[None]]


@contextmanager
def held(house: House, statement: sql.SQL | sql.Composed) -> Iterator[None]:
    """Hold a lock until somebody waits for it and the test has done what it wants to do then."""
    with psycopg.connect(house.environment["DATABASE_URL"]) as connection:
        connection.execute(statement)
        yield
        connection.rollback()


def table(name: str) -> Holding:
    statement = sql.SQL("lock table {} in share row exclusive mode").format(sql.Identifier(name))
    return lambda house, _: held(house, statement)


def chain(house: House, matter_id: UUID) -> AbstractContextManager[None]:
    enter = sql.SQL("select set_config('app.agency', {}, true), set_config('role', 'notifier_app', true);")
    lock = sql.SQL("select from chain where chain_id = {} for update")
    agency = sql.Literal(str(house.office.agency_id))
    return held(house, enter.format(agency) + lock.format(sql.Literal(matter_id)))


@contextmanager
def answer(house: House, _: UUID) -> Iterator[None]:
    """The carrier has it and says nothing yet."""
    house.sandbox.control(answer_delay_ms=2000)
    try:
        yield
    finally:
        house.sandbox.control(answer_delay_ms=0)


# What is held, and whether the carrier was called by then.
STEPS: dict[str, tuple[Holding, bool]] = {
    "claim": (table("attempt"), False),
    "compose": (table("content"), False),
    "call": (answer, True),
    "record: the chain": (chain, True),
    "record: the ledger": (table("event"), True),
}


def somebody_waits(house: House) -> bool:
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with psycopg.connect(house.environment["DATABASE_URL"]) as connection:
        row = connection.execute(query).fetchone()
        return row is not None and row[0] > 0


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_loses_nothing_and_doubles_nothing(house: House, step: str) -> None:
    holding, was_called = STEPS[step]
    house.kill("sms")
    matter_id = house.approved([person(phone=phone(n)) for n in range(PEOPLE)])
    house.sandbox.control(receipts="held")
    with holding(house, matter_id):
        house.start("sms")
        if was_called:
            house.until(lambda: house.taken(matter_id))
        if step != "call":
            house.until(lambda: somebody_waits(house))
        house.kill("sms")
        assert bool(house.taken(matter_id)) is was_called
    house.sandbox.control(receipts="all")
    house.start("sms")
    house.until(lambda: time_passes(house, matter_id), 60)
    settled(house, matter_id)


def time_passes(house: House, matter_id: UUID) -> bool:
    """Leases end, the carrier is asked, and the time for asking runs out; true when everybody's message arrived."""
    with house.db.transaction(house.office.agency_id) as tx:
        tx.conn.execute(text("update attempt set lease_until = now() where status = 'sending'"))
        tx.conn.execute(
            text(
                "update attempt set check_at = now(), updated_at = updated_at - interval '1 hour'"
                " where status = 'unknown' and check_at is not null"
            )
        )
    return people_with(house, matter_id, "status = 'delivered'") == PEOPLE


def settled(house: House, matter_id: UUID) -> None:
    """No attempt went out twice; who got a second one got it as a possible duplicate of one that nobody knew about."""
    taken = house.taken(matter_id)
    assert set(taken.values()) == {1}
    assert people_with(house, matter_id, "true") == PEOPLE
    again = house.rows(
        "select o.attempt_id, o.status, o.carrier_ref from attempt n join attempt o on o.attempt_id = n.linked_from"
        " where n.matter_id = :m",
        m=matter_id,
    )
    assert {row.status for row in again} <= {"unknown"}
    assert len(taken) == PEOPLE + len([row for row in again if str(row.attempt_id) in taken])


def people_with(house: House, matter_id: UUID, condition: str) -> int:
    query = f"select count(distinct person_id) from attempt where matter_id = :m and {condition}"  # noqa: S608 # ours
    return int(house.rows(query, m=matter_id)[0][0])


@pytest.mark.parametrize("moment", ["while the list comes in", "while it is stored"])
def test_a_web_server_killed_within_a_list_has_stored_nothing_and_is_asked_again(house: House, moment: str) -> None:
    matter_id = house.approved([person(phone=phone(0))])
    before = people(house, matter_id)
    key = str(uuid4())
    body = b"".join(json.dumps(row(n)).encode() + b"\n" for n in range(3000))
    if moment == "while it is stored":
        with table("person")(house, matter_id):
            connection = begin(house, matter_id, key, body)
            connection.send(body)
            house.until(lambda: somebody_waits(house))
            kill_web(house)
    else:
        connection = begin(house, matter_id, key, body)
        connection.send(body[: len(body) // 2])
        kill_web(house)
    connection.close()
    house.start("web")
    house.until(house.web_is_up)
    assert people(house, matter_id) == before
    replies = []
    for _ in range(2):  # the same request again, and once more because that answer was lost too
        connection = begin(house, matter_id, key, body)
        connection.send(body)
        reply = connection.getresponse()
        replies.append((reply.status, json.loads(reply.read())["rows"]))
        connection.close()
    assert replies == [(201, 3000)] * 2
    assert people(house, matter_id) == before + 3000


def row(number: int) -> dict[str, object]:
    contacts = [{"kind": "phone", "value": phone(number % 100)}]
    return {"external_id": f"again-{number}", "name": "Sample Person", "language": "es", "contacts": contacts}


def people(house: House, matter_id: UUID) -> int:
    return int(house.rows("select count(*) from person where matter_id = :m", m=matter_id)[0][0])


def begin(house: House, matter_id: UUID, key: str, body: bytes) -> http.client.HTTPConnection:
    where = urlsplit(house.environment["PUBLIC_BASE_URL"])
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    connection.putrequest("POST", f"/v1/matters/{matter_id}/people")
    for name, value in {
        "Authorization": f"Bearer {house.office.machine_token}",
        "Idempotency-Key": key,
        "Content-Type": "application/x-ndjson",
        "Content-Length": str(len(body)),
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


def kill_web(house: House) -> None:
    """The master and every worker process of it at once."""
    process = house.running.pop("web")
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    for process_id in family:
        os.kill(process_id, signal.SIGKILL)
    process.wait(10)
