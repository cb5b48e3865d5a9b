"""The words of the domain as types (docs/data-model.md). Standard library only: the verifier imports this."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Mode(StrEnum):
    """Fixed on a matter by the kind of key that created it."""

    LIVE = "live"
    TEST = "test"


class Channel(StrEnum):
    """A way to tell somebody."""

    SMS = "sms"
    EMAIL = "email"
    LETTER = "letter"


class PostService(StrEnum):
    """How a letter is mailed."""

    FIRST_CLASS = "first_class"
    CERTIFIED = "certified"  # with return receipt


class Signature(StrEnum):
    """Whose name is on the receipt of a certified letter."""

    ADDRESSEE = "addressee"
    AGENT = "agent"  # somebody who took it for them: whether that counts is for the packs to say
    ILLEGIBLE = "illegible"
    NOBODY = "nobody"  # the post says that it was delivered, and nobody has seen a signature


class ContactFlag(StrEnum):
    """What was learned of a contact point, by which it gets no more messages until the flag is lifted."""

    OPTED_OUT = "opted_out"  # STOP, or the carrier's own list says so; it says nothing about an objection
    NOT_MOBILE = "not_mobile"  # a landline
    DEAD = "dead"  # out of use, no such number or mailbox
    WRONG_PERSON = "wrong_person"  # whoever has it says that it is not the person's
    RETURNED = "returned"  # the post brought a letter back with a reason that defeats it
    MOVED = "moved"  # as returned, and the post named another address
    DECEASED = "deceased"  # the post, or an officer, says that the person has died: no text messages to their phone


class TaskKind(StrEnum):
    """What waits for a caseworker."""

    NOT_REACHED = "not_reached"  # every message failed or came back, and the plan has nothing left
    UNKNOWN_OUTCOME = "unknown_outcome"  # a carrier never said whether a message went out
    BATCH_NOT_MAILED = "batch_not_mailed"  # printed letters that nobody declared mailed
    MAIL_RETURNED = "mail_returned"  # the post brought a letter back
    REPLY_RECEIVED = "reply_received"  # somebody answered a message of ours; a human reads it
    STOP_RECEIVED = "stop_received"  # "did you mean to object?"
    ONLY_WAY_OPTED_OUT = "only_way_opted_out"  # STOP came from the one contact point that could be used
    WRONG_PERSON = "wrong_person"  # whoever has a contact point says that it is not the person's
    CALL = "call"  # a row of the plan wants a call, through an interpreter where needed
    REVIEW = "review"  # messages that the plan wants, and that no carrier in use can take or post for this agency


class Resolution(StrEnum):
    """What came of a task, in a word; what was said is kept elsewhere."""

    DONE = "done"  # what it asks for was done
    TOLD = "told"  # the person was told in another way
    MENDED = "mended"  # a contact point was put right or added
    NO_WAY = "no_way"  # no other way was found
    NOT_NEEDED = "not_needed"  # it settled itself, or was opened by mistake


class InboundKind(StrEnum):
    """What a message to our number is."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    TEXT = "text"  # anything else: a human reads it


class ContactKind(StrEnum):
    """What a contact point is."""

    PHONE = "phone"
    EMAIL = "email"
    POST = "post"


CHANNEL_OF: dict[ContactKind, Channel] = {
    ContactKind.PHONE: Channel.SMS,
    ContactKind.EMAIL: Channel.EMAIL,
    ContactKind.POST: Channel.LETTER,
}


class NoticeKind(StrEnum):
    """What one recipient is told."""

    INITIAL = "initial"
    REMINDER = "reminder"
    DELAYED = "delayed"
    DECISION = "decision"
    POST_RELEASE = "post_release"
    APOLOGY = "apology"
    RECEIPT = "receipt"


class KeyKind(StrEnum):
    """A machine key may propose, read and hold; a personal key may also approve sending."""

    MACHINE = "machine"
    PERSONAL = "personal"


class Role(StrEnum):
    """What an officer does in the agency."""

    VIEWER = "viewer"
    CASEWORKER = "caseworker"
    APPROVER = "approver"
    COUNSEL = "counsel"
    TRANSLATOR = "translator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Instrument(StrEnum):
    """The paper that demands the records."""

    ADMIN_SUBPOENA = "admin_subpoena"
    JUDICIAL_SUBPOENA = "judicial_subpoena"
    SUMMONS = "summons"
    COURT_ORDER = "court_order"
    WARRANT = "warrant"
    RECORDS_REQUEST = "records_request"
    INFORMAL_REQUEST = "informal_request"


class IssuerClass(StrEnum):
    """Who demands, as far as rules depend on it."""

    FEDERAL_IMMIGRATION = "federal_immigration"
    FEDERAL_LAW_ENFORCEMENT = "federal_law_enforcement"
    FEDERAL_OTHER = "federal_other"
    STATE = "state"
    LOCAL = "local"
    PRIVATE_PARTY = "private_party"


class JudgeSigned(StrEnum):
    """Whether a judge signed the instrument."""

    YES = "yes"
    NO = "no"
    NOT_SURE = "not_sure"


class Nondisclosure(StrEnum):
    """What, if anything, forbids telling. A request never does."""

    NONE = "none"
    REQUEST = "request"
    AGENCY_CERTIFICATION = "agency_certification"
    COURT_ORDER = "court_order"
    STATUTE = "statute"


class ActorKind(StrEnum):
    """Who did what an event records."""

    OFFICER = "officer"
    PERSON = "person"
    CARRIER = "carrier"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: an officer's or person's id, or the slug of a carrier or of a part of the system."""

    kind: ActorKind
    id: str

    @classmethod
    def officer(cls, officer_id: UUID) -> "Actor":
        """An officer, by id."""
        return cls(ActorKind.OFFICER, str(officer_id))

    @classmethod
    def system(cls, part: str) -> "Actor":
        """A part of this service, by its slug."""
        return cls(ActorKind.SYSTEM, part)


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """An address as it is printed. `lines` are the street lines; `country` is ISO 3166-1 alpha-2."""

    lines: tuple[str, ...] = field(repr=False)
    city: str = field(repr=False)
    region: str = field(repr=False)
    postal_code: str = field(repr=False)
    country: str = field(default="US", repr=False)


@dataclass(frozen=True, slots=True)
class ContactPoint:
    """One way to reach a recipient. `value` is E.164, a mailbox, or "" for an address.

    An unusable point is kept with its `problem` (a stable code), so that it is shown and can be mended.
    """

    kind: ContactKind
    value: str = field(repr=False)
    address: PostalAddress | None = None
    problem: str | None = None

    @property
    def usable(self) -> bool:
        """True when something can be sent to it."""
        return self.problem is None


@dataclass(frozen=True, slots=True)
class Demand:
    """What the agency received. Text fields are personal or confidential: they are stored sealed only."""

    issuer: str = field(repr=False)
    issuer_class: IssuerClass
    instrument: Instrument
    number: str = field(repr=False)
    dated: str = field(repr=False)
    received_on: str
    return_date: str | None
    judge_signed: JudgeSigned
    nondisclosure: Nondisclosure
    record_types: tuple[str, ...]
    already_released: bool
