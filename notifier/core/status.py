"""What can happen to one attempt to reach one recipient on one channel, and what that says about a person.

A status is derived, never set: `advance` is the only way from one to the next. An event that is late, repeated or
contradicted leaves the status as it is; it is recorded all the same.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum, StrEnum, auto
from types import MappingProxyType

from notifier.core.model import Channel


class AttemptStatus(StrEnum):
    """Where one attempt stands."""

    PLANNED = auto()  # waits for its time; nothing was sent
    SENDING = auto()  # a worker holds the lease; committed before the carrier is called
    UNKNOWN = auto()  # the carrier may or may not have it: reconcile, never send the same attempt again
    HANDED_OVER = auto()  # the carrier (or the mailroom) has it
    ACCEPTED = auto()  # it is on its way: sent to the network, processed, in the post
    DELIVERED = auto()  # the carrier says it arrived
    SILENT = auto()  # the carrier took it and never said more
    FAILED = auto()  # it did not arrive, or it bounced
    RETURNED = auto()  # it came back by post
    CANCELLED = auto()  # stopped before anything was sent

    @property
    def is_final(self) -> bool:
        """True when nothing more is expected; a late return or bounce is applied all the same."""
        return self in {self.DELIVERED, self.SILENT, self.FAILED, self.RETURNED, self.CANCELLED}

    @property
    def meaning(self) -> str:
        """One plain sentence, the same in the API, the console and the glossary."""
        return MEANING[self]


class AttemptEvent(StrEnum):
    """What happened to an attempt."""

    CLAIMED = auto()  # a worker took it
    NOT_SENT = auto()  # proved not to have been sent; it may be tried again
    HANDED_OVER = auto()  # the carrier answered that it has it
    LOST_TRACK = auto()  # no answer, or the worker died: it may have been sent
    REFUSED = auto()  # the carrier will not or could not deliver it
    ACCEPTED = auto()  # on its way
    ARRIVED = auto()  # the carrier says it arrived
    BOUNCED = auto()  # the mailbox sent it back, perhaps after it had seemed to arrive
    CAME_BACK = auto()  # the post returned it, perhaps weeks after a delivery scan
    WENT_SILENT = auto()  # no word within the time the carrier is given
    CANCELLED = auto()  # a stop, before anything was sent
    WITHDRAWN = auto()  # the mailroom took it out of a batch, or the carrier gave it back, before it was mailed


S, E = AttemptStatus, AttemptEvent

TRANSITIONS: Mapping[tuple[AttemptStatus, AttemptEvent], AttemptStatus] = MappingProxyType(
    {
        (S.PLANNED, E.CLAIMED): S.SENDING,
        (S.PLANNED, E.CANCELLED): S.CANCELLED,
        # A receipt for something believed unsent is believed: it was sent after all, so it must not be sent again.
        (S.PLANNED, E.HANDED_OVER): S.HANDED_OVER,
        (S.PLANNED, E.ACCEPTED): S.ACCEPTED,
        (S.PLANNED, E.ARRIVED): S.DELIVERED,
        (S.PLANNED, E.REFUSED): S.FAILED,
        (S.PLANNED, E.BOUNCED): S.FAILED,
        (S.PLANNED, E.CAME_BACK): S.RETURNED,
        (S.SENDING, E.NOT_SENT): S.PLANNED,
        (S.SENDING, E.HANDED_OVER): S.HANDED_OVER,
        (S.SENDING, E.LOST_TRACK): S.UNKNOWN,
        (S.SENDING, E.REFUSED): S.FAILED,
        # Receipts overtake the answer to our own request.
        (S.SENDING, E.ACCEPTED): S.ACCEPTED,
        (S.SENDING, E.ARRIVED): S.DELIVERED,
        (S.SENDING, E.BOUNCED): S.FAILED,
        (S.UNKNOWN, E.NOT_SENT): S.PLANNED,
        (S.UNKNOWN, E.HANDED_OVER): S.HANDED_OVER,
        (S.UNKNOWN, E.ACCEPTED): S.ACCEPTED,
        (S.UNKNOWN, E.ARRIVED): S.DELIVERED,
        (S.UNKNOWN, E.REFUSED): S.FAILED,
        (S.UNKNOWN, E.BOUNCED): S.FAILED,
        (S.UNKNOWN, E.CAME_BACK): S.RETURNED,
        (S.HANDED_OVER, E.ACCEPTED): S.ACCEPTED,
        (S.HANDED_OVER, E.ARRIVED): S.DELIVERED,
        (S.HANDED_OVER, E.REFUSED): S.FAILED,
        (S.HANDED_OVER, E.BOUNCED): S.FAILED,
        (S.HANDED_OVER, E.CAME_BACK): S.RETURNED,
        (S.HANDED_OVER, E.WENT_SILENT): S.SILENT,
        # The word of whoever has the piece that it was destroyed and not mailed: the letter is made anew.
        (S.HANDED_OVER, E.WITHDRAWN): S.PLANNED,
        (S.ACCEPTED, E.ARRIVED): S.DELIVERED,
        (S.ACCEPTED, E.REFUSED): S.FAILED,
        (S.ACCEPTED, E.BOUNCED): S.FAILED,
        (S.ACCEPTED, E.CAME_BACK): S.RETURNED,
        (S.ACCEPTED, E.WENT_SILENT): S.SILENT,
        (S.SILENT, E.ACCEPTED): S.ACCEPTED,
        (S.SILENT, E.ARRIVED): S.DELIVERED,
        (S.SILENT, E.REFUSED): S.FAILED,
        (S.SILENT, E.BOUNCED): S.FAILED,
        (S.SILENT, E.CAME_BACK): S.RETURNED,
        # Late bad news is always applied; late good news after a failure never is.
        (S.DELIVERED, E.BOUNCED): S.FAILED,
        (S.DELIVERED, E.CAME_BACK): S.RETURNED,
        # A receipt for something we cancelled proves that it went out.
        (S.CANCELLED, E.HANDED_OVER): S.HANDED_OVER,
        (S.CANCELLED, E.ACCEPTED): S.ACCEPTED,
        (S.CANCELLED, E.REFUSED): S.FAILED,
        (S.CANCELLED, E.BOUNCED): S.FAILED,
        (S.CANCELLED, E.ARRIVED): S.DELIVERED,
        (S.CANCELLED, E.CAME_BACK): S.RETURNED,
    }
)


def advance(status: AttemptStatus, event: AttemptEvent) -> AttemptStatus:
    """The status after `event`; unchanged when the event is late, repeated or contradicted."""
    return TRANSITIONS.get((status, event), status)


TOLD = frozenset({S.HANDED_OVER, S.ACCEPTED})

# A letter that is closed into a print batch is still in the house: the post is silent about what was mailed only.
AWAITS_WORD: Mapping[Channel, frozenset[AttemptStatus]] = MappingProxyType(
    {Channel.SMS: TOLD, Channel.EMAIL: TOLD, Channel.LETTER: frozenset({S.ACCEPTED})}
)
"""Where silence is counted of a carrier that is not called; of one that is, it is `TOLD` on every channel."""


class Proof(IntEnum):
    """How much is known of one attempt. Opens and clicks are never proof."""

    COMPOSED = 0
    HANDED_OVER = 1
    ACCEPTED = 2
    DELIVERED = 3
    ACCESSED = 4
    ACKNOWLEDGED = 5


_NOTHING: Mapping[AttemptStatus, Proof] = dict.fromkeys(AttemptStatus, Proof.COMPOSED)

# An email's "delivered" is the receiving server's word, not the mailbox's; a declared mailing is the mailroom's word.
PROOF: Mapping[Channel, Mapping[AttemptStatus, Proof]] = MappingProxyType(
    {
        Channel.SMS: {
            **_NOTHING,
            S.HANDED_OVER: Proof.HANDED_OVER,
            S.SILENT: Proof.HANDED_OVER,
            S.ACCEPTED: Proof.ACCEPTED,
            S.DELIVERED: Proof.DELIVERED,
        },
        Channel.EMAIL: {
            **_NOTHING,
            S.HANDED_OVER: Proof.HANDED_OVER,
            S.SILENT: Proof.HANDED_OVER,
            S.ACCEPTED: Proof.HANDED_OVER,
            S.DELIVERED: Proof.ACCEPTED,
        },
        Channel.LETTER: {
            **_NOTHING,
            S.HANDED_OVER: Proof.HANDED_OVER,
            S.SILENT: Proof.HANDED_OVER,
            S.ACCEPTED: Proof.HANDED_OVER,
            S.DELIVERED: Proof.DELIVERED,
        },
    }
)

MEANING: Mapping[AttemptStatus, str] = MappingProxyType(
    {
        S.PLANNED: "Waiting for its turn. Nothing was sent yet.",
        S.SENDING: "Being handed to the carrier now.",
        S.UNKNOWN: (
            "The carrier gave no clear answer: it may have been sent. We look for it; if nobody can say, another"
            " message follows or a caseworker decides."
        ),
        S.HANDED_OVER: "The carrier or the mailroom has it. Nothing is known about its arrival.",
        S.ACCEPTED: "It is on its way. This does not prove that it arrived.",
        S.DELIVERED: "The carrier says it arrived. This does not prove that the person read it.",
        S.SILENT: "The carrier took it and never said more.",
        S.FAILED: "It did not arrive, or it bounced.",
        S.RETURNED: "It came back by post.",
        S.CANCELLED: "Stopped before anything was sent.",
    }
)


class PersonOutcome(StrEnum):
    """Exactly one of these holds for each person at any time; their counts add up to the rows that came in."""

    UNREACHABLE = auto()  # no contact point that can be used
    AWAITING_APPROVAL = auto()
    STOPPED = auto()
    IN_PROGRESS = auto()
    ON_ITS_WAY = auto()
    UNCERTAIN = auto()
    DELIVERED = auto()
    NO_WORD = auto()
    NOT_REACHED = auto()

    @property
    def is_final(self) -> bool:
        """True when sending is over and a human or a later rule decides what follows."""
        return self in {self.UNREACHABLE, self.DELIVERED, self.NO_WORD, self.NOT_REACHED}

    @property
    def meaning(self) -> str:
        """One plain sentence, the same in the API, the console and the glossary."""
        return OUTCOME_MEANING[self]


OUTCOME_MEANING: Mapping[PersonOutcome, str] = MappingProxyType(
    {
        PersonOutcome.UNREACHABLE: (
            "There is no phone, email or postal address that we can write to. A caseworker must find a way."
        ),
        PersonOutcome.AWAITING_APPROVAL: "On the list; sending has not been approved yet.",
        PersonOutcome.STOPPED: "Sending is stopped: a message that was to go out is kept back.",
        PersonOutcome.IN_PROGRESS: "At least one message is still to be handed over.",
        PersonOutcome.ON_ITS_WAY: "Handed over; no carrier has said yet that anything arrived.",
        PersonOutcome.UNCERTAIN: "A carrier gave no clear answer: nobody knows yet whether anything went out.",
        PersonOutcome.DELIVERED: "A carrier says that at least one message arrived. This is not yet service in law.",
        PersonOutcome.NO_WORD: "Everything was handed over and the carriers never said more.",
        PersonOutcome.NOT_REACHED: (
            "Every message failed, came back or went to somebody else. A caseworker must find another way."
        ),
    }
)


def outcome(
    statuses: Collection[AttemptStatus], *, is_held: bool = False, has_usable_contact: bool, approved: bool
) -> PersonOutcome:
    """What is known about one person.

    `statuses` are those of every attempt to tell them that no stop keeps back; `is_held` says that one is kept back.
    """
    found = set(statuses)
    if found & _TO_HAND_OVER:
        return PersonOutcome.IN_PROGRESS
    if is_held:
        return PersonOutcome.STOPPED
    if not found:
        return PersonOutcome.AWAITING_APPROVAL if has_usable_contact and not approved else PersonOutcome.UNREACHABLE
    return next((named for telling, named in _TELLING if found & telling), PersonOutcome.NOT_REACHED)


CAME_TO_NOTHING = frozenset({S.FAILED, S.RETURNED, S.CANCELLED})
"""Where nothing reached anybody by this attempt."""

_TO_HAND_OVER = frozenset({S.PLANNED, S.SENDING})

# When nothing is left to hand over, the best news about a person comes first.
_TELLING: Sequence[tuple[frozenset[AttemptStatus], PersonOutcome]] = (
    (frozenset({S.DELIVERED}), PersonOutcome.DELIVERED),
    (TOLD, PersonOutcome.ON_ITS_WAY),
    (frozenset({S.UNKNOWN}), PersonOutcome.UNCERTAIN),
    (frozenset({S.SILENT}), PersonOutcome.NO_WORD),
    (frozenset({S.FAILED, S.RETURNED}), PersonOutcome.NOT_REACHED),
    (frozenset({S.CANCELLED}), PersonOutcome.STOPPED),
)


class Reason(StrEnum):
    """Why an attempt failed, in our words; the carrier's own code is kept beside it."""

    INVALID_ADDRESS = auto()  # not an address of its kind, or the carrier says there is none
    NOT_MOBILE = auto()  # a landline or a number that takes no text messages
    NUMBER_DEAD = auto()  # unknown or out of use
    UNREACHABLE = auto()  # switched off, out of coverage
    OPTED_OUT = auto()  # STOP, unsubscribed
    BLOCKED = auto()  # the carrier or the recipient blocks it
    FILTERED = auto()  # held to be spam: our content or sender, not the recipient
    SUPPRESSED = auto()  # on the carrier's own suppression list
    MAILBOX_REFUSED = auto()  # the receiving server refused it
    EXPIRED = auto()  # its validity ran out before it could be delivered
    CARRIER_ERROR = auto()  # the carrier's own trouble
    RATE_LIMITED = auto()
    MISCONFIGURED = auto()  # our credentials, sender or request: stop the line, do not blame the recipient
    TIMED_OUT = auto()
    WORKER_LOST = auto()
    NO_TEXT = auto()  # no text could be rendered
    UNREADABLE = auto()  # what is stored for it is damaged, so that nothing could be written
    DOES_NOT_FIT = auto()  # the name or address is longer than the carrier prints
    NOT_OFFERED = auto()  # the carrier has no such service to this address
    RETURNED_BY_POST = auto()
    DECEASED = auto()  # the person has died: what was planned to their phone is not sent
    WRONG_PERSON = auto()  # whoever has the number or address says that it is not the person's
    UNSPECIFIED = auto()
