"""When a text message or a call may reach somebody: from 8 to 20 o'clock where they are.

Stricter than 47 CFR 64.1200(c)(1), which lets callers begin at 8 and end at 21 o'clock of the called party's time.
Where somebody is, is guessed from the phone number; where several zones are possible the time must fit all of them.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import NumberParseException, timezone

from notifier.core.places import state_code

OPENS = time(8)
CLOSES = time(20)
SPREAD = timedelta(minutes=30)

_MOST_ZONES = 8  # a number with more of them is good everywhere (toll-free): it says nothing
_UNKNOWN = "Etc/Unknown"
_PREFIX = 10  # "+" and the longest prefix by which the library tells zones apart
_TRIES = 60

# 49 CFR 71: the zones of each state and territory, the widest apart where a state has several.
_STATES = """
America/New_York: CT DC DE GA MA MD ME NC NH NJ NY OH PA RI SC VA VT WV
America/New_York America/Chicago: FL IN KY MI TN
America/Chicago: AL AR IA IL LA MN MO MS OK WI
America/Chicago America/Denver: KS ND NE SD TX
America/Denver: CO MT NM UT WY
America/Denver America/Los_Angeles: ID OR
America/Los_Angeles: CA NV WA
America/Phoenix America/Denver: AZ
America/Anchorage America/Adak: AK
Pacific/Honolulu: HI
America/Puerto_Rico: PR VI
Pacific/Guam: GU MP
Pacific/Pago_Pago: AS
"""
_ZONES_OF_STATE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        code: frozenset(zones.split())
        for zones, codes in (line.split(":") for line in _STATES.strip().splitlines())
        for code in codes.split()
    }
)
MAINLAND = frozenset({"America/New_York", "America/Los_Angeles"})


def zones_of_phone(number: str) -> frozenset[str]:
    """The IANA zones that a number in E.164 may be in; empty when it does not say."""
    # Beyond its longest prefix a number says no more of its zone.
    return _zones_of_prefix(number[:_PREFIX], len(number))


@lru_cache(maxsize=16384)
def _zones_of_prefix(prefix: str, length: int) -> frozenset[str]:
    try:
        number = phonenumbers.parse(prefix.ljust(length, "0"))
    except NumberParseException:
        return frozenset()
    zones = frozenset(timezone.time_zones_for_geographical_number(number)) - {_UNKNOWN}
    return zones if len(zones) <= _MOST_ZONES else frozenset()


def zones_of_state(region: str) -> frozenset[str]:
    """The zones of a US state; empty for anything else."""
    return _ZONES_OF_STATE.get(state_code(region) or "", frozenset())


def zones_of(number: str, regions: Collection[str], *, agency_zone: str) -> frozenset[str]:
    """Where somebody may be: by their number and by the states of their addresses, for numbers move with people.

    Where neither says, the time must fit the agency's zone and both coasts.
    """
    by_state = frozenset[str]().union(*(zones_of_state(region) for region in regions))
    return zones_of_phone(number) | by_state or MAINLAND | {agency_zone}


def next_allowed(at: datetime, zones: Collection[str], *, share: float = 0.0) -> datetime:
    """The first time from `at` on that is not quiet in any of the zones; `at` itself when it is allowed.

    Args:
        at: with a time zone.
        zones: IANA names, at least one. Of zones that share no hour of the day the first by name counts.
        share: 0 to 1, fixed for a contact point: what is moved is spread by it, so that not everybody is written to at
            the stroke of eight.
    """
    allowed = _first(at, zones) or _first(at, sorted(zones)[:1]) or at
    if allowed == at:
        return at
    spread = allowed + SPREAD * share
    return spread if _first(spread, zones) == spread else allowed


def _first(at: datetime, zones: Collection[str]) -> datetime | None:
    for _ in range(_TRIES):
        moved = max(_in_zone(at, ZoneInfo(zone)) for zone in zones)
        if moved == at:
            return at
        at = moved
    return None


def _in_zone(at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    if OPENS <= local.time() < CLOSES:
        return at
    day = local.date() if local.time() < OPENS else local.date() + timedelta(days=1)
    return datetime.combine(day, OPENS, zone).astimezone(at.tzinfo)
