"""A stop takes back what a carrier was given a moment ago, as long as it can be given back.

(1) look for what a stop holds and was handed over lately; (2) ask the carrier to give it back; (3) write down what it
gave back: the letter waits again, and goes out as another piece when sending goes on. What it did not give back goes
out, and is shown as it stands.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from notifier.carriers import CARRIERS
from notifier.carriers.base import Recall, Recaller
from notifier.carriers.timetable import Timetable
from notifier.core.model import Actor, ActorKind, Channel
from notifier.core.status import AttemptEvent, AttemptStatus
from notifier.store.engine import AWAY, Database, Tx
from notifier.store.posting import ToWithdraw, letters_to_withdraw
from notifier.usecases.dispatch import Sender
from notifier.usecases.progress import Change, record

LIMIT: Final = 200
AGAIN_SECONDS: Final = 0.5  # until what was given back is written down again, while the database is away

log = structlog.get_logger()


@dataclass(slots=True)
class Asked:
    """What a process need not ask again: the carrier said that it is too late."""

    refs: dict[str, datetime] = field(default_factory=dict)

    def forget(self, before: datetime) -> None:
        """What was said so long ago is out of the window anyway."""
        self.refs = {ref: at for ref, at in self.refs.items() if at >= before}


async def withdraw_stopped(
    agency_id: UUID, *, sender: Sender, asked: Asked, now: datetime, at_once: int = LIMIT
) -> int:
    """Take back what a stop holds; returns how many letters the carrier gave back."""
    carrier, seconds = sender.carrier, sender.wire.cancel_seconds
    if seconds is None or not isinstance(carrier, Recaller):
        return 0
    within = timedelta(seconds=seconds)
    asked.forget(now - within)
    look = _looking(sender.db, agency_id, carrier.slug, within, but=asked.refs, limit=at_once)
    letters = await asyncio.to_thread(look)  # (1)
    answers = await asyncio.gather(*(carrier.cancel(letter.carrier_ref) for letter in letters))  # (2)
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for letter, answer in zip(letters, answers, strict=True):
        if answer is Recall.TOO_LATE:
            asked.refs[letter.carrier_ref] = now
        elif answer is Recall.WITHDRAWN:
            changes[letter.matter_id].append(
                Change(
                    letter.attempt_id,
                    AttemptEvent.WITHDRAWN,
                    Actor(ActorKind.CARRIER, carrier.slug),
                    carrier_ref=letter.carrier_ref,
                    only_from=frozenset({AttemptStatus.HANDED_OVER}),
                )
            )

    written = 0
    for matter_id in sorted(changes):
        written += await asyncio.to_thread(_written, agency_id, sender, matter_id, changes[matter_id], now)  # (3)
    return written


def _written(agency_id: UUID, sender: Sender, matter_id: UUID, changes: Sequence[Change], now: datetime) -> int:
    """How many were written down; while the database is away again and again: asked too late, nobody says it anew."""
    while True:
        try:
            with sender.db.transaction(agency_id) as tx:
                record(tx, matter_id, changes, now=now)
        except Exception as error:  # noqa: BLE001 # what is wrong with one matter costs no other
            if not isinstance(error, AWAY) or sender.leaving.is_asked:
                log.error("recall.unrecorded", matter=str(matter_id), error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values
                return 0
        else:
            return len(changes)
        time.sleep(AGAIN_SECONDS)


def _looking(
    db: Database, agency_id: UUID, carrier: str, within: timedelta, *, but: Collection[str], limit: int
) -> Callable[[], list[ToWithdraw]]:
    def look() -> list[ToWithdraw]:
        with db.transaction(agency_id) as tx:
            return letters_to_withdraw(tx, carrier, within=within, limit=limit, but=but)

    return look


def channels_to_withdraw_on(tx: Tx, timetables: Mapping[str, Timetable]) -> set[Channel]:
    """Where a stop holds something that its carrier may still give back."""
    windows = {slug: table.wire.cancel_seconds for slug, table in timetables.items() if table.wire is not None}
    return {
        CARRIERS[slug].channel
        for slug, seconds in windows.items()
        if seconds is not None and letters_to_withdraw(tx, slug, within=timedelta(seconds=seconds), limit=1)
    }
