"""The whole service at work on real input, and what happens when its parts are pulled out."""

import re
import subprocess
import sys
import time
from urllib.request import urlopen

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


def test_what_got_no_clear_answer_is_asked_about_by_itself(house: House) -> None:
    """The clock rings when it is time, and the worker asks its carrier."""
    house.sandbox.control(receipts="held")
    try:
        matter_id = house.approved([person(phone=phone(79)), person(phone=phone(84)), person(phone=phone(78))])
        house.until(lambda: house.statuses(matter_id) == {"unknown": 3})
        with house.db.transaction(house.office.agency_id) as tx:  # time passes
            tx.conn.execute(text("update attempt set check_at = now()"))
        house.until(lambda: house.statuses(matter_id) == {"unknown": 1, "delivered": 2}, 40)
        assert house.rows("select check_at > now() from attempt where status = 'unknown'")[0][0]
    finally:
        house.sandbox.control(receipts="all")
    house.until(lambda: house.sandbox.summary()["waiting"] == 0)


def test_a_short_matter_does_not_wait_for_a_long_one(house: House) -> None:
    house.sandbox.control(answer_delay_ms=300)
    try:
        long = house.approved([person(phone=phone(n % 50, area=303 + n // 50)) for n in range(1200)])
        house.until(lambda: len(house.taken(long)) >= 50)
        short = house.approved([person(phone=phone(n)) for n in range(35)])
        house.until(lambda: not house.statuses(short).keys() & {"planned", "sending"}, 60)
        assert house.statuses(long)["planned"] > 0
    finally:
        house.sandbox.control(answer_delay_ms=0)
    house.until(lambda: house.statuses(long).keys() == {"delivered"}, 60)
    assert house.statuses(short) == {"delivered": 35}


def test_a_process_that_is_given_several_queues_goes_round(house: House) -> None:
    """A queue with much to do does not keep the other one waiting until it is empty."""
    for name in ("sms", "email"):
        house.kill(name)
    house.redis.flushall()  # a bell that a killed worker left unanswered would be silent for some seconds
    house.sandbox.control(answer_delay_ms=2000)
    try:
        matter_id = house.approved(
            [person(phone=phone(n % 50, area=303 + n // 50)) for n in range(300)]
            + [person(phone=phone(n), email=mailbox()) for n in range(5)]
            + [person(phone=phone(n % 50, area=720 + n // 50)) for n in range(900)]
        )
        command = [sys.executable, "-m", "workers.worker", "sms", "email"]
        house.running["both"] = subprocess.Popen(command, env=house.environment, stderr=subprocess.DEVNULL)
        emails = "select count(*) from attempt where matter_id = :m and channel = 'email' and status = 'planned'"
        house.until(lambda: house.rows(emails, m=matter_id)[0][0] == 0, 60)
        waiting = "select count(*) from attempt where matter_id = :m and channel = 'sms' and status = 'planned'"
        assert house.rows(waiting, m=matter_id)[0][0] > 0
    finally:
        house.sandbox.control(answer_delay_ms=0)
        both = house.running.pop("both")
        both.terminate()
        both.wait(20)
        for name in ("sms", "email"):
            house.start(name)
    house.until(lambda: house.statuses(matter_id).keys() == {"delivered"}, 60)


def breaker_figure(house: House) -> float | None:
    """What /metrics says of Twilio's breaker; None when it says nothing."""
    with urlopen(f"{house.environment['PUBLIC_BASE_URL']}/metrics", timeout=10) as answer:  # noqa: S310 # our own
        found = re.search(rb'notifier_carrier_breaker\{carrier="twilio_sms"\} ([0-9.]+)', answer.read())
    return float(found[1]) if found else None


def alarms(house: House) -> list[str]:
    query = "select type from event where chain_id = :agency and type like 'alarm.%' order by seq"
    return [row.type for row in house.rows(query, agency=house.office.agency_id)]


def test_a_carrier_that_answers_nobody_is_left_alone_until_it_is_back(house: House) -> None:
    house.start("another-sms", "sms")
    house.sandbox.control(outage="cut")
    try:
        matter_id = house.approved([person(phone=phone(n % 50, area=303 + n // 50)) for n in range(600)])
        house.until(lambda: breaker_figure(house) == 1)
        house.until(lambda: alarms(house) == ["alarm.raised"])
        time.sleep(3)  # it rests, and both workers know
        statuses = house.statuses(matter_id)
        assert statuses["unknown"] <= 2 * 100 + 10 + 2 * 3  # in flight in two processes, failures, probes
        assert statuses["planned"] >= 300
        tries = house.rows("select sum(tries) from attempt where status = 'planned'")[0][0]
        assert tries == 0
    finally:
        house.sandbox.control(outage="")
        house.kill("another-sms")
    unknown = house.statuses(matter_id)["unknown"]
    house.until(lambda: house.statuses(matter_id).keys() == {"unknown", "delivered"}, 60)
    assert house.statuses(matter_id)["unknown"] <= unknown + 3
    assert set(house.taken(matter_id).values()) == {1}
    house.until(lambda: breaker_figure(house) == 0)
    house.until(lambda: alarms(house) == ["alarm.raised", "alarm.cleared"])


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
