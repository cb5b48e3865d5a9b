"""What goes into one notice, and what comes out of it."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import date, time
from typing import Final

from notifier.core.model import Instrument, JudgeSigned, Mode
from notifier.core.sms import Segments

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS: Final = re.compile(r"([a-z]{3})(?:-([a-z]{3}))? ([0-9]{2}:[0-9]{2})-([0-9]{2}:[0-9]{2})")
DEFAULT_EFFECTS: Final = ("co-agency-default",)


@dataclass(frozen=True, slots=True)
class PhoneHours:
    """When the telephone is answered; days count from Monday = 0. Printed in the language of the letter."""

    first_day: int
    last_day: int
    opens: time
    closes: time


def parse_hours(text: str) -> PhoneHours:
    """Hours as an agency writes them in its settings: `mon-fri 08:00-17:00`, or `tue 09:00-12:00`.

    Raises:
        ValueError: not in this form.
    """
    match = HOURS.fullmatch(text)
    if match is None or match[1] not in DAYS or (match[2] or match[1]) not in DAYS:
        raise ValueError('hours are written like "mon-fri 08:00-17:00"')
    first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
    hours = PhoneHours(first, last, time.fromisoformat(match[3]), time.fromisoformat(match[4]))
    if hours.opens >= hours.closes:
        raise ValueError("the telephone closes before it opens")
    return hours


@dataclass(frozen=True, slots=True)
class NoticeContent:
    """Everything one initial notice can say, apart from the name and address on a letter.

    `code` is the eleven digits of the person code. `page_address` is typed by hand, so it is short, and None while the
    agency has no page. `act_by` and `not_before` are None while no date is fixed. `nothing_given_attested_on` is the
    day a named person attested that nothing was given; nothing is said about it without one. `effects` are pack ids.
    `other_formats_on_file`: somebody makes the letter in large print, in Braille and in sign language.
    `return_address` is printed as it is: the agency's name is its first line.
    """

    mode: Mode
    letter_date: date
    agency_name: str
    return_address: tuple[str, ...]
    help_phone: str
    phone_hours: PhoneHours
    main_phone: str
    interpreter_on_file: bool
    legal_help: tuple[str, ...]
    instrument: Instrument
    judge_signed: JudgeSigned
    record_types: tuple[str, ...] = field(repr=False)
    code: str = field(repr=False)
    issuer: str = field(repr=False)
    number: str = field(default="", repr=False)
    dated: date | None = field(default=None, repr=False)
    page_address: str | None = None
    act_by: date | None = None
    not_before: date | None = None
    nothing_given_attested_on: date | None = None
    already_released: bool = False
    effects: tuple[str, ...] = DEFAULT_EFFECTS
    other_formats_on_file: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text message. `is_draft` is True when the text is a translation that nobody has approved."""

    text: str = field(repr=False)
    segments: Segments
    is_draft: bool

    @property
    def sha256(self) -> str:
        """The SHA-256 of the text as UTF-8, in hex."""
        return sha256(self.text.encode())


@dataclass(frozen=True, slots=True)
class RenderedEmail:
    """An email. `text` is the legal text; `html` says the same."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    is_draft: bool

    @property
    def sha256(self) -> str:
        """The SHA-256 of the JSON array of subject, text and html, in hex."""
        parts = json.dumps([self.subject, self.text, self.html], ensure_ascii=False, separators=(",", ":"))
        return sha256(parts.encode())


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as a PDF. `sheets` of paper when both sides are printed; `address_block` as it shows in the window."""

    pdf: bytes = field(repr=False)
    pages: int
    sheets: int
    address_block: tuple[str, ...] = field(repr=False)
    is_draft: bool

    @property
    def sha256(self) -> str:
        """The SHA-256 of the PDF, in hex."""
        return sha256(self.pdf)


def sha256(data: bytes) -> str:
    """The SHA-256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()
