"""Dates and times as people read them: months and days in words, Latin digits, the ISO date beside every date."""

from datetime import date, time

from babel import Locale
from babel.dates import format_date, format_time

from notifier.render.catalogue import StrictCatalogue
from notifier.render.content import PhoneHours

NO_BREAK_SPACES = str.maketrans({"\u202f": "\u00a0"})


def plain_date(day: date, tag: str) -> str:
    """`December 12, 2025` in the language of `tag`."""
    return format_date(day, "long", locale=_locale(tag))


def legal_date(day: date, tag: str) -> str:
    """`Friday, December 12, 2025 (2025-12-12)`: for days on which something depends."""
    return f"{format_date(day, 'full', locale=_locale(tag))} ({day.isoformat()})"


def hours(when: PhoneHours, catalogue: StrictCatalogue) -> str:
    """When the telephone is answered, in the language of `catalogue`."""
    tag = catalogue.language.tag
    days = _locale(tag).days["stand-alone"]["wide"]
    opens, closes = (_time(moment, tag) for moment in (when.opens, when.closes))
    first, last = str(days[when.first_day]), str(days[when.last_day])
    if when.first_day == when.last_day:
        return catalogue.say("hours.day", first_day=first, opens=opens, closes=closes)
    return catalogue.say("hours.days", first_day=first, last_day=last, opens=opens, closes=closes)


def _time(moment: time, tag: str) -> str:
    return format_time(moment, "short", locale=_locale(tag)).translate(NO_BREAK_SPACES)


def _locale(tag: str) -> Locale:
    return Locale.parse(tag, sep="-")
