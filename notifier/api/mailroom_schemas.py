"""What the mailroom sends in: what became of batches, of certified letters, and of mail that came back."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from notifier.api.schemas import DateText, Document
from notifier.core.model import PostalAddress, Signature
from notifier.core.person_row import AddressRow
from notifier.core.pieces import LONGEST
from notifier.core.returned_mail import UspsReason
from notifier.usecases.certified import Scan
from notifier.usecases.mailroom import BATCH
from notifier.usecases.returned_mail import MOST, Scanned

PieceText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST,
        description="What the 2D code of any page says, or the fifteen digits beside it.",
        examples=["04829-16370-42117"],
    ),
]


class ArticleIn(Document):
    """A certified letter and its label, scanned together."""

    piece: PieceText
    article: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        repr=False,
        description="The number on the label, 20 or 22 digits; spaces do not matter.",
        examples=["9407 1000 0000 0000 0000 04"],
    )


class MailedIn(Document):
    """An officer's statement that what is in a batch was handed to the post."""

    mailed_on: DateText = Field(description="The day it was handed over.", examples=["2026-11-20"])
    place: Annotated[str, Field(max_length=60)] | None = Field(
        default=None,
        description="Where: one of the agency's places of mailing. May be left out where it has one, or none.",
        examples=["denver-main-post-office"],
    )
    certified: list[ArticleIn] = Field(
        default_factory=list, max_length=BATCH, description="For certified letters: each with its label."
    )

    def day(self) -> date:
        """As a date."""
        return date.fromisoformat(self.mailed_on)

    def scans(self) -> list[Scan]:
        """As the mailroom's use case takes them."""
        return [Scan(one.piece, one.article) for one in self.certified]


class VoidIn(Document):
    """What was not mailed; its paper is destroyed."""

    pieces: list[PieceText] | None = Field(
        default=None, min_length=1, max_length=BATCH, description="Some pieces alone. Left out: the whole batch."
    )


class DeliveredIn(Document):
    """What the receipt or the tracking of a certified letter says."""

    delivered_on: DateText = Field(description="The day of delivery.", examples=["2026-11-24"])
    signature: Signature = Field(description="Whose name is on the receipt.")

    def day(self) -> date:
        """As a date."""
        return date.fromisoformat(self.delivered_on)


class ReturnedIn(Document):
    """A letter that the post brought back."""

    piece: PieceText
    reason: UspsReason = Field(description="The endorsement of the post; `NONE` when nothing can be read.")
    returned_on: DateText = Field(description="The day it came back.", examples=["2026-12-02"])
    forwarding_address: AddressRow | None = Field(
        default=None, repr=False, description="The address on the yellow label, if there is one. Never the issuer's."
    )

    def scanned(self) -> Scanned:
        """As the use case takes it."""
        a = self.forwarding_address
        address = None if a is None else PostalAddress(a.lines, a.city, a.region, a.postal_code, a.country)
        return Scanned(self.piece, self.reason, date.fromisoformat(self.returned_on), address)


class ReturnedMailIn(Document):
    """Mail that came back, in the order it was scanned."""

    pieces: list[ReturnedIn] = Field(min_length=1, max_length=MOST)


class LetterPath(BaseModel):
    """The address of a letter."""

    attempt_id: UUID = Field(description="Id of the attempt.")
