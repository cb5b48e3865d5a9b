"""What comes in: documents, parameters and headers. The models are the documentation too; their reprs show no value."""

import re
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, WithJsonSchema
from pydantic_core import PydanticCustomError

from notifier.core.errors import Finding, Invalid
from notifier.core.model import Channel, ContactFlag, Demand, Instrument, IssuerClass, JudgeSigned, Nondisclosure
from notifier.core.person_row import Identifier, Name
from notifier.core.roster import PersonRow
from notifier.usecases.intake import NewMatter, Target

JSON_LIMIT: Final = 10 * 1000 * 1000
LIST_LIMIT: Final = 1000 * 1000 * 1000
PAGE: Final = 100
MAX_PAGE: Final = 500
_YEARS: Final = range(1990, 2100)
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _real_date(text: str) -> str:
    try:
        found = date.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        code = "impossible_date"
        raise PydanticCustomError(code, "must be a real date from 1990 to 2099, written YYYY-MM-DD")
    return text


DateText = Annotated[str, AfterValidator(_real_date), WithJsonSchema({"type": "string", "format": "date"})]


class Document(BaseModel):
    """What every document that comes in has in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TargetIn(Document):
    """Whom the demand names."""

    kind: Literal["person", "organisation"] = Field(description="What it is.")
    name: Name = Field(repr=False, description="As the demand writes it.", examples=["Front Range Roofing LLC"])


class DemandIn(Document):
    """The paper that demands records. What decides everything is asked here."""

    issuer: Name = Field(
        repr=False, description="Who demands, as the letter will say it.", examples=["Example County District Attorney"]
    )
    issuer_class: IssuerClass = Field(description="What kind of body the issuer is.", examples=["local"])
    instrument: Instrument = Field(description="What kind of paper it is.", examples=["judicial_subpoena"])
    number: Identifier = Field(repr=False, description="The number on the paper.", examples=["2026-CV-01234"])
    dated: DateText = Field(repr=False, description="The date on the paper.", examples=["2026-11-16"])
    received_on: DateText = Field(description="When the agency received it.", examples=["2026-11-18"])
    return_date: DateText | None = Field(
        default=None, description="When the issuer wants the records, if the paper says so.", examples=["2026-12-16"]
    )
    judge_signed: JudgeSigned = Field(
        description="Was it signed by a judge? `not_sure` is an answer.", examples=["not_sure"]
    )
    nondisclosure: Nondisclosure = Field(
        description="Does anything forbid telling? Look for words that ask for secrecy. A mere request never forbids."
    )
    record_types: tuple[Identifier, ...] = Field(
        min_length=1,
        max_length=40,
        description="Which records are demanded: ids of config/record_types.toml.",
        examples=[["home_address", "wages"]],
    )
    already_released: StrictBool = Field(description="Was anything given out before this matter was opened?")

    def to_demand(self) -> Demand:
        """As the domain knows it."""
        return Demand(**dict(self))


class NewMatterIn(Document):
    """A demand that came in, with the people it names where they are known already."""

    external_id: Identifier = Field(
        repr=False, description="Your own number for the matter; once in your agency.", examples=["2026-118"]
    )
    demand: DemandIn = Field(description="The paper that demands records.")
    packs: tuple[Identifier, ...] = Field(
        default=(),
        max_length=20,
        description="Rule sets to bind beside the agency's default, which is always bound.",
        examples=[[]],
    )
    targets: tuple[TargetIn, ...] = Field(default=(), max_length=1000, description="Whom the demand names.")
    people: tuple[PersonRow, ...] = Field(
        default=(), description="The list, if it is short; add a long one afterwards as NDJSON or CSV."
    )

    def to_matter(self) -> NewMatter:
        """As the domain knows it, without the people."""
        targets = tuple(Target(target.kind, target.name) for target in self.targets)
        return NewMatter(self.external_id, self.demand.to_demand(), self.packs, targets)


def require_known_record_types(demand: DemandIn, is_known: Callable[[str], bool]) -> None:
    """Refuse a record type that no letter could name.

    Raises:
        Invalid: `unknown-record-type`, with a finding for each.
    """
    found = [
        Finding(f"/demand/record_types/{index}", "unknown_record_type", "is not in config/record_types.toml")
        for index, record_type in enumerate(demand.record_types)
        if not is_known(record_type)
    ]
    if found:
        raise Invalid("unknown-record-type", "A record type is not known. Nothing was stored.", found)


class Nothing(Document):
    """An empty object; the body may also be left out."""


class ApproveIn(Document):
    """Which lists to send to; the body may also be left out."""

    lists: list[UUID] | None = Field(
        default=None,
        max_length=1000,
        description="The lists that the officer has looked at. Left out: all that wait and that somebody else entered.",
    )


class StopReason(StrEnum):
    """Why sending is stopped; a closed list, because the ledger holds it for ever."""

    MISTAKE_IN_LIST = "mistake_in_list"
    MISTAKE_IN_TEXT = "mistake_in_text"
    WRONG_RECIPIENTS = "wrong_recipients"
    COURT_ORDER = "court_order"
    DEMAND_WITHDRAWN = "demand_withdrawn"
    SAFETY = "safety"
    CARRIER_TROUBLE = "carrier_trouble"
    OTHER = "other"


class StopIn(Document):
    """What to stop in this matter: everything, one channel, or one carrier."""

    reason: StopReason = Field(default=StopReason.OTHER, description="Why.")
    channel: Channel | None = Field(default=None, description="Stop this channel only.")
    carrier: Identifier | None = Field(default=None, description="Stop this carrier only.", examples=["twilio_sms"])


class AgencyStopIn(StopIn):
    """What to stop in the whole agency: one channel, or one carrier."""


class ResumeIn(Document):
    """Which stops to lift; the body may also be left out."""

    stops: list[UUID] | None = Field(
        default=None, min_length=1, max_length=1000, description="Left out: all that are in force."
    )


class FlagIn(Document):
    """What is said of a contact point."""

    flag: ContactFlag = Field(description="`returned` and `moved` are the post's word: scan the piece in.")


class MatterPath(BaseModel):
    """The address of a matter."""

    matter_id: UUID = Field(description="Id of the matter.")


class PersonPath(BaseModel):
    """The address of a person."""

    person_id: UUID = Field(description="Id of the person.")


class ContactPath(PersonPath):
    """The address of a contact point of a person."""

    contact_id: UUID = Field(description="Id of the contact point.")


class NoticePath(BaseModel):
    """The address of a notice."""

    notice_id: UUID = Field(description="Id of the notice.")


class BatchPath(BaseModel):
    """The address of a print batch."""

    batch_id: UUID = Field(description="Id of the print batch.")


class PartPath(BatchPath):
    """The address of one file of a print batch."""

    part: Literal["pdf", "manifest", "totals"] = Field(
        description="`pdf`: the letters in postal order; `manifest`: CSV, a row a piece; `totals`: one page."
    )


class PageQuery(BaseModel):
    """Which part of a long list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: int = Field(default=PAGE, ge=1, le=MAX_PAGE, description="How many at most.")
    cursor: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="`next_cursor` of the page before, as it is."
    )


class OnceHeader(BaseModel):
    """Doing it once, however often the request arrives."""

    idempotency_key: str = Field(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A fresh random value (best a UUID) for each new request; the same one to send it again.",
        examples=["0c7f2d1e-55b1-4c3e-9d0b-8f0f6a1c2b3d"],
    )
