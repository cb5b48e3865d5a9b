"""Whose receipt it is: nobody's, several people's, an erased person's."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.carriers.base import CarrierReceipt
from notifier.core.errors import Sealed
from notifier.core.model import Channel
from notifier.core.status import AttemptEvent
from notifier.store.blobs import get_blob
from notifier.store.vault import Cipher, Vault
from notifier.usecases.carrier_bodies import forget_old_callbacks
from notifier.usecases.quarantine import quarantine
from notifier.usecases.receipts import Stored
from tests.installation import open_office
from tests.told import store_receipts
from tests.usecases.around import arrived, erase, said, tell
from tests.usecases.desk import Desk, mailbox, now, person, phone
from workers.clock import forget

SMS, EMAIL = Channel.SMS, Channel.EMAIL
E = AttemptEvent


@pytest.mark.parametrize("way", ["no attempt", "an unknown attempt", "an unknown agency", "another agency", "no word"])
def test_what_names_none_of_our_attempts_is_kept_in_quarantine(desk: Desk, way: str) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    receipt = said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED)
    stranger = open_office(desk.service.db, desk.service.vault)
    wrong = {
        "no attempt": replace(receipt, attempt_id=None, agency_id=None),
        "an unknown attempt": replace(receipt, attempt_id=uuid4()),
        "an unknown agency": replace(receipt, agency_id=uuid4()),
        "another agency": replace(receipt, agency_id=stranger.agency_id),
        "no word": replace(receipt, is_known=False, event=None),
    }[way]
    before = quarantined(desk)
    callback = arrived(b"body of a stranger, Example Person, 303-555-0142")
    assert store_receipts(desk.service.db, [wrong], callback, carrier="twilio_sms", vault=desk.service.vault) == Stored(
        0, 0, 1
    )
    desk.apply()
    assert desk.statuses(matter_id) == {"handed_over": 1}
    (kept,) = set(quarantined(desk)) - set(before)
    assert b"Example" not in kept.sealed
    assert b"0142" not in kept.sealed
    assert json.loads(opened(desk, kept))["body"].encode("latin-1") == callback.body


def test_a_stray_among_others_is_kept_without_them(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    ours = said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED)
    stray = replace(ours, attempt_id=uuid4(), raw=b"about a stranger")
    before = quarantined(desk)
    assert hear(desk, ours, stray) == Stored(1, 0, 1)
    (kept,) = set(quarantined(desk)) - set(before)
    assert opened(desk, kept) == b"about a stranger"


def test_a_stray_that_is_told_again_is_kept_once(desk: Desk) -> None:
    strays = [replace(said(desk, uuid4(), E.ARRIVED), raw=uuid4().bytes) for _ in range(2)]
    before = len(quarantined(desk))
    assert hear(desk, *strays) == Stored(0, 0, 2)
    assert hear(desk, *strays, *strays) == Stored(0, 4, 0)
    assert len(quarantined(desk)) == before + 2


def test_the_quarantine_is_emptied_of_what_is_old(desk: Desk) -> None:
    for age in (timedelta(days=31), timedelta(days=29)):
        callback = arrived(uuid4().bytes, at=now() - age)
        quarantine(desk.service.db, callback, carrier="twilio_sms", reason="unreadable", vault=desk.service.vault)
    before = len(quarantined(desk))
    forget(desk.service)
    assert len(quarantined(desk)) == before - 1
    assert forget_old_callbacks(desk.service.db, now=now()) == 0


def test_a_carrier_speaks_for_its_own_attempts_only(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)))
    desk.send(SMS)
    receipt = said(desk, desk.attempt_ids(matter_id)[0], E.ARRIVED)
    before = len(quarantined(desk))
    told = store_receipts(
        desk.service.db, [receipt], arrived(b"{}"), carrier="sendgrid_email", vault=desk.service.vault
    )
    assert told == Stored(0, 0, 1)
    assert len(quarantined(desk)) == before + 1
    assert desk.apply() == 0


def test_bytes_that_are_no_text_are_kept_in_quarantine_as_they_are(desk: Desk) -> None:
    before = quarantined(desk)
    body = bytes(range(256))
    quarantine(desk.service.db, arrived(body), carrier="twilio_sms", reason="unreadable", vault=desk.service.vault)
    (kept,) = set(quarantined(desk)) - set(before)
    assert json.loads(opened(desk, kept))["body"].encode("latin-1") == body


def test_a_body_about_several_people_is_kept_once_under_a_key_of_its_own(desk: Desk) -> None:
    matter_id = desk.approved(*(person(email=mailbox()) for _ in range(3)))
    desk.send(EMAIL)
    desk.receive()
    rows = desk.rows("select r.*, b.dek_id from receipt r join blob b on b.blob_id = r.body_blob")
    assert len(rows) == 6
    people = {row.person_id for row in rows}
    assert len(people) == 3
    assert not {row.dek_id for row in rows} & people
    with desk.tx() as tx:
        for row in rows:
            whole = json.loads(get_blob(tx, row.body_blob, vault=desk.service.vault))
            assert len(json.loads(whole["body"])) > 1
            assert whole["headers"]["x-twilio-email-event-webhook-signature"]
            own = desk.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
            assert own in whole["body"].encode("latin-1")
            assert json.loads(own)["attempt"] == str(row.attempt_id)
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 3}


def test_a_body_about_several_people_is_forgotten_after_its_time_and_each_ones_part_is_not(desk: Desk) -> None:
    desk.approved(*(person(email=mailbox()) for _ in range(3)))
    files_kept = "select (select count(*) from blob), (select count(*) from blob_piece), (select count(*) from dek)"
    files = desk.rows(files_kept)
    desk.send(EMAIL)
    desk.receive()
    desk.apply()
    forget_old_callbacks(desk.service.db, now=now() + timedelta(days=29))
    assert desk.one("select count(*) from receipt where body_blob is not null") == 6
    assert forget_old_callbacks(desk.service.db, now=now() + timedelta(days=31)) > 0
    assert desk.one("select count(*) from receipt where body_blob is not null") == 0
    assert desk.rows(files_kept) == files
    for row in desk.rows("select person_id, receipt_id, sealed from receipt"):
        with desk.tx() as tx:
            assert desk.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
    desk.check_everything()


def test_a_body_about_two_agencies_people_is_nobodys_own(desk: Desk) -> None:
    stranger = Desk(desk.service, open_office(desk.service.db, desk.service.vault), desk.sandbox, desk.catcher)
    ours, theirs = desk.approved(person(phone=phone(71))), stranger.approved(person(phone=phone(71)))
    for one in (desk, stranger):
        one.send(SMS)
    receipts = [
        said(desk, desk.attempt_ids(ours)[0], E.ARRIVED),
        said(stranger, stranger.attempt_ids(theirs)[0], E.ARRIVED),
    ]
    callback = arrived(b"about Example Person and Sample Person")
    told = store_receipts(desk.service.db, receipts, callback, carrier="twilio_sms", vault=desk.service.vault)
    assert told == Stored(2, 0, 0)
    for one in (desk, stranger):
        (row,) = one.rows("select * from receipt")
        with one.tx() as tx:
            own = one.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
        assert b"Example" not in own
        assert row.body_blob is not None
        one.apply()
        one.check_everything()


def test_receipts_of_an_erased_person_are_put_aside_and_harm_nobody(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)), person(phone=phone(71, area=720)))
    desk.send(SMS)
    attempts = desk.rows("select attempt_id, person_id from attempt where matter_id = :m", m=matter_id)
    gone, stays = attempts
    tell(desk, said(desk, gone.attempt_id, E.ACCEPTED))  # stored before the erasure, applied after it
    erase(desk, gone.person_id)
    assert tell(desk, said(desk, gone.attempt_id, E.ARRIVED)).stored == 0
    assert tell(desk, said(desk, stays.attempt_id, E.ARRIVED)).stored == 1
    assert desk.apply() == 2
    assert desk.statuses(matter_id) == {"handed_over": 1, "delivered": 1}
    with desk.tx() as tx, pytest.raises(Sealed):
        desk.service.vault.cipher(tx, gone.person_id)


def test_a_receipt_that_cannot_be_opened_keeps_no_other_from_being_applied(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(71)), person(phone=phone(71, area=720)))
    desk.send(SMS)
    for attempt_id in desk.attempt_ids(matter_id):
        tell(desk, said(desk, attempt_id, E.ARRIVED))
    with desk.tx() as tx:
        tx.conn.execute(
            text("update receipt set sealed = 'spoilt' where receipt_id = (select receipt_id from receipt limit 1)")
        )
    assert desk.apply() == 2
    assert desk.statuses(matter_id) == {"delivered": 2}
    assert desk.apply() == 0


def quarantined(desk: Desk) -> list[Any]:
    with desk.service.db.no_agency() as connection:
        return list(connection.execute(text("select * from quarantine")).all())


def opened(desk: Desk, kept: Any) -> bytes:
    cipher = Cipher(kept.quarantine_id, desk.service.vault.keys.kek(kept.kek_id))
    return cipher.open(kept.sealed, "quarantine.sealed", kept.quarantine_id)


def hear(desk: Desk, *receipts: CarrierReceipt) -> Stored:
    """One callback that says all this."""
    callback = arrived(b"about several people")
    return store_receipts(desk.service.db, receipts, callback, carrier="twilio_sms", vault=desk.service.vault)


def test_a_persons_key_that_does_not_open_keeps_nobody_elses_receipt_from_being_applied(desk: Desk) -> None:
    broken, whole = desk.approved(person(phone=phone(71))), desk.approved(person(phone=phone(71, area=720)))
    desk.send(SMS)
    for matter_id in (broken, whole):
        tell(desk, said(desk, desk.only_attempt(matter_id).attempt_id, E.ARRIVED))
    spoil_key(desk, broken)
    assert desk.apply() == 2
    assert desk.statuses(whole) == {"delivered": 1}
    assert desk.statuses(broken) == {"delivered": 1}  # what it said counts


def test_a_receipt_of_somebody_whose_key_does_not_open_is_put_aside(desk: Desk) -> None:
    broken, whole = desk.approved(person(phone=phone(71))), desk.approved(person(phone=phone(71, area=720)))
    desk.send(SMS)
    spoil_key(desk, broken)
    before = len(quarantined(desk))
    for matter_id in (broken, whole):
        tell(desk, said(desk, desk.only_attempt(matter_id).attempt_id, E.ARRIVED))
    assert len(quarantined(desk)) == before + 1
    desk.apply()
    assert desk.statuses(whole) == {"delivered": 1}


def spoil_key(desk: Desk, matter_id: UUID) -> None:
    """The key of the matter's people does not open any more."""
    spoil = "update dek set wrapped = 'spoilt' where dek_id = (select person_id from person where matter_id = :m)"
    desk.rows(f"{spoil} returning 1", m=matter_id)
    desk.service = replace(desk.service, vault=Vault(desk.service.vault.keys))
