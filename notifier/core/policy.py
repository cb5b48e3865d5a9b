"""Packs: versioned rule sets as data. A matter binds several, the agency default always among them.

Standard library only: the offline verifier imports this. A pack is trusted only as a draft here; whether an agency's
counsel has approved these very bytes (`sha256`) is a fact of that agency, kept in its ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, auto

from notifier.core.errors import Finding, Invalid
from notifier.core.model import Channel

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


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One message to each usable contact point of a channel, `delay` after the evidence `after`.

    All of `needs` and none of `unless` must hold when it falls due. A contact point that already had `max_attempts`
    messages by whatever row gets no more from this one.
    """

    id: str
    channel: Channel
    after: Evidence
    delay: timedelta
    max_attempts: int
    needs: frozenset[Evidence] = frozenset()
    unless: frozenset[Evidence] = frozenset()


@dataclass(frozen=True, slots=True)
class Pack:
    """One rule set. `effect` is the id of the message that tells what an objection does; `sha256` is of the file."""

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
    rows: dict[tuple[object, ...], PlanRow] = {}
    for pack in packs:
        for row in pack.plan if pack.notice_from is NoticeFrom.AGENCY else ():
            rule = (row.channel, row.after, row.delay, row.max_attempts, row.needs, row.unless)
            named = PlanRow(f"{pack.id}/{row.id}", *rule)
            rows.setdefault(rule, named)
    return tuple(rows.values())
