"""What happens because time passes: bells to ring, lost workers, silent carriers, idle work."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text

from notifier.carriers import CARRIERS
from notifier.carriers.timetable import Timetable
from notifier.core.errors import Sealed
from notifier.core.model import Actor, Channel
from notifier.core.status import AWAITS_WORD, TOLD, AttemptEvent, Reason
from notifier.core.status import AttemptStatus as S
from notifier.store.attempts import close_idle_work, database_now
from notifier.store.engine import Database, Tx
from notifier.store.overdue import Expired, Glance, expired_leases, glance, silent_attempts
from notifier.store.vault import Cipher, Vault
from notifier.usecases.progress import Change, record
from notifier.usecases.recall import channels_to_withdraw_on
from notifier.usecases.red_batches import raise_alarms

LIMIT: Final = 1000
RECEIPTS: Final = "receipts"
SILENCE_EVERY: Final = 10  # ticks: silence is counted in hours
IDLE_EVERY: Final = 60  # ticks: an idle matter costs one probe until it is forgotten
PATIENCE: Final = "set local lock_timeout = '500ms'"  # a chain that somebody holds for long is left for the next tick

Changes = Mapping[UUID, list[Change]]

log = structlog.get_logger()


def queues_with_work(tx: Tx, timetables: Mapping[str, Timetable], seen: Glance | None = None) -> list[str]:
    """The queues of one agency whose bells are to be rung. `seen` is what a glance has shown in this transaction."""
    seen = seen or glance(tx)
    channels = {*seen.channels, *channels_to_withdraw_on(tx, timetables)}
    queues = [channel.value for channel in Channel if channel in channels]
    return [*queues, RECEIPTS] if seen.has_receipts else queues


def has_chores(tick: int) -> bool:
    """Whether `catch_up` has something to do in this tick that no glance shows."""
    return tick % SILENCE_EVERY == 0 or tick % IDLE_EVERY == 0


def catch_up(
    db: Database, agency_id: UUID, *, vault: Vault, timetables: Mapping[str, Timetable], now: datetime, tick: int
) -> None:
    """Record what time alone has brought about in one agency; `tick` counts the calls, for what is not done in each.

    (1) an attempt whose worker is gone may have been sent: unknown, never again; (2) a carrier that has said nothing
    for its time is silent; (3) an alarm for print batches that nobody mails; (4) what has nothing left to send is
    forgotten.
    """
    with db.transaction(agency_id) as tx:
        lost = _lost(tx, expired_leases(tx, limit=LIMIT), vault, checks=_first_checks(tx, timetables))
    _record(db, agency_id, lost, now=now)  # (1)
    if tick % SILENCE_EVERY == 0:
        with db.transaction(agency_id) as tx:
            silent = _silent(tx, timetables, now)
        _record(db, agency_id, silent, now=now)  # (2)
        _raise_alarms(db, agency_id, now=now)  # (3)
    if tick % IDLE_EVERY == 0:
        with db.transaction(agency_id) as tx:
            close_idle_work(tx)  # (4)


def _record(db: Database, agency_id: UUID, changes: Changes, *, now: datetime) -> None:
    """Each matter in a transaction of its own: what is wrong with one, or holds it, keeps no other waiting."""
    for matter_id in sorted(changes):
        try:
            with db.transaction(agency_id) as tx:
                tx.conn.execute(text(PATIENCE))
                record(tx, matter_id, changes[matter_id], now=now)
        except Exception as error:  # noqa: BLE001 # the next tick tries again
            log.error("clock.matter_left", matter=str(matter_id), error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values


def _raise_alarms(db: Database, agency_id: UUID, *, now: datetime) -> None:
    try:
        with db.transaction(agency_id) as tx:
            tx.conn.execute(text(PATIENCE))
            raise_alarms(tx, now=now)
    except Exception as error:  # noqa: BLE001 # as above
        log.error("clock.alarms_left", agency=str(agency_id), error=type(error).__name__)  # noqa: TRY400 # as above


def _first_checks(tx: Tx, timetables: Mapping[str, Timetable]) -> Mapping[str, datetime]:
    """When each carrier is first asked about what is lost now."""
    clock, wires = database_now(tx), {slug: timetable.wire for slug, timetable in timetables.items()}
    return {slug: clock + timedelta(seconds=wire.sweep_after_seconds) for slug, wire in wires.items() if wire}


def _lost(tx: Tx, expired: Iterable[Expired], vault: Vault, *, checks: Mapping[str, datetime]) -> Changes:
    """What may have been sent is committed to, like what was."""
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for one in expired:
        kept = _kept_text(tx, one, vault)
        cipher, values = (None, {}) if kept is None else (kept[0], {"text": kept[1]})
        changes[one.matter_id].append(
            Change(
                one.attempt_id,
                AttemptEvent.LOST_TRACK,
                Actor.system("clock"),
                reason=Reason.WORKER_LOST,
                check_at=checks.get(one.carrier),
                values=values,
                cipher=cipher,
                only_from=frozenset({S.SENDING}),
            )
        )
    return changes


def _kept_text(tx: Tx, lost: Expired, vault: Vault) -> tuple[Cipher, bytes] | None:
    """None when it is erased or damaged: that the attempt was lost is recorded all the same."""
    if lost.sealed is None:
        return None
    try:
        cipher = vault.cipher(tx, lost.person_id)
        return cipher, cipher.open(lost.sealed, "content.sealed", lost.attempt_id)
    except Sealed:
        return None


def _silent(tx: Tx, timetables: Mapping[str, Timetable], now: datetime) -> Changes:
    changes: dict[UUID, list[Change]] = defaultdict(list)
    for slug, timetable in timetables.items():
        after, entry = timedelta(hours=timetable.silent_after_hours), CARRIERS[slug]
        waiting = AWAITS_WORD[entry.channel] if entry.carrier is None else TOLD
        silent = silent_attempts(tx, entry.channel, slug, waiting=waiting, after=after, now=now, limit=LIMIT)
        for matter_id, attempt_id in silent:
            changes[matter_id].append(_went_silent(attempt_id, waiting))
    return changes


def _went_silent(attempt_id: UUID, only_from: Collection[S]) -> Change:
    return Change(attempt_id, AttemptEvent.WENT_SILENT, Actor.system("clock"), only_from=frozenset(only_from))
