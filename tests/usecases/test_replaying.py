"""What nobody could place is read again: what finds its attempt is applied once, with the time it came at first."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped] # it ships no types

from notifier.carriers.base import Callback, CarrierReceipt, ReceiptReader
from notifier.carriers.sendgrid_receipts import SendGridReceipts
from notifier.carriers.twilio_receipts import TwilioReceipts
from notifier.core.model import Channel
from notifier.usecases.quarantine import list_quarantine, quarantine
from notifier.usecases.receipts import Stored
from notifier.usecases.replaying import Again, replay
from tests.told import store_receipts
from tests.usecases.desk import Desk, mailbox, now, person, phone

TOKEN = "made-up-token-of-tests"
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_KEY = b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
READERS: Mapping[str, ReceiptReader] = {
    "twilio_sms": TwilioReceipts(auth_tokens=[TOKEN], codes={}),
    "sendgrid_email": SendGridReceipts(public_keys=[PUBLIC_KEY], codes={}),
}
LONG_AGO = timedelta(days=3)


@pytest.fixture(autouse=True)
def _nothing_of_others(desk: Desk) -> None:
    with desk.service.db.no_agency() as connection:
        connection.execute(text("delete from quarantine"))


def test_what_named_nobody_finds_its_attempt_and_keeps_its_time(desk: Desk) -> None:
    attempt_id = sent(desk, Channel.SMS)
    came = now() - LONG_AGO
    callback = from_twilio(desk, attempt_id, at=came)
    aside(desk, callback, "twilio_sms", is_known=False)
    assert again(desk) == {Again.PLACED: 1}
    (row,) = desk.rows("select received_at, applied_at, sealed, receipt_id, person_id from receipt")
    assert (row.received_at, row.applied_at) == (came, None)
    with desk.tx() as tx:
        kept = desk.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
    assert json.loads(kept)["url"] == callback.url
    assert desk.apply() == 1
    assert desk.one("select status from attempt where attempt_id = :id", id=attempt_id) == "delivered"
    assert list_quarantine(desk.service.db) == []


def test_nothing_is_applied_twice(desk: Desk) -> None:
    attempt_id = sent(desk, Channel.SMS)
    callback = from_twilio(desk, attempt_id)
    aside(desk, callback, "twilio_sms", is_known=False)
    receipts = READERS["twilio_sms"].parse(callback)
    store_receipts(desk.service.db, receipts, callback, carrier="twilio_sms", vault=desk.service.vault)
    assert desk.apply() == 1
    assert again(desk) == {Again.PLACED: 1}
    assert again(desk) == {}
    assert desk.apply() == 0
    assert desk.one("select count(*) from receipt") == 1


def test_what_still_names_nobody_stays_once(desk: Desk) -> None:
    aside(desk, from_twilio(desk, uuid4()), "twilio_sms")
    before = list_quarantine(desk.service.db)
    assert again(desk) == {Again.KEPT: 1}
    assert again(desk) == {Again.KEPT: 1}
    assert list_quarantine(desk.service.db) == before


def test_an_element_that_was_kept_apart_is_read_by_itself(desk: Desk) -> None:
    attempt_id = sent(desk, Channel.EMAIL)
    ours = event(desk, attempt_id, "delivered")
    callback = from_sendgrid([ours, event(desk, uuid4(), "delivered")], at=now())
    receipts = [replace(one, is_known=False) for one in READERS["sendgrid_email"].parse(callback)]
    aside_as(desk, callback, "sendgrid_email", receipts)
    assert again(desk) == {Again.PLACED: 1, Again.KEPT: 1}
    (row,) = desk.rows("select * from receipt")
    with desk.tx() as tx:
        kept = desk.service.vault.cipher(tx, row.person_id).open(row.sealed, "receipt.sealed", row.receipt_id)
    assert json.loads(kept) == ours
    assert row.body_blob is None
    desk.apply()
    assert desk.one("select status from attempt where attempt_id = :id", id=attempt_id) == "delivered"


def test_a_callback_that_a_better_reader_can_read_is_placed_part_by_part(desk: Desk) -> None:
    attempt_id = sent(desk, Channel.EMAIL)
    stray = event(desk, uuid4(), "delivered")
    callback = from_sendgrid([event(desk, attempt_id, "delivered"), stray], at=now() - LONG_AGO)
    quarantine(desk.service.db, callback, carrier="sendgrid_email", reason="unreadable", vault=desk.service.vault)
    assert again(desk, reason="unreadable") == {Again.PLACED: 1}
    assert desk.one("select count(*) from receipt") == 1
    assert [kept.reason for kept in list_quarantine(desk.service.db)] == ["names-no-attempt"]
    assert again(desk) == {Again.KEPT: 1}


def test_what_todays_keys_do_not_prove_stays(desk: Desk) -> None:
    attempt_id = sent(desk, Channel.SMS)
    aside(desk, from_twilio(desk, attempt_id), "twilio_sms", is_known=False)
    others = {"twilio_sms": TwilioReceipts(auth_tokens=["another"], codes={})}
    assert again(desk, readers=others) == {Again.NOT_PROVED: 1}
    assert again(desk, readers={}) == {Again.NO_READER: 1}
    assert desk.one("select count(*) from receipt") == 0
    assert again(desk) == {Again.PLACED: 1}


def test_what_cannot_be_opened_stays(desk: Desk) -> None:
    aside(desk, from_twilio(desk, uuid4()), "twilio_sms")
    with desk.service.db.no_agency() as connection:
        connection.execute(text("update quarantine set sealed = 'spoilt'"))
    assert again(desk) == {Again.SEALED: 1}
    assert len(list_quarantine(desk.service.db)) == 1


def test_one_may_be_chosen_by_its_id_or_its_reason(desk: Desk) -> None:
    attempts = [sent(desk, Channel.SMS) for _ in range(2)]
    for attempt_id in attempts:
        aside(desk, from_twilio(desk, attempt_id), "twilio_sms", is_known=False)
    first, _ = list_quarantine(desk.service.db)
    assert again(desk, reason="unreadable") == {}
    assert again(desk, quarantine_id=uuid4()) == {}
    assert again(desk, quarantine_id=first.quarantine_id) == {Again.PLACED: 1}
    assert again(desk, reason="names-no-attempt") == {Again.PLACED: 1}


def sent(desk: Desk, channel: Channel) -> UUID:
    """An attempt that the carrier has and has said nothing about."""
    one = person(phone=phone(71)) if channel is Channel.SMS else person(email=mailbox("silent"))
    matter_id = desk.approved(one)
    desk.send(channel)
    return desk.attempt_ids(matter_id)[0]


def again(
    desk: Desk,
    *,
    readers: Mapping[str, ReceiptReader] = READERS,
    quarantine_id: UUID | None = None,
    reason: str | None = None,
) -> dict[Again, int]:
    service = desk.service
    return dict(replay(service.db, readers=readers, vault=service.vault, quarantine_id=quarantine_id, reason=reason))


def aside(desk: Desk, callback: Callback, carrier: str, *, is_known: bool = True) -> None:
    """Let a callback come that goes to the quarantine: as of a word that nobody knew yet, unless it names nobody."""
    aside_as(desk, callback, carrier, [replace(one, is_known=is_known) for one in READERS[carrier].parse(callback)])


def aside_as(desk: Desk, callback: Callback, carrier: str, receipts: list[CarrierReceipt]) -> None:
    told = store_receipts(desk.service.db, receipts, callback, carrier=carrier, vault=desk.service.vault)
    assert told == Stored(0, 0, len(receipts))


def from_twilio(desk: Desk, attempt_id: UUID, *, at: datetime | None = None) -> Callback:
    url = f"https://agency.example.org/callbacks/twilio_sms?agency={desk.office.agency_id}&attempt={attempt_id}"
    fields = {"MessageSid": f"SM{uuid4().hex}", "MessageStatus": "delivered"}
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": RequestValidator(TOKEN).compute_signature(url, fields),
    }
    return Callback(url, headers, urlencode(fields).encode(), at or now())


def event(desk: Desk, attempt_id: UUID, word: str) -> dict[str, str]:
    ids = {"agency": str(desk.office.agency_id), "attempt": str(attempt_id)}
    return {"event": word, "sg_event_id": uuid4().hex, **ids}


def from_sendgrid(events: list[dict[str, str]], *, at: datetime) -> Callback:
    body, stamp = json.dumps(events).encode() + b"\r\n", str(int(at.timestamp()))
    signature = KEY.sign(stamp.encode() + body, ec.ECDSA(SHA256()))
    headers = {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": stamp,
    }
    return Callback("https://agency.example.org/callbacks/sendgrid_email", headers, body, at)
