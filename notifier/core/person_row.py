"""One person as an agency sends them: the shape, its limits, and what is said when a row does not have it.

The models are the API's documentation too. Their messages never repeat a value, and their reprs show none.
"""

import re
import unicodedata
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from notifier.core.contacts import blind_form, email, phone, post
from notifier.core.errors import Finding
from notifier.core.model import ContactPoint, PostalAddress

_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"

_WORD = re.compile(r"\w")

MAX_CONTACTS = 20
MAX_ADDRESS_LINES = 3


def _not_blank(text: str) -> str:
    """The text, unless nothing in it can be seen."""
    if _WORD.search(text):  # a letter, a digit or a low line
        return text
    if all(unicodedata.category(letter)[0] in "CZ" for letter in text):
        code = "blank"
        raise PydanticCustomError(code, "must not be blank; leave it out if there is none")
    return text


def _line(limit: int) -> StringConstraints:
    return StringConstraints(max_length=limit, pattern=_ONE_LINE)


Visible = AfterValidator(_not_blank)
Identifier = Annotated[str, Strict(), _line(128), Visible]
Name = Annotated[str, Strict(), _line(200), Visible]
Tag = Annotated[str, Strict(), _line(35), Visible]
ContactText = Annotated[str, Strict(), _line(320)]
AddressText = Annotated[str, Strict(), _line(100)]
PostalCode = Annotated[str, Strict(), _line(20)]
Country = Annotated[str, Strict(), _line(60)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AddressRow(_Row):
    """A postal address. Only its shape is checked here; what is missing for the post is shown, not refused."""

    lines: tuple[AddressText, ...] = Field(
        default=(),
        max_length=MAX_ADDRESS_LINES,
        repr=False,
        description="Street lines, as they are printed: number and street, unit, care of.",
        examples=[["1313 Sherman Street", "Apt 4"]],
    )
    city: AddressText = Field(default="", repr=False, description="City or post town.", examples=["Denver"])
    region: AddressText = Field(
        default="", repr=False, description="State (two letters or in full) or province.", examples=["CO"]
    )
    postal_code: PostalCode = Field(
        default="", repr=False, description="ZIP or ZIP+4; abroad the postcode, if there is one.", examples=["80203"]
    )
    country: Country = Field(
        default="US", repr=False, description="ISO 3166-1 alpha-2, or the English name.", examples=["US"]
    )


class ContactRow(_Row):
    """One way to reach a person: `value` for a phone or email, `address` for post.

    A contact of the right shape that cannot be used (a wrong number, an address without a city) is kept and shown
    with its problem.
    """

    kind: Literal["phone", "email", "post"] = Field(description="What it is.", examples=["phone"])
    value: ContactText | None = Field(
        default=None,
        repr=False,
        description="A phone number (US, or with + and the country) or an email address.",
        examples=["303-555-0142", "maria@example.org"],
    )
    address: AddressRow | None = Field(default=None, repr=False, description="For post only.")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        wanted, other = (self.address, self.value) if self.kind == "post" else (self.value, self.address)
        code = "contact_shape"
        if wanted is None or other is not None:
            raise PydanticCustomError(code, "post needs an address and no value; phone and email need a value only")
        return self


class PersonRow(_Row):
    """One row of the list: a person the demand names, or whose records it would reach."""

    external_id: Identifier = Field(
        repr=False, description="Your own id for this person; once in a matter.", examples=["A-1042"]
    )
    name: Name = Field(
        repr=False,
        description="The name as it is written on an envelope. It is never split, changed or re-ordered.",
        examples=["María de los Ángeles García Hernández"],
    )
    native_name: Name | None = Field(
        default=None, repr=False, description="The name in its own script.", examples=["ማርያ ገብረመድህን"]
    )
    language: Tag | None = Field(
        default=None,
        repr=False,
        description="Language tag (BCP 47) on record or declared by the person. Left out or null: not known. "
        "Never infer it from a name or a country.",
        examples=["es-419"],
    )
    contacts: tuple[ContactRow, ...] = Field(
        default=(),
        max_length=MAX_CONTACTS,
        repr=False,
        description="All known ways to reach the person. None at all is accepted: the person is kept as unreachable.",
    )


def to_contacts(row: PersonRow) -> tuple[ContactPoint, ...]:
    """The row's contact points in their order, checked; the same one given twice is one."""
    return tuple(contacts_by_form(row).values())


def contacts_by_form(row: PersonRow) -> dict[bytes, ContactPoint]:
    """As `to_contacts`, each by the form that its blind index is made from."""
    points = map(_point, row.contacts)
    return {blind_form(point): point for point in points}


def _point(contact: ContactRow) -> ContactPoint:
    if contact.address is not None:
        a = contact.address
        return post(PostalAddress(a.lines, a.city, a.region, a.postal_code, a.country))
    return (phone if contact.kind == "phone" else email)(contact.value or "")


def findings(error: ValidationError, at: str = "") -> tuple[Finding, ...]:
    """What a validation error says, in our codes, with pointers below `at`.

    An unknown field is pointed at by what holds it, because its name is the caller's.
    """
    details = error.errors(include_url=False, include_input=False)
    return tuple(_finding(detail, at) for detail in details)


def _finding(detail: ErrorDetails, at: str) -> Finding:
    kind, limits = detail["type"], detail.get("ctx", {})
    where = detail["loc"][:-1] if kind == "extra_forbidden" else detail["loc"]
    pointer = at + "".join(f"/{part}" for part in where)
    if kind in {"blank", "contact_shape"}:
        return Finding(pointer, kind, detail["msg"])
    if kind == "string_too_long":
        return Finding(pointer, "too_long", f"at most {limits['max_length']} characters")
    if kind == "too_long":
        return Finding(pointer, "too_many", f"at most {limits['max_length']}")
    return Finding(pointer, *_WORDS.get(kind, ("not_valid", "is not valid here")))


_WORDS = {
    "missing": ("missing", "is required"),
    "extra_forbidden": ("unknown_field", "holds a field that is not known here"),
    "string_type": ("wrong_type", "must be text"),
    "tuple_type": ("wrong_type", "must be a list"),
    "model_type": ("wrong_type", "must be an object"),
    "literal_error": ("not_one_of", "must be phone, email or post"),
    "string_pattern_mismatch": ("control_character", "must be one line without control characters"),
    "string_unicode": ("lone_surrogate", "holds half of a surrogate pair"),
}
