"""Mail that the post brought back: scanned in, recorded, and followed by what the reason asks for.

Each letter on its own: what is wrong with one keeps no other from being recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum, auto
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.contacts import post
from notifier.core.errors import Finding, Forbidden, Invalid
from notifier.core.ledger import Json
from notifier.core.model import KeyKind, PostalAddress
from notifier.core.pieces import PieceRef, parse_piece
from notifier.core.returned_mail import RULES, NextStep, UspsReason
from notifier.core.status import AttemptEvent, Reason
from notifier.store.engine import Tx
from notifier.store.ledger import lock_chains
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.office import zone_of
from notifier.usecases.progress import Change, legal_times, record
from notifier.usecases.remailing import Follow, confidential, follow_up, keep_address

MOST: Final = 500  # letters in one scan-in


@dataclass(frozen=True, slots=True)
class Scanned:
    """A letter that came back: what its code or number says, why, when, and the address on the post's yellow label."""

    piece: str
    reason: UspsReason
    returned_on: date
    forwarding: PostalAddress | None = field(default=None, repr=False)


class Result(StrEnum):
    """What became of one scan. Only the first changes anything, and those of an address that must not be kept.

    With them the return is recorded, and the address that was scanned with it is passed over.
    """

    RECORDED = auto()
    KNOWN = auto()  # it had been recorded just so
    UNKNOWN_LETTER = auto()  # no letter of this agency, or more than one with this number: scan the code
    MODE_MISMATCH = auto()  # a test key for a live letter, or the other way round
    NEVER_WRITTEN = auto()  # by our records there is no such paper
    IMPOSSIBLE_DAY = auto()  # before it was handed over, or to come yet
    RECORDED_OTHERWISE = auto()  # it had been recorded with another reason or address
    CONFIDENTIAL_ADDRESS = auto()  # a substitute address of the confidentiality program is never replaced
    ERASED = auto()  # the person's data was erased: no address can be kept for them


@dataclass(frozen=True, slots=True)
class Returned:
    """What one scan came to. All but `result` is None where nothing is recorded.

    `remailed_as`: the letter that follows at once; `defeats`: whether the notice counts for nothing by this letter,
    None when it only waits.
    """

    result: Result
    attempt_id: UUID | None = None
    reason: UspsReason | None = None
    returned_on: date | None = None
    defeats: bool | None = None
    next_step: NextStep | None = None
    forwarded_to: UUID | None = None
    remailed_as: UUID | None = None


Letter = Row[Any]


def scan_in(tx: Tx, scans: Sequence[Scanned], *, principal: Principal, vault: Vault, now: datetime) -> list[Returned]:
    """Record letters that came back; one result for each scan, in order.

    (1) an officer says so; (2) every line can be read, or nothing is stored; (3) which letters they are; (4) hold the
    chains of all their matters, in order; (5) record each, with what follows from it (`remailing`).

    Raises:
        Forbidden: `scope-missing`, `personal-key-needed`.
        Invalid: `unreadable-scan`, with a finding for each line that is wrong.
    """
    principal.require(Scope.MAILROOM)  # (1)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can speak for the mailroom.")
    refs = _read(scans)  # (2)
    letters = _find(tx, refs)  # (3)
    found = [_the_one(letters[number], ref) for number, ref in enumerate(refs)]
    lock_chains(tx, {letter.matter_id for letter in found if letter is not None})  # (4)
    desk = _Desk(tx, principal, vault, now, legal_times(tx, {row.matter_id for row in found if row is not None}, now))
    return [desk.take(scan, letter) for scan, letter in zip(scans, found, strict=True)]  # (5)


