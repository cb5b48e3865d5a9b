"""What happens because time passes: lost workers, silent carriers, idle work."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notifier.carriers import CARRIERS
from notifier.carriers.timetable import Timetable
from notifier.core.model import Actor
from notifier.core.status import AttemptEvent, Reason
from notifier.core.status import AttemptStatus as S
from notifier.store.attempts import channels_with_due_work, close_idle_work, expired_leases, silent_attempts
from notifier.store.engine import Tx
from notifier.usecases.progress import Change, record
from notifier.usecases.receipts import some_receipt_waits

LIMIT: Final = 1000
RECEIPTS: Final = "receipts"


def tick(tx: Tx, *, timetables: Mapping[str, Timetable], now: datetime) -> list[str]:
    """Do what is due in one agency; returns the queues that have work.

    (1) an attempt whose worker is gone may have been sent: unknown, never again; (2) a carrier that has said nothing
    for its time is silent; (3) record both, matters in id order, so that nobody waits for somebody who waits for us;
    (4) forget what has nothing left to send; (5) say which bells to ring.
    """
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for matter_id, attempt_id in expired_leases(tx, limit=LIMIT):  # (1)
        changes[matter_id].append(_change(attempt_id, AttemptEvent.LOST_TRACK, {S.SENDING}, Reason.WORKER_LOST))
    for slug, timetable in timetables.items():  # (2)
        after = timedelta(hours=timetable.silent_after_hours)
        for matter_id, attempt_id in silent_attempts(tx, CARRIERS[slug].channel, after=after, now=now, limit=LIMIT):
            changes[matter_id].append(_change(attempt_id, AttemptEvent.WENT_SILENT, {S.HANDED_OVER, S.ACCEPTED}))
    for matter_id in sorted(changes):  # (3)
        record(tx, matter_id, changes[matter_id], now=now)
    close_idle_work(tx)  # (4)
    queues = [channel.value for channel in channels_with_due_work(tx)]  # (5)
    return [*queues, RECEIPTS] if some_receipt_waits(tx) else queues


def _change(attempt_id: UUID, event: AttemptEvent, only_from: Collection[S], reason: Reason | None = None) -> Change:
    return Change(attempt_id, event, Actor.system("clock"), reason=reason, only_from=frozenset(only_from))
