"""The whole service at work on real input, and what happens when its parts are pulled out."""

import subprocess
import sys
import time

from sqlalchemy import text

from notifier.core.person_row import PersonRow
from tests.usecases.desk import mailbox, person, phone
from tests.workers.house import PROGRAMS, House

SETTLED = {"delivered", "failed", "silent", "returned", "cancelled"}


def fifty_people() -> list[PersonRow]:
    """Every outcome that is known within seconds, and two people who cannot be reached."""
    sms = [0, 0, 0, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 66, 74, 77, 79, 80, 81, 82, 83, 84, 85, 86]
    words = ["delivered", "bounced", "blocked", "dropped", "deferred", "delivered-then-bounced", "duplicate"]
    words += ["reordered", "early", "broken-element", "unknown", "opened", "reset-but-sent", "invalid"]
    people = [person(phone=phone(outcome), language="es") for outcome in sms]
    people += [person(email=mailbox(word)) for word in words]
    people += [person(post=True, language=language) for language in ("en", "es", "vi", None)]
    people += [person(phone=phone(0), email=mailbox(), post=True), person(), person(phone="12")]
    people += [person(phone=phone(1)) for _ in range(50 - len(people))]
    return people


def test_a_matter_of_fifty_people_is_followed_to_its_end(house: House) -> None:
    house.start("another-sms", "sms")  # two of a kind do no harm
    house.start("another-clock", "clock")
    matter_id = house.approved(fifty_people())

    def settled() -> bool:
        rows = house.rows("select channel, status from attempt where matter_id = :m", m=matter_id)
        return all(row.status in (SETTLED if row.channel != "letter" else {"handed_over"}) for row in rows)

    house.until(settled, 40)
    assert set(house.taken(matter_id).values()) == {1}
    for name in ("another-sms", "another-clock"):
        house.kill(name)
    assert house.rows("select sum(pieces) from print_batch")[0][0] == 5
    (people,) = house.rows(
        "select count(*) as listed, count(*) filter (where person_id in (select person_id from attempt)) as tried"
        " from person where matter_id = :m",
        m=matter_id,
    )
    assert (people.listed, people.tried) == (50, 48)
    said = {name: log for name, log in house.logs().items() if b'"level": "error"' in log}
    assert not said


def test_redis_may_be_emptied_at_any_moment_and_nothing_is_lost_or_doubled(house: House) -> None:
    people = [person(phone=phone(n), email=mailbox(), post=n < 5) for n in range(40)]
    house.sandbox.control(answer_delay_ms=100)
    try:
        matter_id = house.approved(people)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            house.redis.flushall()
            time.sleep(0.02)
        house.until(lambda: house.statuses(matter_id) == {"delivered": 80, "handed_over": 5})
    finally:
        house.sandbox.control(answer_delay_ms=0)
    assert list(house.taken(matter_id).values()) == [1] * 80


def test_a_worker_killed_while_it_sends_loses_nothing_and_doubles_nothing(house: House) -> None:
    house.sandbox.control(answer_delay_ms=1500, receipts="held")
    try:
        matter_id = house.approved([person(phone=phone(n, area=area)) for area in (303, 720, 970) for n in range(50)])
        house.until(lambda: len(house.taken(matter_id)) >= 20)
        house.kill("sms")
    finally:
        house.sandbox.control(answer_delay_ms=0, receipts="all")
    assert house.statuses(matter_id)["sending"] > 0
    with house.db.transaction(house.office.agency_id) as tx:  # time passes
        tx.conn.execute(text("update attempt set lease_until = now() where status = 'sending'"))
    house.start("sms")
    house.until(lambda: not house.statuses(matter_id).keys() - {"delivered", "unknown"})
    house.until(lambda: house.statuses(matter_id)["delivered"] == len(house.taken(matter_id)))
    assert set(house.taken(matter_id).values()) == {1}
    assert sum(house.statuses(matter_id).values()) == 150


def test_a_worker_for_a_queue_that_does_not_exist_says_which_there_are(house: House) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "workers.worker", "pigeons"], env=house.environment, capture_output=True, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr == b"no such queue; there are: sms, email, letter, receipts\n"


def test_asked_to_end_every_program_ends_soon_and_in_order(house: House) -> None:
    """The last one: nothing runs after it."""
    processes = dict(house.running)
    began = time.monotonic()
    house.stop()
    assert time.monotonic() - began < 12
    assert {name: process.returncode for name, process in processes.items()} == dict.fromkeys(PROGRAMS, 0)
