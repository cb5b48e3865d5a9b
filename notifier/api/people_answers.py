"""What goes out about people and what they were sent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import Field

from notifier.api.answers import Answer, Count, shallow
from notifier.core.flags import FLAG_MEANING
from notifier.core.inbound import INBOUND_MEANING
from notifier.core.model import Channel, ContactFlag, InboundKind, PostService
from notifier.core.problem import Problem
from notifier.core.status import AttemptStatus, PersonOutcome
from notifier.usecases.contact_flags import Flagged
from notifier.usecases.inbound import InboundRead
from notifier.usecases.reading_people import AttemptRead, ContactRead, NoticeRead, PersonLine, PersonRead
from notifier.usecases.timeline import PROVES, Entry


class FlagOut(Answer):
    """What was learned of a contact point. While it holds, nothing is sent there; other ways go on."""

    flag: ContactFlag
    meaning: str
    since: datetime

    @classmethod
    def of(cls, flagged: Flagged) -> Self:
        """From the use case."""
        return cls(flag=flagged.flag, meaning=FLAG_MEANING[flagged.flag], since=flagged.since)


class ContactOut(Answer):
    """One way to reach a person. `problem` says why it cannot be used, `flags` what was learned of it since."""

    contact_id: UUID
    kind: str
    value: str | None
    address: dict[str, Any] | None
    problem: str | None
    problem_meaning: str | None
    flags: list[FlagOut]

    @classmethod
    def of(cls, contact: ContactRead) -> Self:
        """From the use case."""
        meaning = Problem(contact.problem).meaning if contact.problem else None
        flags = [FlagOut.of(flagged) for flagged in contact.flags]
        return cls.model_validate({**shallow(contact), "problem_meaning": meaning, "flags": flags})


class PersonLineOut(Answer):
    """A person. What is personal is null after erasure."""

    person_id: UUID
    matter_id: UUID
    list_id: UUID
    ordinal: Count = Field(description="Place in the matter, counted from 0.")
    row: Count = Field(description="Row of the list, counted from 0.")
    outcome: PersonOutcome
    meaning: str
    final: bool
    next_at: datetime | None = Field(
        description="When something is next due: a message to send, a carrier to count as silent; or null."
    )
    erased: bool
    external_id: str | None
    name: str | None
    native_name: str | None
    language: str | None = Field(description="Declared language tag; null when it is not known.")
    contacts: list[ContactOut]

    @classmethod
    def of(cls, line: PersonLine) -> Self:
        """From the use case."""
        return cls.model_validate(_line(line))


class PeoplePage(Answer):
    """A page of people, in the order they came in."""

    people: list[PersonLineOut]
    next_cursor: str | None = Field(description="For the next page; null on the last one.")


class ProofOut(Answer):
    """What is proved: a level from P0 (composed) to P5 (acknowledged)."""

    level: str
    meaning: str


class AttemptOut(Answer):
    """One try over one channel. A status always comes with its sentence."""

    attempt_id: UUID
    contact_id: UUID
    channel: Channel
    carrier: str
    status: AttemptStatus
    meaning: str
    final: bool = Field(description="Nothing more is expected; a late return or bounce is applied all the same.")
    proof: ProofOut
    reason: str | None = Field(description="Why it failed, in our words.")
    carrier_code: str | None = Field(description="The carrier's own code.")
    carrier_ref: str | None = Field(description="The carrier's own id of the message.")
    tries: Count
    due_at: datetime
    handed_over_at: datetime | None
    updated_at: datetime
    batch_id: UUID | None
    linked_from: UUID | None = Field(description="The attempt that this one repeats as a possible duplicate.")
    plan_row: str = Field(description="What wanted it: a pack, a slash and a row of its plan.")
    service: PostService | None = Field(description="How a letter is mailed, where its plan says so.")

    @classmethod
    def of(cls, attempt: AttemptRead) -> Self:
        """From the use case."""
        proof = ProofOut(level=f"P{attempt.proof.value}", meaning=PROVES[attempt.proof])
        status = attempt.status
        words = {"meaning": status.meaning, "final": status.is_final, "proof": proof}
        return cls.model_validate({**shallow(attempt), **words})


class NoticeOut(Answer):
    """The duty to tell one recipient one thing."""

    notice_id: UUID
    matter_id: UUID
    person_id: UUID
    recipient_id: UUID
    recipient_role: str
    kind: str
    edition: str
    ordered_at: datetime
    ordered_by: UUID
    attempts: list[AttemptOut]

    @classmethod
    def of(cls, notice: NoticeRead) -> Self:
        """From the use case."""
        return cls.model_validate({**shallow(notice), "attempts": [AttemptOut.of(a) for a in notice.attempts]})


class ActorOut(Answer):
    """Who did it."""

    kind: str
    id: str


class EntryOut(Answer):
    """One thing that happened, with its sentence and with what it proves."""

    at: datetime
    what: str
    meaning: str
    actor: ActorOut
    attempt_id: UUID | None
    channel: Channel | None
    carrier: str | None
    carrier_word: str | None
    carrier_code: str | None
    reason: str | None
    status: AttemptStatus | None
    proof: ProofOut | None
    contact_id: UUID | None
    flag: ContactFlag | None = Field(description="What was learned of that contact point.")
    due_at: datetime | None = Field(description="When what was ordered then is due, on the matter's clock.")
    task_id: UUID | None
    linked_from: UUID | None = Field(description="The attempt that this one repeats.")
    duplicate_possible: bool = Field(description="The person may have had the message twice.")

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """From the use case."""
        found = shallow(entry)
        proof, proves = found.pop("proof"), found.pop("proves")
        actor = ActorOut(kind=found.pop("actor_kind"), id=found.pop("actor_id"))
        shown = None if proof is None else ProofOut(level=f"P{proof.value}", meaning=proves)
        return cls.model_validate({**found, "actor": actor, "proof": shown})


class MessageOut(Answer):
    """A message that the person, or whoever has their number, sent to ours."""

    inbound_id: UUID
    contact_id: UUID
    carrier: str
    kind: InboundKind
    meaning: str
    received_at: datetime
    text: str | None = Field(description="As it was written; null after erasure.")

    @classmethod
    def of(cls, message: InboundRead) -> Self:
        """From the use case."""
        return cls.model_validate({**shallow(message), "meaning": INBOUND_MEANING[message.kind]})


class PersonOut(PersonLineOut):
    """A person with their notices, what they wrote to us and all that happened, in order."""

    notices: list[NoticeOut]
    messages: list[MessageOut]
    timeline: list[EntryOut]

    @classmethod
    def read(cls, person: PersonRead) -> Self:
        """From the use case."""
        notices = [NoticeOut.of(notice) for notice in person.notices]
        messages = [MessageOut.of(message) for message in person.messages]
        timeline = [EntryOut.of(entry) for entry in person.timeline]
        told = {"notices": notices, "messages": messages, "timeline": timeline}
        return cls.model_validate({**_line(person.line), **told})


def _line(line: PersonLine) -> Mapping[str, Any]:
    words = {"meaning": line.outcome.meaning, "final": line.outcome.is_final}
    return {**shallow(line), **words, "contacts": [ContactOut.of(contact) for contact in line.contacts]}