def _read(scans: Sequence[Scanned]) -> list[PieceRef]:
    refs: list[PieceRef] = []
    findings = []
    for number, scan in enumerate(scans):
        ref = parse_piece(scan.piece)
        if ref is None:
            what = "is no code or number of a letter: a digit is wrong or missing"
            findings.append(Finding(f"/pieces/{number}/piece", "not_a_piece", what))
        else:
            refs.append(ref)
        problem = None if scan.forwarding is None else post(scan.forwarding).problem
        if problem is not None:
            what = "is no address that a letter can be sent to"
            findings.append(Finding(f"/pieces/{number}/forwarding_address", problem, what))
    if findings:
        raise Invalid("unreadable-scan", "Some lines cannot be read. Nothing was stored.", findings)
    return refs


def _find(tx: Tx, refs: Sequence[PieceRef]) -> list[list[Letter]]:
    """Every letter that each scan could mean."""
    tails = [(number, tail) for number, ref in enumerate(refs) for tail in ref.tails]
    rows = tx.conn.execute(
        text(
            "select u.no, a.*, m.mode, b.mailed_on"
            " from unnest(cast(:numbers as int[]), cast(:tails as text[])) u(no, tail)"
            " join attempt a on a.agency_id = :agency and a.channel = 'letter'"
            "  and right(a.attempt_id::text, 12) = u.tail"
            " join matter m on m.agency_id = a.agency_id and m.matter_id = a.matter_id"
            " left join print_batch b on b.agency_id = a.agency_id and b.batch_id = a.batch_id"
        ),
        {
            "agency": tx.agency_id,
            "numbers": [number for number, _ in tails],
            "tails": [tail for _, tail in tails],
        },
    )
    found: list[list[Letter]] = [[] for _ in refs]
    for row in rows:
        found[row.no].append(row)
    return found


def _the_one(letters: Sequence[Letter], ref: PieceRef) -> Letter | None:
    meant = [letter for letter in letters if ref.names(letter.attempt_id)]
    return meant[0] if len(meant) == 1 else None


