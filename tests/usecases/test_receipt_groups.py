"""Callbacks that are stored together: in one commit, each with its own result, and nobody fails for another."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import psycopg
import pytest
from sqlalchemy import event, text

from notifier.carriers.base import CarrierReceipt
from notifier.core.events import EventType
from notifier.core.model import Channel
from notifier.core.status import AttemptEvent
from notifier.store.engine import AWAY, Database
from notifier.usecases.applying import count_failed, queue_failed
from notifier.usecases.receipts import Arrival, Stored, store_all
from tests.connections import cut_who_waits
from tests.installation import open_office
from tests.sandbox import wait_for
from tests.usecases.around import arrived, said
from tests.usecases.desk import Desk, person, phone

SMS = Channel.SMS
E = AttemptEvent


@pytest.fixture
def attempts(desk: Desk) -> list[CarrierReceipt]:
    """What a carrier could say about each of six people, in two matters."""
    matters = [desk.approved(*(person(phone=phone(71, area=area)) for area in (303, 720, 970))) for _ in range(2)]
    desk.send(SMS)
    return [said(desk, attempt_id, E.ARRIVED) for matter_id in matters for attempt_id in desk.attempt_ids(matter_id)]


def arrival(*receipts: CarrierReceipt, carrier: str = "twilio_sms") -> Arrival:
    return Arrival(carrier, arrived(b"MessageStatus=x"), receipts)


def store(desk: Desk, *arrivals: Arrival) -> Sequence[Stored | Exception]:
    return store_all(desk.service.db, arrivals, vault=desk.service.vault)


def test_a_group_is_one_transaction(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    assert store(desk, *map(arrival, attempts)) == [Stored(1, 0, 0)] * 6
    assert desk.one("select count(distinct xmin::text) from receipt") == 1
    assert desk.apply() == 6
    assert desk.one("select count(*) from attempt where status = 'delivered'") == 6


def test_a_receipt_told_twice_in_one_group_is_stored_once(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    one, other = attempts[:2]
    told = store(desk, arrival(one), arrival(other, one), arrival(one))
    assert told == [Stored(1, 0, 0), Stored(1, 1, 0), Stored(0, 1, 0)]
    assert desk.one("select count(*) from receipt") == 2


def test_agencies_and_strays_of_one_group_are_kept_apart(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    stranger = Desk(desk.service, open_office(desk.service.db, desk.service.vault), desk.sandbox, desk.catcher)
    matter_id = stranger.approved(person(phone=phone(71)))
    stranger.send(SMS)
    theirs = said(stranger, stranger.attempt_ids(matter_id)[0], E.ARRIVED)
    stray = replace(attempts[1], attempt_id=None, raw=b"about nobody we know")
    told = store(desk, arrival(attempts[0]), arrival(theirs), arrival(stray), arrival(attempts[2], theirs, stray))
    assert told == [Stored(1, 0, 0), Stored(1, 0, 0), Stored(0, 0, 1), Stored(1, 2, 0)]
    assert [one.one("select count(*) from receipt") for one in (desk, stranger)] == [2, 1]


def test_a_carrier_in_a_group_speaks_for_its_own_attempts_only(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    told = store(desk, arrival(attempts[0]), arrival(attempts[1], carrier="sendgrid_email"))
    assert told == [Stored(1, 0, 0), Stored(0, 0, 1)]


def test_what_is_wrong_with_one_fails_that_one_alone(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    broken = replace(attempts[1], raw=cast("bytes", None))
    told = store(desk, arrival(attempts[0]), arrival(broken, attempts[2]), arrival(attempts[3]))
    assert [told[0], told[2]] == [Stored(1, 0, 0)] * 2
    assert isinstance(told[1], Exception)
    assert desk.one("select count(*) from receipt") == 2


def test_a_stray_that_cannot_be_kept_fails_that_one_alone(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    stray = replace(attempts[1], attempt_id=None, raw=b"about nobody")
    told = store(desk, arrival(stray), arrival(attempts[0]), arrival(stray, carrier="twilio\0sms"))
    assert told[:2] == [Stored(0, 0, 1), Stored(1, 0, 0)]
    assert isinstance(told[2], Exception)


def test_a_group_whose_connection_is_cut_is_stored_all_the_same(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    database_url = str(desk.service.settings.database_url)
    told: list[Stored | Exception] = []
    with psycopg.connect(database_url) as other:
        other.execute("lock table receipt in exclusive mode")  # the group waits in the middle of its transaction
        thread = threading.Thread(target=lambda: told.extend(store(desk, *map(arrival, attempts))))
        thread.start()
        wait_for(lambda: cut_who_waits(database_url) == 1, 10)
    thread.join(10)
    assert told == [Stored(1, 0, 0)] * 6
    assert desk.one("select count(*) from receipt") == 6


def test_without_a_database_everybody_is_told_and_nothing_counts_as_stored(
    desk: Desk, attempts: list[CarrierReceipt]
) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none")
    told = store_all(nowhere, [arrival(one) for one in attempts], vault=desk.service.vault)
    nowhere.close()
    assert len(told) == 6
    assert all(isinstance(one, AWAY) for one in told)
    assert store(desk, *map(arrival, attempts)) == [Stored(1, 0, 0)] * 6


# What a carrier may say beside its word.


def test_a_receipt_of_another_message_for_the_same_attempt_is_a_possible_duplicate(
    desk: Desk, attempts: list[CarrierReceipt]
) -> None:
    row = desk.rows("select * from attempt where attempt_id = :id", id=attempts[0].attempt_id)[0]
    second = replace(attempts[0], carrier_ref="SM" + "f" * 32)
    assert row.carrier_ref not in {None, second.carrier_ref}
    store(desk, arrival(replace(second, carrier_ref=row.carrier_ref, event=E.ACCEPTED, dedupe="1")), arrival(second))
    desk.apply()
    (accepted,), (told,) = (desk.said(row.matter_id, kind) for kind in ("attempt.accepted", "attempt.arrived"))
    assert "duplicate_possible" not in accepted["data"]
    assert (told["data"]["carrier_ref"], told["data"]["duplicate_possible"]) == (second.carrier_ref, True)
    after = desk.rows("select * from attempt where attempt_id = :id", id=row.attempt_id)[0]
    assert (after.status, after.carrier_ref) == ("delivered", row.carrier_ref)
    desk.check_everything()


def test_such_a_receipt_is_recorded_even_where_it_changes_nothing(desk: Desk, attempts: list[CarrierReceipt]) -> None:
    store(desk, arrival(attempts[0]))
    desk.apply()
    store(desk, arrival(replace(attempts[0], dedupe="again", carrier_ref="SM" + "f" * 32)))
    desk.apply()
    matter_id = desk.one("select matter_id from attempt where attempt_id = :id", id=attempts[0].attempt_id)
    (told,) = desk.said(matter_id, EventType.RECEIPT_IGNORED)
    assert told["data"]["duplicate_possible"] is True


@pytest.mark.parametrize("word", ["x" * 101, "Sample Person", "303 555 0142", "a\0b", "é", ""])
def test_a_carriers_word_that_is_no_identifier_is_not_kept(
    desk: Desk, attempts: list[CarrierReceipt], word: str
) -> None:
    odd = replace(attempts[0], carrier_ref=word, carrier_code=word, carrier_word=word)
    assert store(desk, arrival(odd)) == [Stored(1, 0, 0)]
    (row,) = desk.rows("select * from receipt")
    assert (row.carrier_ref, row.carrier_code, row.word) == (None, None, "unreadable")
    desk.apply()
    assert desk.one("select count(*) from attempt where status = 'delivered'") == 1


@pytest.mark.parametrize("year", [1, 1970, 9999])
def test_a_time_that_no_clock_shows_is_not_kept(desk: Desk, attempts: list[CarrierReceipt], year: int) -> None:
    at = arrived(b"").received_at
    store(
        desk,
        arrival(replace(attempts[0], occurred_at=at.replace(year=year))),
        arrival(replace(attempts[1], occurred_at=at)),
    )
    desk.apply()
    assert desk.one("select count(*) from receipt where occurred_at is null") == 1
    desk.check_everything()


@pytest.mark.parametrize("what", ["event = 'teleported'", "carrier = repeat('x', 10000)"])
def test_one_that_cannot_be_applied_waits_for_a_human_and_holds_up_nobody(
    desk: Desk, attempts: list[CarrierReceipt], what: str
) -> None:
    store(desk, *map(arrival, attempts))
    spoil(desk, attempts[0], what)
    assert desk.apply() == 6
    assert desk.one("select count(*) from attempt where status = 'delivered'") == 5
    assert desk.one("select attempt_id from receipt where result = 'not-applied'") == attempts[0].attempt_id
    spoil(desk, attempts[0], "event = 'arrived', carrier = 'twilio_sms'")
    with desk.tx() as tx:
        assert count_failed(tx) == queue_failed(tx) == 1
        assert count_failed(tx) == queue_failed(tx) == 0
    assert desk.apply() == 1
    assert desk.one("select count(*) from attempt where status = 'delivered'") == 6
    desk.check_everything()


def test_a_bounce_is_applied_and_not_read_again(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(50)))
    desk.follow()
    assert desk.statuses(matter_id) == {"failed": 1}
    with desk.tx() as tx:
        assert count_failed(tx) == queue_failed(tx) == 0


def spoil(desk: Desk, receipt: CarrierReceipt, what: str) -> None:
    with desk.tx() as tx:
        tx.conn.execute(text(f"update receipt set {what} where attempt_id = :id"), {"id": receipt.attempt_id})  # noqa: S608 - ours


def test_receipts_of_many_matters_cost_no_more_statements_than_those_of_one(desk: Desk) -> None:
    counts = []
    for matters in (1, 8):
        ids = [desk.approved(person(phone=phone(71))) for _ in range(matters)]
        desk.send(SMS)
        store(desk, *(arrival(said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED)) for matter_id in ids))
        with counting(desk.service.db) as statements:
            assert desk.apply() == matters
        counts.append(len(statements))
    assert counts[0] == counts[1]
    desk.check_everything()


@contextmanager
def counting(db: Database) -> Iterator[list[str]]:
    """What is sent to the server through SQLAlchemy; what goes past it is written once for all rows."""
    sent: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        sent.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
