"""What comes to a desk from outside: officers with their keys, erasures, what carriers say, a process that dies."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text

from notifier.carriers.base import Callback, CarrierReceipt
from notifier.core.model import KeyKind, Mode, Role
from notifier.core.status import AttemptEvent, Reason
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope, add_officer, authenticate, create_key
from notifier.usecases.receipts import Stored
from tests.installation import NOW
from tests.told import store_receipts
from tests.usecases.desk import Desk, now

BAD_NEWS = {AttemptEvent.REFUSED, AttemptEvent.BOUNCED, AttemptEvent.CAME_BACK}


def key_of(desk: Desk, officer_id: UUID, *, mode: Mode = Mode.TEST, scopes: set[Scope] | None = None) -> Principal:
    """A fresh personal key of an officer."""
    with desk.tx() as tx:
        key = create_key(
            tx,
            officer_id=officer_id,
            kind=KeyKind.PERSONAL,
            mode=mode,
            scopes=scopes,
            vault=desk.service.vault,
            now=NOW,
        )
    return authenticate(key.token, db=desk.service.db, vault=desk.service.vault, now=NOW)


def own_key(desk: Desk) -> Principal:
    """The personal key of whoever entered the lists."""
    vault = desk.service.vault
    return authenticate(desk.office.uploader_personal_token, db=desk.service.db, vault=vault, now=NOW)


def third_officer(desk: Desk) -> Principal:
    """Somebody who has had nothing to do with anything."""
    with desk.tx() as tx:
        officer_id = add_officer(tx, name="Third Officer", roles=[Role.APPROVER], now=NOW)
    return key_of(desk, officer_id)


def erase(desk: Desk, dek_id: UUID) -> None:
    """Destroy a key, and what this process had opened with it."""
    with desk.tx() as tx:
        tx.conn.execute(text("delete from dek where dek_id = :id"), {"id": dek_id})
    desk.service = replace(desk.service, vault=Vault(desk.service.vault.keys))


class Died(BaseException):
    """The process is gone: nothing that runs in it catches this."""


def said(desk: Desk, attempt_id: UUID, event: AttemptEvent) -> CarrierReceipt:
    """One thing that Twilio could say, never said before."""
    sid = f"SM{uuid4().hex}"
    return CarrierReceipt(
        dedupe=f"{sid}:{event.value}",
        carrier_word=event.value,
        event=event,
        agency_id=desk.office.agency_id,
        attempt_id=attempt_id,
        raw=f"MessageSid={sid}&MessageStatus={event.value}".encode(),
        carrier_ref="SM" + "0" * 32,
        reason=Reason.UNSPECIFIED if event in BAD_NEWS else None,
    )


def arrived(body: bytes, *, at: datetime | None = None) -> Callback:
    return Callback("https://agency.example.org/callbacks/twilio_sms", {"x": "y"}, body, at or now())


def tell(desk: Desk, receipt: CarrierReceipt, *, at: datetime | None = None) -> Stored:
    callback = arrived(b"MessageStatus=x", at=at)
    return store_receipts(desk.service.db, [receipt], callback, carrier="twilio_sms", vault=desk.service.vault)


def let_leases_end(desk: Desk) -> None:
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set lease_until = now() - interval '1 second' where status = 'sending'"))
