"""What goes out: the published shape of every answer. Words and counts are those of the domain."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from notifier.core.model import Channel, ContactFlag, Instrument, IssuerClass, JudgeSigned, Mode, Nondisclosure
from notifier.core.status import PersonOutcome
from notifier.usecases.people import ListReceived
from notifier.usecases.reading import MatterRead

Count = Annotated[int, Field(ge=0)]


class Answer(BaseModel):
    """What every answer has in common."""

    model_config = ConfigDict(from_attributes=True, extra="forbid", hide_input_in_errors=True)


class ErrorItem(Answer):
    """One fault."""

    pointer: str = Field(description="JSON Pointer (RFC 6901) into the document; lists count rows from 0.")
    code: str = Field(description="What is wrong; never changes its meaning.")
    detail: str = Field(description="The same in a sentence. Never repeats a value.")


class ProblemOut(Answer):
    """Every error (RFC 9457)."""

    type: str = Field(description="Address of a page that explains the problem.")
    title: str
    status: int
    detail: str
    code: str = Field(description="The problem; never changes its meaning.")
    request_id: str = Field(description="Tell us this id; it holds nothing about anybody.")
    errors: list[ErrorItem] | None = None


class ListOut(Answer):
    """What became of a list: counts only."""

    list_id: UUID
    rows: Count = Field(description="Rows that came in. Each is a person.")
    persons: Count
    unreachable: Count = Field(description="People without any contact that can be used. They are kept and shown.")
    contacts: dict[str, Count] = Field(description="Contacts that can be used, by channel.")
    problems: dict[str, Count] = Field(description="Contacts that cannot be used, by what is wrong with them.")

    @classmethod
    def of(cls, received: ListReceived) -> Self:
        """From the use case."""
        return cls(
            list_id=received.roster_id,
            rows=received.rows,
            persons=received.persons,
            unreachable=received.unreachable,
            contacts=received.contacts,
            problems=received.problems,
        )


class MatterCreatedOut(Answer):
    """A new matter. Nothing is sent before an officer approves."""

    matter_id: UUID
    demand_id: UUID
    mode: Mode
    packs: list[str]
    people: ListOut | None = Field(description="What became of the people that came along; null when none did.")


class ApprovedOut(Answer):
    """What the approval set going."""

    matter_id: UUID
    lists: list[UUID] = Field(description="The lists that were approved.")
    persons: Count
    unreachable: Count
    attempts: dict[str, Count] = Field(description="Messages that will be sent, by channel.")


class MatterLineOut(Answer):
    """A matter in a list of matters."""

    matter_id: UUID
    external_id: str
    mode: Mode
    created_at: datetime
    persons: Count


class MattersPage(Answer):
    """A page of matters, newest first."""

    matters: list[MatterLineOut]
    next_cursor: str | None = Field(description="For the next page; null on the last one.")


class TargetOut(Answer):
    """Whom the demand names."""

    kind: str
    name: str


class DemandOut(Answer):
    """A demand. `issuer`, `number`, `dated` and `targets` are null without the scope people.read."""

    demand_id: UUID
    instrument: Instrument
    issuer_class: IssuerClass
    judge_signed: JudgeSigned
    nondisclosure: Nondisclosure
    received_on: date
    return_date: date | None
    record_types: list[str]
    already_released: bool
    issuer: str | None
    number: str | None
    dated: date | None
    targets: list[TargetOut] | None


class PackOut(Answer):
    """A bound rule set."""

    pack_id: str
    version: int
    sha256: str


class OutcomeOut(Answer):
    """How many people stand where. The counts of a matter add up to its rows."""

    outcome: PersonOutcome
    persons: Count
    meaning: str
    final: bool


class StopOut(Answer):
    """A stop in force. `matter_id` is null when it holds for the whole agency."""

    stop_id: UUID
    scope: str
    matter_id: UUID | None
    channel: Channel | None
    carrier: str | None
    reason: str
    placed_at: datetime
    placed_by: UUID
    lift_proposed_by: UUID | None


class MatterOut(Answer):
    """A matter: what was demanded, and how far telling the people has come."""

    matter_id: UUID
    external_id: str
    mode: Mode
    edition: str
    created_at: datetime
    created_by: UUID
    persons: Count
    demands: list[DemandOut]
    packs: list[PackOut]
    outcomes: list[OutcomeOut]
    attempts: dict[str, dict[str, Count]] = Field(description="Messages by channel and status.")
    flags: dict[ContactFlag, Count] = Field(
        description="Contact points that get no more messages, by what was learned."
    )
    next_at: datetime | None = Field(
        description="When something is next due: a message to send, a carrier to count as silent; or null."
    )
    stops: list[StopOut]

    @classmethod
    def of(cls, matter: MatterRead) -> Self:
        """From the use case."""
        outcomes = [
            OutcomeOut(outcome=outcome, persons=persons, meaning=outcome.meaning, final=outcome.is_final)
            for outcome, persons in matter.outcomes.items()
        ]
        return cls.model_validate({**shallow(matter), "outcomes": outcomes})


class ListLineOut(Answer):
    """A list of a matter."""

    list_id: UUID
    format: str
    rows: Count
    received_at: datetime
    uploaded_by: UUID
    approved_at: datetime | None
    approved_by: UUID | None


class ListsOut(Answer):
    """The lists of a matter, oldest first."""

    lists: list[ListLineOut]


class StopPlacedOut(Answer):
    """A stop that holds from now on."""

    stop_id: UUID
    matter_id: UUID | None
    channel: Channel | None


class LiftOut(Answer):
    """What the request to resume came to: two officers are needed."""

    state: str = Field(description="`awaiting_second_officer` or `running`.")
    stops: list[UUID]


def shallow(view: object) -> dict[str, Any]:
    """The fields of a slotted dataclass, not copied."""
    names: Sequence[str] = view.__slots__  # type: ignore[attr-defined]
    return {name: getattr(view, name) for name in names}
