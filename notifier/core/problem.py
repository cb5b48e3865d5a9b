"""What can be wrong with a contact point, in words that never change."""

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType


class Problem(StrEnum):
    """Why nothing can be sent to a contact point. Values are stable."""

    EMPTY = auto()
    TOO_LONG = auto()
    TOO_SHORT = auto()
    NOT_A_NUMBER = auto()
    NOT_POSSIBLE = auto()
    NO_AREA_CODE = auto()
    UNKNOWN_CALLING_CODE = auto()
    HAS_EXTENSION = auto()
    PREMIUM_RATE = auto()
    NOT_A_MAILBOX = auto()
    NOT_ASCII = auto()
    BAD_DOMAIN = auto()
    RESERVED_DOMAIN = auto()
    UNKNOWN_COUNTRY = auto()
    NO_STREET = auto()
    NO_CITY = auto()
    NO_REGION = auto()
    UNKNOWN_REGION = auto()
    NO_POSTAL_CODE = auto()
    BAD_POSTAL_CODE = auto()
    DOES_NOT_FIT = auto()

    @property
    def meaning(self) -> str:
        """One plain sentence, the same in the API, the console and the glossary."""
        return MEANING[self]


P = Problem

MEANING: Mapping[Problem, str] = MappingProxyType(
    {
        P.EMPTY: "There is nothing in it.",
        P.TOO_LONG: "It is too long to be a phone number or an email address.",
        P.TOO_SHORT: "It has too few digits to be a phone number.",
        P.NOT_A_NUMBER: "It is not a phone number, or not only one.",
        P.NOT_POSSIBLE: "No phone number looks like this.",
        P.NO_AREA_CODE: "The area code is missing.",
        P.UNKNOWN_CALLING_CODE: "It starts with a country calling code that does not exist.",
        P.HAS_EXTENSION: "It has an extension; a text message cannot reach it.",
        P.PREMIUM_RATE: "It is a premium-rate number, not a person's.",
        P.NOT_A_MAILBOX: "It is not an email address, or not only one.",
        P.NOT_ASCII: "The part before the @ has letters that our email carrier cannot take.",
        P.BAD_DOMAIN: "The part after the @ cannot be a mail domain.",
        P.RESERVED_DOMAIN: "The part after the @ is reserved; no mail can go there.",
        P.UNKNOWN_COUNTRY: "The country is not a two-letter ISO code or an English country name.",
        P.NO_STREET: "The street line is missing.",
        P.NO_CITY: "The city is missing.",
        P.NO_REGION: "The state is missing.",
        P.UNKNOWN_REGION: "There is no such US state or territory.",
        P.NO_POSTAL_CODE: "The ZIP code is missing.",
        P.BAD_POSTAL_CODE: "The ZIP code is not five or nine digits.",
        P.DOES_NOT_FIT: "It is longer than an envelope window.",
    }
)
