"""Packs: versioned rule sets as data. A matter binds several, the agency default always among them.

Standard library only: the offline verifier imports this. A pack is trusted only as a draft here; whether an agency's
counsel has approved these very bytes (`sha256`) is a fact of that agency, kept in its ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum, auto

from notifier.core.errors import Finding, Invalid
from notifier.core.model import Channel, PostService, TaskKind

DEFAULT_PACK = "co-agency-default"


class LegalStatus(StrEnum):
    """Whether a pack states law or an agency's choice."""

    LAW = "LAW"
    POLICY_NOT_LAW = "POLICY_NOT_LAW"


class PackStatus(StrEnum):
    """What one agency's counsel has said about a pack; it never stands in the file. A draft may send, never open."""

    DRAFT = auto()
    COUNSEL_APPROVED = auto()


class NoticeFrom(StrEnum):
    """Who gives the notice. A pack from the requester never sends in our name."""

    AGENCY = auto()
    REQUESTER = auto()


class Confidence(StrEnum):
    """How well a source is known."""

    VERIFIED = "V"
    PARTLY = "P"
    MEMORY = "M"
    POLICY = "POLICY"


class Evidence(StrEnum):
    """What a plan row can wait for, need, or be stopped by; each is a fact about one notice with the time it began."""

    APPROVAL = auto()  # sending was approved
    HANDED_OVER = auto()  # a carrier or the mailroom has the first message
    DELIVERED = auto()  # a carrier says that one arrived
    RETURNED = auto()  # the post returned one
    FAILED = auto()  # every message so far failed or came back
    ACCESSED = auto()  # the person opened the page with the code and a second fact
    ACKNOWLEDGED = auto()  # the person said that they understood
    OBJECTED = auto()  # the person objected


@dataclass(frozen=True, slots=True)
class Source:
    """Where a pack's rules come from."""

    citation: str
    confidence: Confidence
    note: str


class Reach(StrEnum):
    """Which contact points of its channel a row of a plan is for; the caller says in which order they stand."""

    ALL = auto()
    FIRST = auto()  # the first that can be used
    NEXT = auto()  # the next that can be used and had no message yet


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What is to happen `delay` after the evidence `after`: a message over a channel, or a task for a caseworker.

    All of `needs` and none of `unless` must hold when it falls due. A contact point that already had `max_attempts`
    messages by whatever row gets no more from this one, nor does one whose last message is less than `min_spacing` ago
    before that time has passed. `channel` is None exactly for a `task`; `service` is for letters.
    """

    id: str
    channel: Channel | None
    after: Evidence
    delay: timedelta
    max_attempts: int
    needs: frozenset[Evidence] = frozenset()
    unless: frozenset[Evidence] = frozenset()
    service: PostService | None = None
    contacts: Reach = Reach.ALL
    min_spacing: timedelta = timedelta(0)
    task: TaskKind | None = None


@dataclass(frozen=True, slots=True)
class Pack:
    """One rule set. `effect` is the id of the message that tells what an objection does; `sha256` is of the file.

    `content` is that file, for whoever keeps it with a matter: a matter follows the very bytes that it was bound to.

    `resend_unknown`: how often a message whose carrier never said whether it went out is ordered anew, recorded as a
    possible duplicate; 0 leaves it to a caseworker. `household_gap`: between text messages or emails that reach several
    people of one matter at one phone or mailbox.
    """

    id: str
    version: int
    title: str
    legal_status: LegalStatus
    notice_from: NoticeFrom
    sources: tuple[Source, ...]
    plan: tuple[PlanRow, ...]
    effect: str
    sha256: str
    status: PackStatus = PackStatus.DRAFT
    resend_unknown: int = 0
    household_gap: timedelta = timedelta(0)
    content: bytes = field(default=b"", repr=False, compare=False)


Packs = Mapping[str, Pack]
"""Packs by id."""


def bind(pack_ids: Sequence[str], packs: Packs, *, at: str = "/packs") -> tuple[Pack, ...]:
    """The packs of a matter: the agency default first, then those named, each once, in their order.

    Raises:
        Invalid: `unknown-pack`, with a finding at "<at>/<index>" for each id that is none.
    """
    known = ", ".join(sorted(packs))
    findings = [
        Finding(f"{at}/{index}", "unknown_pack", f"is none of: {known}")
        for index, pack_id in enumerate(pack_ids)
        if pack_id not in packs
    ]
    if findings:
        raise Invalid("unknown-pack", "a pack that is not known was named", findings)
    return tuple(packs[pack_id] for pack_id in dict.fromkeys((DEFAULT_PACK, *pack_ids)))


def plan_of(packs: Sequence[Pack]) -> tuple[PlanRow, ...]:
    """The plan of a matter: the rows of its packs, ids as "<pack>/<row>"; rows that differ only in their id are one.

    Packs whose notice comes from the requester add nothing.
    """
    rows: dict[PlanRow, PlanRow] = {}
    for pack in _ours(packs):
        for row in pack.plan:
            rows.setdefault(replace(row, id=""), replace(row, id=f"{pack.id}/{row.id}"))
    return tuple(rows.values())


def resend_unknown_of(packs: Sequence[Pack]) -> int:
    """How often a matter's message of unknown outcome is ordered anew: the largest of its packs that we send for."""
    return max((pack.resend_unknown for pack in _ours(packs)), default=0)


def household_gap_of(packs: Sequence[Pack]) -> timedelta:
    """The time between messages to several people at one phone or mailbox: the longest of the packs we send for."""
    return max((pack.household_gap for pack in _ours(packs)), default=timedelta(0))


def _ours(packs: Sequence[Pack]) -> list[Pack]:
    return [pack for pack in packs if pack.notice_from is NoticeFrom.AGENCY]
