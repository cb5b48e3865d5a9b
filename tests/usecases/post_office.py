"""What the mailroom does in tests: certified letters, declarations, mail that comes back."""

from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from notifier.core.articles import article_check_digit
from notifier.core.model import Channel, PostalAddress
from notifier.core.pieces import piece_number
from notifier.core.returned_mail import UspsReason
from notifier.usecases.access import Principal
from notifier.usecases.batches import batch_file
from notifier.usecases.certified import Scan
from notifier.usecases.mailing import Mailed, Voided, declare_mailed, void_batch
from notifier.usecases.returned_mail import Returned, Scanned, scan_in
from notifier.usecases.stops import lift_stops, place_stop
from tests.usecases.around import own_key
from tests.usecases.desk import Desk, now

DENVER = ZoneInfo("America/Denver")
NEW_HOME = PostalAddress(("200 Sample Avenue",), "Boulder", "CO", "80301")


def today() -> date:
    return now().astimezone(DENVER).date()


def certify(desk: Desk, matter_id: UUID) -> None:
    """Let the letters of a matter be certified ones, as a plan may want."""
    with desk.tx() as tx:
        tx.conn.execute(
            text("update attempt set service = 'certified' where matter_id = :m and channel = 'letter'"),
            {"m": matter_id},
        )


def article(number: int) -> str:
    """A well-formed number of nobody's letter."""
    body = f"9407100000000{number:08d}"
    return body + article_check_digit(body)


def declare(
    desk: Desk,
    batch_id: UUID | None,
    *articles: Scan,
    place: str | None = None,
    mailed_on: date | None = None,
    principal: Principal | None = None,
    at: datetime | None = None,
) -> Mailed:
    assert batch_id is not None
    with desk.tx() as tx:
        return declare_mailed(
            tx,
            batch_id,
            mailed_on=mailed_on or today(),
            place=place,
            articles=articles,
            principal=principal or desk.office.approver,
            now=at or now(),
        )


def void(desk: Desk, batch_id: UUID | None, *attempts: UUID, principal: Principal | None = None) -> Voided:
    """Void a batch, or some of its letters by the number that is printed on them."""
    assert batch_id is not None
    pieces = [piece_number(attempt) for attempt in attempts] or None
    with desk.tx() as tx:
        return void_batch(tx, batch_id, pieces=pieces, principal=principal or desk.office.approver, now=now())


def mailed(desk: Desk, *matters: UUID) -> list[UUID]:
    """The letters of matters, printed and declared mailed."""
    batch_id = desk.print()
    declare(desk, batch_id)
    return [attempt for matter in matters for attempt in desk.attempt_ids(matter)]


def scanned(
    attempt_id: UUID, reason: UspsReason = UspsReason.ANK, *, forwarding: PostalAddress | None = None, **more: Any
) -> Scanned:
    return Scanned(f"{attempt_id.hex.upper()}-1", reason, more.get("on", today()), forwarding)


def come_back(desk: Desk, *scans: Scanned, principal: Principal | None = None) -> list[Returned]:
    with desk.tx() as tx:
        return scan_in(tx, scans, principal=principal or desk.office.approver, vault=desk.service.vault, now=now())


def lift(desk: Desk, matter_id: UUID) -> None:
    for officer in (own_key(desk), desk.office.approver):
        with desk.tx() as tx:
            lift_stops(tx, matter_id, principal=officer, now=now())


def stop(desk: Desk, matter_id: UUID, channel: Channel | None = None) -> None:
    with desk.tx() as tx:
        place_stop(tx, matter_id=matter_id, channel=channel, reason="safety", principal=desk.office.uploader, now=now())


def part(desk: Desk, batch_id: UUID | None, name: str, *, principal: Principal | None = None) -> bytes:
    assert batch_id is not None
    with desk.tx() as tx:
        return batch_file(tx, batch_id, name, principal=principal or desk.office.approver, vault=desk.service.vault)
