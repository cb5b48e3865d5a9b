"""Phone numbers, mailboxes and postal addresses: what can be sent to, and what is wrong with the rest.

A contact point that cannot be used keeps what came in and gets a `Problem`; nothing is guessed and no typing error is
mended. Caches here hold mail domains only, and a bounded number of them.
"""

import re
import unicodedata
from functools import lru_cache

import email_validator
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from notifier.core.model import ContactKind, ContactPoint
from notifier.core.postal import envelope_lines, post, postal_sort_key
from notifier.core.problem import Problem

__all__ = [
    "Problem",
    "blind_form",
    "email",
    "envelope_lines",
    "folded",
    "phone",
    "post",
    "postal_sort_key",
]

P = Problem

RAW_LIMIT = 254
"""Characters of a raw phone or mailbox; more is neither."""

# Ordinary US and Canadian writing; whatever does not match goes to the library.
_NANP = re.compile(
    r"(?:\+?1[ .-]?)?(?:\(([2-9](?!11)\d\d)\)|([2-9](?!11)\d\d))[ .-]{0,2}([2-9]\d\d)[ .-]?(\d{4})", re.ASCII
)
_NANP_NATIONAL = re.compile(r"[2-9](?!11)\d\d[2-9]\d{6}", re.ASCII)
_NANP_PREMIUM_AREA = "900"
_EXPENSIVE = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_LOCAL_PART_LIMIT = 64

_PARSE_PROBLEMS = {
    NumberParseException.INVALID_COUNTRY_CODE: P.UNKNOWN_CALLING_CODE,
    NumberParseException.NOT_A_NUMBER: P.NOT_A_NUMBER,
    NumberParseException.TOO_SHORT_AFTER_IDD: P.TOO_SHORT,
    NumberParseException.TOO_SHORT_NSN: P.TOO_SHORT,
    NumberParseException.TOO_LONG: P.TOO_LONG,
}
_LENGTH_PROBLEMS = {
    ValidationResult.INVALID_COUNTRY_CODE: P.UNKNOWN_CALLING_CODE,
    ValidationResult.TOO_SHORT: P.TOO_SHORT,
    ValidationResult.TOO_LONG: P.TOO_LONG,
    ValidationResult.INVALID_LENGTH: P.NOT_POSSIBLE,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: P.NO_AREA_CODE,
}


def phone(raw: str) -> ContactPoint:
    """A phone number, US unless it starts with + or 011; `value` is E.164.

    A number is used when it could exist: whether it is assigned is for the carrier to say, because number plans grow
    faster than any table. Fictional numbers (555-01xx) are usable.
    """
    text = raw.strip()
    if match := _NANP.fullmatch(text):
        area = match[1] or match[2]
        if area != _NANP_PREMIUM_AREA:
            return ContactPoint(ContactKind.PHONE, f"+1{area}{match[3]}{match[4]}")
    found = _parsed_number(text)
    if isinstance(found, Problem):
        return ContactPoint(ContactKind.PHONE, raw, problem=found)
    return ContactPoint(ContactKind.PHONE, found)


def _parsed_number(text: str) -> str | Problem:
    """E.164, or what is wrong."""
    if not text:
        return P.EMPTY
    if len(text) > RAW_LIMIT:
        return P.TOO_LONG
    try:
        number = phonenumbers.parse(text, "US")
    except NumberParseException as error:
        return _PARSE_PROBLEMS.get(error.error_type, P.NOT_A_NUMBER)
    return _number_problem(text, number) or phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _number_problem(text: str, number: PhoneNumber) -> Problem | None:
    if number.extension:
        return P.HAS_EXTENSION
    # The library reads letters as digits of a keypad and skips words before a number ("sister's: 303...").
    if any(letter.isalpha() for letter in text.removeprefix("tel:")):
        return P.NOT_A_NUMBER
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != ValidationResult.IS_POSSIBLE:
        return _LENGTH_PROBLEMS.get(possible, P.NOT_POSSIBLE)
    if number.country_code == 1 and not _NANP_NATIONAL.fullmatch(phonenumbers.national_significant_number(number)):
        return P.NOT_POSSIBLE
    return P.PREMIUM_RATE if phonenumbers.number_type(number) in _EXPENSIVE else None


def email(raw: str) -> ContactPoint:
    """A mailbox; `value` has the part before the @ as written and the domain in lower-case ASCII (IDNA).

    Nothing is looked up in the DNS. Mailboxes at example.com, .org and .net are usable.
    """
    text = raw.strip()
    local, at, domain = text.rpartition("@")
    problem = _mailbox_problem(text, local, at)
    ascii_domain = _mail_domain(domain) if problem is None else ""
    if isinstance(ascii_domain, Problem):
        problem = ascii_domain
    value = f"{local}@{ascii_domain}"
    if problem is None and len(value) > RAW_LIMIT:
        problem = P.TOO_LONG
    if problem is not None:
        return ContactPoint(ContactKind.EMAIL, raw, problem=problem)
    return ContactPoint(ContactKind.EMAIL, value)


def _mailbox_problem(text: str, local: str, at: str) -> Problem | None:
    if not text:
        return P.EMPTY
    if len(text) > RAW_LIMIT or len(local) > _LOCAL_PART_LIMIT:
        return P.TOO_LONG
    if not at:
        return P.NOT_A_MAILBOX
    return None if _LOCAL_PART.fullmatch(local) else _odd_local_part(local)


def _odd_local_part(local: str) -> Problem:
    if local.isascii():
        return P.NOT_A_MAILBOX
    try:
        email_validator.validate_email(f"{local}@example.com", check_deliverability=False)
    except email_validator.EmailNotValidError:
        return P.NOT_A_MAILBOX
    return P.NOT_ASCII


@lru_cache(maxsize=8192)
def _mail_domain(domain: str) -> str | Problem:
    """The domain in lower-case ASCII, or what is wrong. Most of a list shares a few domains."""
    try:
        checked = email_validator.validate_email(f"x@{domain}", check_deliverability=False)
    except email_validator.EmailNotValidError:
        labels = domain.lower().split(".")
        return P.RESERVED_DOMAIN if labels[-1] in email_validator.SPECIAL_USE_DOMAIN_NAMES else P.BAD_DOMAIN
    return checked.ascii_domain or P.BAD_DOMAIN


def folded(text: str) -> str:
    """The form in which two writings are the same: NFKC, caseless (Unicode D147), outer space trimmed."""
    if text.isascii():
        return text.strip().lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", decomposed.casefold())).strip()


def blind_form(contact: ContactPoint) -> bytes:
    """What the keyed blind index is made from: the kind, a NUL, and the folded parts (UTF-8, unit separators)."""
    parts = [contact.value]
    if contact.address is not None:
        address = contact.address
        parts = [*address.lines, address.city, address.region, address.postal_code, address.country]
    form = "\x1f".join(" ".join(folded(part).split()) for part in parts)
    return f"{contact.kind}\0{form}".encode()
