"""Business days, for alarms and tasks inside the agency: Monday to Friday.

Public holidays are not known here; the dates that the law counts come from calendars, never from this file.
"""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAYS_A_WEEK: Final = 5
OPENS: Final = time(8)
CLOSES: Final = time(17)
_DAY: Final = timedelta(days=1)


def business_day_after(day: date, count: int = 1) -> date:
    """The `count`-th business day after a day, which does not count itself."""
    while count:
        day += _DAY
        count -= day.weekday() < DAYS_A_WEEK
    return day


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant after a day, where the zone is."""
    return datetime.combine(day + _DAY, time(), tzinfo=zone)


def red_from(closed_at: datetime, zone: ZoneInfo) -> datetime:
    """From when a print batch that nobody mailed is red: the end of the next business day after it was closed."""
    return end_of(business_day_after(closed_at.astimezone(zone).date()), zone)


def after_business_hours(at: datetime, hours: int, zone: ZoneInfo) -> datetime:
    """When an office that is open from 8 to 17 on business days has been open for so many hours since `at`."""
    here, left = at.astimezone(zone).replace(tzinfo=None), timedelta(hours=hours)
    while True:
        opens, closes = (datetime.combine(here.date(), hour) for hour in (OPENS, CLOSES))
        begins = max(here, opens)
        open_for = max(closes - begins, timedelta()) if here.weekday() < DAYS_A_WEEK else timedelta()
        if open_for >= left:
            return (begins + left).replace(tzinfo=zone)
        left -= open_for
        here = datetime.combine(here.date() + _DAY, time())
