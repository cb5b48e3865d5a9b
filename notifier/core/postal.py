"""Postal addresses: what is usable, how it is printed in a window, and in which order a batch is mailed."""

import re
import unicodedata

from notifier.core.model import ContactKind, ContactPoint, PostalAddress
from notifier.core.places import (
    POSTCODE_AFTER_CITY,
    US_POST_ABROAD,
    WITHOUT_CITY,
    country_code,
    country_name,
    state_code,
)
from notifier.core.problem import Problem

P = Problem

WINDOW_CHARS = 45
WINDOW_LINES = 6
"""A #10 window holds six lines of 45 characters at 10 pt (0.9 x 3.9 in); wide letters count twice."""

_ZIP = re.compile(r"(\d{5})(?:[ -]?(\d{4}))?", re.ASCII)


def post(address: PostalAddress) -> ContactPoint:
    """A postal address. A usable one comes back tidied for print (spaces, state code, ZIP+4), else as it came.

    A US address needs street, city, state and ZIP; one abroad needs street and city, where there is one.
    """
    tidy = _tidy(address)
    problem = _abroad_problem(tidy)
    if tidy.country == "US":
        tidy, problem = _us_address(tidy)
    if problem is None and not _fits(tidy):
        problem = P.DOES_NOT_FIT
    if problem is not None:
        return ContactPoint(ContactKind.POST, "", address, problem)
    return ContactPoint(ContactKind.POST, "", tidy)


def _tidy(address: PostalAddress) -> PostalAddress:
    lines = tuple(" ".join(line.split()) for line in address.lines if not line.isspace() and line)
    country = country_code(address.country) or address.country.strip()
    region = " ".join(address.region.split())
    if country in US_POST_ABROAD:
        country, region = "US", country
    city, postal_code = " ".join(address.city.split()), " ".join(address.postal_code.split())
    return PostalAddress(lines, city, region, postal_code, country)


def _us_address(address: PostalAddress) -> tuple[PostalAddress, Problem | None]:
    state = state_code(address.region)
    match = _ZIP.fullmatch(address.postal_code)
    problem = None
    if not address.lines:
        problem = P.NO_STREET
    elif not address.city:
        problem = P.NO_CITY
    elif state is None:
        problem = P.UNKNOWN_REGION if address.region else P.NO_REGION
    elif match is None or match[1] == "00000":
        problem = P.BAD_POSTAL_CODE if address.postal_code else P.NO_POSTAL_CODE
    if problem or state is None or match is None:
        return address, problem
    zip_code = f"{match[1]}-{match[2]}" if match[2] else match[1]
    return PostalAddress(address.lines, address.city, state, zip_code, address.country), None


def _abroad_problem(address: PostalAddress) -> Problem | None:
    if country_code(address.country) is None:
        return P.UNKNOWN_COUNTRY
    if not address.lines:
        return P.NO_STREET
    if not address.city and address.country not in WITHOUT_CITY:
        return P.NO_CITY
    return None


def _fits(address: PostalAddress) -> bool:
    lines = place_lines(address)
    return len(lines) < WINDOW_LINES and all(_width(line) <= WINDOW_CHARS for line in lines)


def envelope_lines(name: str, native_name: str | None, address: PostalAddress) -> tuple[str, ...]:
    """The lines in the window, top to bottom, for an address that `post` found usable.

    In the US the last line is CITY ST ZIP; abroad it is the country in English capitals. The native name is left out
    where it does not fit (it stands in the letter). Nothing is ever cut: only a name too long for one line can make
    more than WINDOW_LINES, and is then to be set smaller.
    """
    written = _wrapped(" ".join(name.split()))
    place = place_lines(address)
    native = _wrapped(" ".join(native_name.split())) if native_name and native_name != name else ()
    if len(written) + len(native) + len(place) > WINDOW_LINES:
        native = ()
    return (*written, *native, *place)


def place_lines(address: PostalAddress) -> tuple[str, ...]:
    """The lines under the name: street, then CITY ST ZIP, or abroad the place and the country in English capitals."""
    streets = tuple(part for line in address.lines for part in _wrapped(line))
    city = _capitals(address.city)
    region, code = _capitals(address.region), address.postal_code.upper()
    if address.country == "US":
        return (*streets, f"{city} {region} {code}")
    if address.country in POSTCODE_AFTER_CITY:
        last = " ".join(filter(None, (city, region, code)))
    else:
        last = ", ".join(filter(None, (f"{code} {city}".strip(), region)))
    return (*streets, *_wrapped(last), country_name(address.country))


def _capitals(text: str) -> str:
    """Capitals for Latin letters; other scripts as they are (fonts seldom have their rare capitals)."""
    latin_ends = "\u0250"
    return text.upper() if text.isascii() or all(letter < latin_ends for letter in text) else text


def _wrapped(text: str) -> tuple[str, ...]:
    """Lines of at most WINDOW_CHARS, broken at spaces; a longer single word stays whole."""
    if text and _width(text) <= WINDOW_CHARS:
        return (text,)
    lines: list[str] = []
    for word in text.split(" ") if text else ():
        if lines and _width(lines[-1]) + 1 + _width(word) <= WINDOW_CHARS:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text if not unicodedata.combining(letter)
    )


def postal_sort_key(address: PostalAddress) -> tuple[str, ...]:
    """Order of a print batch: US by ZIP+4, then abroad by country and postcode; ties by city and street."""
    abroad = "" if address.country == "US" else address.country
    return (abroad, address.postal_code.upper(), address.city.casefold(), *(line.casefold() for line in address.lines))
