"""What an address asks of Twilio's connection, behind its `#`: `rc=3&rp=all` is three more tries whatever went wrong.

Unasked, Twilio tries once more when nobody could be reached, and takes every answer for an answer. What cannot be read
is as if it had not been asked for.

Source: twilio.com/docs/usage/webhooks/webhooks-connection-overrides.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urldefrag

UNREACHED: Final = 0  # in place of an HTTP status: no connection
UNANSWERED: Final = -1  # a connection, and no answer in time
POLICIES: Final = frozenset({"4xx", "5xx", "ct", "rt", "all"})
LIMITS: Final = {"ct": 10_000, "rt": 15_000, "tt": 15_000}  # milliseconds; the shortest is 100


@dataclass(frozen=True, slots=True)
class Connection:
    """How an address is called. Times in seconds; `total_seconds` is for all tries together."""

    retries: int = 1
    policies: frozenset[str] = frozenset({"ct"})
    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    total_seconds: float = 15.0

    def wants_another(self, status: int, tries: int) -> bool:
        """Whether it is tried again after so many tries, the last of which came to this status."""
        kinds = {UNREACHED: "ct", UNANSWERED: "rt"}
        kind = kinds.get(status, f"{status // 100}xx")
        is_failure = kind in POLICIES
        return tries <= self.retries and is_failure and not self.policies.isdisjoint({kind, "all"})


def connection_of(url: str) -> tuple[str, Connection]:
    """The address without its fragment, as it is called and signed; and how it is called."""
    target, fragment = urldefrag(url)
    asked = dict(parse_qsl(fragment))
    count = asked.get("rc", "")
    policies = frozenset(asked.get("rp", "").split(","))
    usual = Connection()
    return target, Connection(
        int(count) if re.fullmatch("[0-5]", count) else usual.retries,
        policies if policies <= POLICIES else usual.policies,
        _seconds("ct", asked, usual.connect_seconds),
        _seconds("rt", asked, usual.read_seconds),
        _seconds("tt", asked, usual.total_seconds),
    )


def _seconds(name: str, asked: dict[str, str], usual: float) -> float:
    given = asked.get(name, "")
    is_right = re.fullmatch("[0-9]{3,5}", given) and 100 <= int(given) <= LIMITS[name]  # noqa: PLR2004 - the vendor's number
    return int(given) / 1000 if is_right else usual
