"""How much is waiting in the whole installation: counts for whoever keeps it running, nobody's data."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text

from notifier.core.status import AttemptStatus
from notifier.store.engine import Database, Tx
from notifier.usecases.access import all_agencies
from notifier.usecases.red_batches import count_open

CHEAP_SECONDS: Final = 0.25  # a reading that took no longer is made whenever it is asked for
SHARE: Final = 20  # any other is good for so many times as long as it took


@dataclass(frozen=True, slots=True)
class Backlog:
    """Counts over all agencies. `attempts` is by (channel, status); ages are in seconds, 0 when nothing waits."""

    attempts: Counter[tuple[str, str]]
    oldest_due_seconds: float
    receipts_waiting: int
    oldest_receipt_seconds: float
    batches_not_mailed: int
    batches_red: int
    quarantined: int

    @property
    def unknown(self) -> int:
        """Attempts whose outcome nobody knows."""
        return sum(count for (_, status), count in self.attempts.items() if status == AttemptStatus.UNKNOWN)


class BacklogWatch:
    """Reads the backlog again only when the last reading is old for what it cost: counting a million takes a while."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        """For one process; `clock` counts seconds."""
        self._db, self._clock = db, clock
        self._lock = threading.Lock()
        self._last: Backlog | None = None
        self._fresh_until = 0.0

    def read(self, *, now: datetime) -> Backlog:
        """The backlog, as it is or as it was a moment ago: reading it takes a twentieth of the time at most."""
        with self._lock:
            began = self._clock()
            if self._last is None or began >= self._fresh_until:
                self._last = read_backlog(self._db, now=now)
                took = self._clock() - began
                self._fresh_until = self._clock() + (SHARE * took if took > CHEAP_SECONDS else 0.0)
            return self._last


def read_backlog(db: Database, *, now: datetime) -> Backlog:
    """Ask each agency in a transaction of its own, as the database demands."""
    attempts: Counter[tuple[str, str]] = Counter()
    due: list[datetime] = []
    received: list[datetime] = []
    waiting = unmailed = red = 0
    for agency_id in all_agencies(db):
        with db.transaction(agency_id) as tx:
            counted, oldest_due = _attempts(tx)
            attempts.update(counted)
            due += oldest_due
            row = tx.conn.execute(
                text(
                    "select count(*) as waiting, min(received_at) as oldest"
                    " from receipt where agency_id = :agency and applied_at is null"
                ),
                {"agency": agency_id},
            ).one()
            waiting += row.waiting
            counted_open, counted_red = count_open(tx, now=now)
            unmailed, red = unmailed + counted_open, red + counted_red
            received += [row.oldest] if row.oldest else []
    with db.no_agency() as conn:
        quarantined = conn.execute(text("select count(*) from quarantine")).scalar_one()
    return Backlog(attempts, _age(due, now), waiting, _age(received, now), unmailed, red, quarantined)


def _attempts(tx: Tx) -> tuple[Counter[tuple[str, str]], list[datetime]]:
    """Counts, and the oldest due time of what is due and not stopped."""
    rows = tx.conn.execute(
        text("select channel, status, count(*) as attempts from attempt where agency_id = :agency group by 1, 2"),
        {"agency": tx.agency_id},
    )
    counts = Counter({(row.channel, row.status): row.attempts for row in rows})
    oldest = tx.conn.execute(
        text(
            "select min((select min(a.due_at) from attempt a where a.agency_id = w.agency_id"
            " and a.matter_id = w.matter_id and a.channel = w.channel and a.status = 'planned'))"
            " from work_to_do w where w.agency_id = :agency"
        ),
        {"agency": tx.agency_id},
    ).scalar_one()
    return counts, [oldest] if oldest else []


def _age(times: list[datetime], now: datetime) -> float:
    return max(0.0, (now - min(times)).total_seconds()) if times else 0.0
