"""Connections cut, bells rung many times, programs asked to end in the middle, disks that are full."""

import http.client
import json
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import text

from notifier.servers import postgres, redis
from notifier.store.migrate import migrate
from tests.sandbox import running_sandbox
from tests.usecases.desk import mailbox, person, phone
from tests.workers.house import House, open_house

WITHIN = 20  # seconds that a program asked to end may take
SMALL_DISK = 24 << 20  # bytes; a segment of the database's log takes 16 MB of it


def good_phone(number: int) -> str:
    """A number at which everything arrives."""
    return phone(number % 50, area=(303, 720, 970, 719, 202, 212, 213, 312)[number // 50])


def test_connections_cut_again_and_again_lose_nothing_and_double_nothing(house: House) -> None:
    matter_id = house.approved([person(phone=good_phone(n), email=mailbox()) for n in range(60)])
    end = time.monotonic() + 3
    with psycopg.connect(house.environment["DATABASE_URL"], autocommit=True) as connection:
        while time.monotonic() < end:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
            time.sleep(0.05)
    house.until(lambda: _followed(house, matter_id), 60)
    assert set(house.taken(matter_id).values()) == {1}
    assert sum(house.statuses(matter_id).values()) == 120


def _followed(house: House, matter_id: UUID) -> bool:
    """Whether nothing is left to send; Twilio does not repeat a receipt that it could not hand in."""
    with house.db.transaction(house.office.agency_id) as tx:  # time passes
        tx.conn.execute(text("update attempt set lease_until = now() where status = 'sending'"))
        tx.conn.execute(text("update attempt set check_at = now() where status = 'unknown' and check_at is not null"))
    statuses = house.statuses(matter_id)
    return not statuses.keys() - {"delivered", "accepted", "handed_over", "unknown"}


def test_bells_that_ring_many_times_send_once(house: House) -> None:
    matter_id = house.approved([person(phone=phone(n), email=mailbox()) for n in range(40)])
    for queue in ("sms", "email", "receipts", "sms", "email"):
        for _ in range(10):
            Queue(queue, connection=house.redis, serializer=JSONSerializer).enqueue("workers.jobs.answer", queue)
    house.until(lambda: house.statuses(matter_id) == {"delivered": 80})
    assert list(house.taken(matter_id).values()) == [1] * 80


@pytest.mark.parametrize("name", ["sms", "email"])
def test_a_worker_asked_to_end_within_a_handful_ends_in_time_and_leaves_no_doubt(house: House, name: str) -> None:
    house.sandbox.control(answer_delay_ms=1500)
    try:
        matter_id = house.approved([person(phone=good_phone(n), email=mailbox()) for n in range(400)])
        house.until(lambda: len(house.taken(matter_id)) >= 5)
        process = house.running.pop(name)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(WITHIN) == 0
        assert time.monotonic() - began < WITHIN
        channel = {"m": matter_id, "channel": name}
        rows = house.rows("select status from attempt where matter_id = :m and channel = :channel", **channel)
        assert not {row.status for row in rows} & {"sending", "unknown"}
    finally:
        house.sandbox.control(answer_delay_ms=0)
        if name not in house.running:
            house.start(name)
    house.until(lambda: house.statuses(matter_id) == {"delivered": 800}, 60)
    assert list(house.taken(matter_id).values()) == [1] * 800


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Programs started now cannot make a file longer than this: to them the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.deep
@pytest.mark.parametrize("whose", ["postgres", "web"])
def test_a_full_disk_refuses_the_list_whole_and_keeps_what_was_there(
    server_folder: Path, tmp_path: Path, whose: str
) -> None:
    folder = server_folder / f"full-{tmp_path.name}"
    with small_files(SMALL_DISK if whose == "postgres" else resource.RLIM_INFINITY):
        database = postgres.start(folder / "postgres")
    memory = redis.start(folder / "redis")
    try:
        migrate(database.url, tmp_path / "keys")
        with (
            running_sandbox() as sandbox,
            open_house(
                database_url=database.url,
                redis_url=memory.url,
                key_dir=tmp_path / "keys",
                folder=tmp_path,
                sandbox=sandbox,
            ) as house,
        ):
            with small_files(1 << 20 if whose == "web" else resource.RLIM_INFINITY):
                house.start("web")
            house.until(house.web_is_up)
            matter_id = house.approved([person(phone=phone(0))])
            status, problem = post(house, matter_id, 60_000)
            assert status in {503, 507}, problem
            assert problem["type"].rpartition("/")[2] in {"unavailable", "storage-full"}, problem
            assert house.rows("select count(*) from person where matter_id = :m", m=matter_id)[0][0] == 1
            if whose == "postgres":  # somebody makes room
                database.stop()
                database = postgres.start(folder / "postgres")
            assert post(house, matter_id, 10)[0] == 201
            house.check_everything()
            house.stop()
    finally:
        memory.stop()
        database.stop()


def post(house: House, matter_id: UUID, count: int) -> tuple[int, dict[str, str]]:
    where = urlsplit(house.environment["PUBLIC_BASE_URL"])
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=300)
    rows = (
        {"external_id": str(n), "name": "Sample Person", "contacts": [{"kind": "phone", "value": phone(n % 100)}]}
        for n in range(count)
    )
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    headers = {
        "Authorization": f"Bearer {house.office.machine_token}",
        "Idempotency-Key": str(uuid4()),
        "Content-Type": "application/x-ndjson",
    }
    connection.request("POST", f"/v1/matters/{matter_id}/people", body, headers)
    reply = connection.getresponse()
    answer = json.loads(reply.read())
    connection.close()
    return reply.status, answer