class _Desk:
    """Records letters that came back, one after the other, in one transaction that holds their chains."""

    def __init__(
        self, tx: Tx, principal: Principal, vault: Vault, now: datetime, legal: Mapping[UUID, datetime]
    ) -> None:
        self._tx = tx
        self._principal = principal
        self._vault = vault
        self._now = now
        self._legal = legal
        self._zone = zone_of(tx)

    def take(self, scan: Scanned, letter: Letter | None) -> Returned:
        if letter is None:
            return Returned(Result.UNKNOWN_LETTER)
        if letter.mode != self._principal.mode.value:
            return Returned(Result.MODE_MISMATCH)
        known = self._known(letter.attempt_id)
        if known is not None:
            return self._again(scan, letter, known)
        refused = self._why_not(scan, letter)
        if refused is not None:
            return Returned(refused)
        unkept = self._why_not_kept(scan, letter)
        if unkept is not None:  # that it came back counts all the same
            return replace(self._record(replace(scan, forwarding=None), letter), result=unkept)
        return self._record(scan, letter)

    def _why_not(self, scan: Scanned, letter: Letter) -> Result | None:
        if letter.blob_id is None and letter.handed_over_at is None:
            return Result.NEVER_WRITTEN
        today = self._legal[letter.matter_id].astimezone(self._zone).date()
        handed_over = letter.handed_over_at
        since = scan.returned_on if handed_over is None else handed_over.astimezone(self._zone).date()
        if not min(since, today, letter.mailed_on or today) <= scan.returned_on <= today:
            return Result.IMPOSSIBLE_DAY
        return None

    def _why_not_kept(self, scan: Scanned, letter: Letter) -> Result | None:
        """Why the address of a scan is not kept; None where it is, or where there is none."""
        if scan.forwarding is None:
            return None
        if letter.person_id not in self._vault.surviving(self._tx, [letter.person_id]):
            return Result.ERASED
        is_protected = confidential(self._tx, letter.person_id, vault=self._vault)
        return Result.CONFIDENTIAL_ADDRESS if is_protected else None

    def _record(self, scan: Scanned, letter: Letter) -> Returned:
        """The event and what follows from it; then the row."""
        follow = self._follow(scan, letter)
        self._tx.conn.execute(
            text(
                "insert into returned_piece (agency_id, attempt_id, matter_id, person_id, usps_reason, returned_on,"
                " scanned_at, scanned_by, forwarded_to, remailed_as)"
                " values (:agency, :attempt, :matter, :person, :reason, :day, :now, :officer, :to, :as)"
            ),
            {
                "agency": self._tx.agency_id,
                "attempt": letter.attempt_id,
                "matter": letter.matter_id,
                "person": letter.person_id,
                "reason": scan.reason.value,
                "day": scan.returned_on,
                "now": self._now,
                "officer": self._principal.officer_id,
                "to": follow.forwarded_to,
                "as": follow.remailed_as,
            },
        )
        return _told(Result.RECORDED, letter.attempt_id, scan.reason, scan.returned_on, follow)

    def _follow(self, scan: Scanned, letter: Letter) -> Follow:
        """(1) keep the address that the post named; (2) say that the letter came back; (3) do what follows."""
        at, to = self._legal[letter.matter_id], None
        if scan.forwarding is not None:  # (1)
            to = keep_address(self._tx, letter, scan.forwarding, principal=self._principal, vault=self._vault, at=at)
        said: dict[str, Json] = {"usps_reason": scan.reason.value, "returned_on": scan.returned_on.isoformat()}
        change = Change(
            letter.attempt_id,
            AttemptEvent.CAME_BACK,
            self._principal.actor,
            reason=Reason.RETURNED_BY_POST,
            carrier_code=scan.reason.value,
            more=said if to is None else {**said, "forwarded_to": str(to)},
        )
        record(self._tx, letter.matter_id, [change], now=self._now)  # (2)
        return follow_up(  # (3)
            self._tx,
            letter,
            scan.reason,
            to=to,
            principal=self._principal,
            now=self._now,
            at=at,
            today=at.astimezone(self._zone).date(),
        )

    def _known(self, attempt_id: UUID) -> Row[Any] | None:
        return self._tx.conn.execute(
            text("select * from returned_piece where agency_id = :agency and attempt_id = :attempt"),
            {"agency": self._tx.agency_id, "attempt": attempt_id},
        ).one_or_none()

    def _again(self, scan: Scanned, letter: Letter, known: Row[Any]) -> Returned:
        """The same letter again: the answer of the first time, or the address that was overlooked then."""
        if known.usps_reason != scan.reason:
            return Returned(Result.RECORDED_OTHERWISE, letter.attempt_id)
        result, follow = Result.KNOWN, Follow(known.forwarded_to, known.remailed_as)
        if scan.forwarding is not None and known.forwarded_to is None:
            if known.remailed_as is not None:
                return Returned(Result.RECORDED_OTHERWISE, letter.attempt_id)
            refused = self._why_not(scan, letter) or self._why_not_kept(scan, letter)
            if refused is not None:
                return replace(_told(result, letter.attempt_id, scan.reason, known.returned_on, follow), result=refused)
            result, follow = Result.RECORDED, self._follow(scan, letter)
            self._tx.conn.execute(
                text(
                    "update returned_piece set forwarded_to = :to, remailed_as = :as"
                    " where agency_id = :agency and attempt_id = :attempt"
                ),
                {
                    "agency": self._tx.agency_id,
                    "attempt": letter.attempt_id,
                    "to": follow.forwarded_to,
                    "as": follow.remailed_as,
                },
            )
        return _told(result, letter.attempt_id, scan.reason, known.returned_on, follow)


def _told(result: Result, attempt_id: UUID, reason: UspsReason, day: date, follow: Follow) -> Returned:
    rule = RULES[reason]
    return Returned(result, attempt_id, reason, day, rule.defeats, rule.step, follow.forwarded_to, follow.remailed_as)
