"""How much is waiting in the whole installation: counts for whoever keeps it running, nobody's data."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from notifier.core.status import AttemptStatus
from notifier.store.engine import Database, Tx
from notifier.usecases.access import all_agencies


@dataclass(frozen=True, slots=True)
class Backlog:
    """Counts over all agencies. `attempts` is by (channel, status); ages are in seconds, 0 when nothing waits."""

    attempts: Counter[tuple[str, str]]
    oldest_due_seconds: float
    receipts_waiting: int
    oldest_receipt_seconds: float
    batches_not_mailed: int
    quarantined: int

    @property
    def unknown(self) -> int:
        """Attempts whose outcome nobody knows."""
        return sum(count for (_, status), count in self.attempts.items() if status == AttemptStatus.UNKNOWN)


def read_backlog(db: Database, *, now: datetime) -> Backlog:
    """Ask each agency in a transaction of its own, as the database demands."""
    attempts: Counter[tuple[str, str]] = Counter()
    due: list[datetime] = []
    received: list[datetime] = []
    waiting = unmailed = 0
    for agency_id in all_agencies(db):
        with db.transaction(agency_id) as tx:
            counted, oldest_due = _attempts(tx)
            attempts.update(counted)
            due += oldest_due
            row = tx.conn.execute(
                text(
                    "select count(*) as waiting, min(received_at) as oldest,"
                    " (select count(*) from print_batch where agency_id = :agency and mailed_on is null) as unmailed"
                    " from receipt where agency_id = :agency and applied_at is null"
                ),
                {"agency": agency_id},
            ).one()
            waiting, unmailed = waiting + row.waiting, unmailed + row.unmailed
            received += [row.oldest] if row.oldest else []
    with db.no_agency() as conn:
        quarantined = conn.execute(text("select count(*) from quarantine")).scalar_one()
    return Backlog(attempts, _age(due, now), waiting, _age(received, now), unmailed, quarantined)


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
