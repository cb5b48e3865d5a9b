"""A stop takes back what a carrier was given a moment ago, as long as it can be given back.

(1) look for what a stop holds and was handed over lately; (2) ask the carrier to give it back; (3) write down what it
gave back: the letter waits again, and goes out as another piece when sending goes on. What it did not give back goes
out, and is shown as it stands.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notifier.carriers import CARRIERS
from notifier.carriers.base import Recall, Recaller
from notifier.carriers.timetable import Timetable
from notifier.core.model import Actor, ActorKind, Channel
from notifier.core.status import AttemptEvent, AttemptStatus
from notifier.store.engine import Database, Tx
from notifier.store.posting import ToWithdraw, letters_to_withdraw
from notifier.usecases.dispatch import Sender
from notifier.usecases.progress import Change, record_all

LIMIT: Final = 200


@dataclass(slots=True)
class Asked:
    """What a process need not ask again: the carrier said that it is too late."""

    refs: dict[str, datetime] = field(default_factory=dict)

    def forget(self, before: datetime) -> None:
        """What was said so long ago is out of the window anyway."""
        self.refs = {ref: at for ref, at in self.refs.items() if at >= before}


async def withdraw_stopped(agency_id: UUID, *, sender: Sender, asked: Asked, now: datetime) -> int:
    """Take back what a stop holds; returns how many letters the carrier gave back."""
    carrier, seconds = sender.carrier, sender.wire.cancel_seconds
    if seconds is None or not isinstance(carrier, Recaller):
        return 0
    within = timedelta(seconds=seconds)
    asked.forget(now - within)
    look = _looking(sender.db, agency_id, carrier.slug, within)
    letters = [letter for letter in await asyncio.to_thread(look) if letter.carrier_ref not in asked.refs]  # (1)
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

    def write_down() -> None:
        with sender.db.transaction(agency_id) as tx:
            record_all(tx, changes, now=now)  # (3)

    if changes:
        await asyncio.to_thread(write_down)
    return sum(map(len, changes.values()))


def _looking(db: Database, agency_id: UUID, carrier: str, within: timedelta) -> Callable[[], list[ToWithdraw]]:
    def look() -> list[ToWithdraw]:
        with db.transaction(agency_id) as tx:
            return letters_to_withdraw(tx, carrier, within=within, limit=LIMIT)

    return look


def channels_to_withdraw_on(tx: Tx, timetables: Mapping[str, Timetable]) -> set[Channel]:
    """Where a stop holds something that its carrier may still give back."""
    windows = {slug: table.wire.cancel_seconds for slug, table in timetables.items() if table.wire is not None}
    return {
        CARRIERS[slug].channel
        for slug, seconds in windows.items()
        if seconds is not None and letters_to_withdraw(tx, slug, within=timedelta(seconds=seconds), limit=1)
    }
