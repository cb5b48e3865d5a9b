"""What happens because time passes: lost workers, silent carriers, idle work."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notifier.carriers import CARRIERS
from notifier.carriers.timetable import Timetable
from notifier.core.model import Actor
from notifier.core.status import AttemptEvent, Reason
from notifier.store.attempts import channels_with_due_work, close_idle_work, expired_leases, silent_attempts
from notifier.store.engine import Tx
from notifier.usecases.progress import Change, record
from notifier.usecases.receipts import some_receipt_waits

LIMIT: Final = 1000
RECEIPTS: Final = "receipts"


def tick(tx: Tx, *, timetables: Mapping[str, Timetable], now: datetime) -> list[str]:
    """Do what is due in one agency; returns the queues that have work.

    (1) an attempt whose worker is gone may have been sent: unknown, never again; (2) a carrier that has said nothing
    for its time is silent; (3) forget what has nothing left to send; (4) say which bells to ring.
    """
    lost = expired_leases(tx, limit=LIMIT)  # (1)
    _record(tx, lost, AttemptEvent.LOST_TRACK, Reason.WORKER_LOST, now)
    for slug, timetable in timetables.items():  # (2)
        after = timedelta(hours=timetable.silent_after_hours)
        silent = silent_attempts(tx, CARRIERS[slug].channel, after=after, now=now, limit=LIMIT)
        _record(tx, silent, AttemptEvent.WENT_SILENT, None, now)
    close_idle_work(tx)  # (3)
    queues = [channel.value for channel in channels_with_due_work(tx)]  # (4)
    return [*queues, RECEIPTS] if some_receipt_waits(tx) else queues


def _record(
    tx: Tx, attempts: Iterable[tuple[UUID, UUID]], event: AttemptEvent, reason: Reason | None, now: datetime
) -> None:
    by_matter: dict[UUID, list[Change]] = defaultdict(list)
    for matter_id, attempt_id in attempts:
        by_matter[matter_id].append(Change(attempt_id, event, Actor.system("clock"), reason=reason))
    for matter_id in sorted(by_matter):
        record(tx, matter_id, by_matter[matter_id], now=now)
