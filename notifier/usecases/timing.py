"""The hour at which a message may go: not at night where the recipient is, and not to a whole household at once.

Nothing here keeps a message back for longer than a night. Test matters keep neither rule unless the agency asks for
it, so that what is tried out at night is seen at night (docs/decisions/0045-what-is-sent-next.md).
"""

import json
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text

from notifier.core.model import Channel, Mode
from notifier.core.quiet_hours import next_allowed, zones_of
from notifier.store import tables as t
from notifier.store.engine import Tx
from notifier.store.vault import Vault

HOUSEHOLD_WITHIN: Final = timedelta(hours=8)  # the last of a household is written to on the same day
LETTERS_APART: Final = timedelta(days=1)
LETTERS_WITHIN: Final = timedelta(days=5)  # however many live there


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message, and when it may go at the earliest, on the matter's clock."""

    person_id: UUID
    contact_id: UUID
    channel: Channel
    at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person stands among those of one matter who share a phone, mailbox or address: 0 for the first."""

    household: UUID  # the contact point of the first of them
    number: int
    people: int


@dataclass(frozen=True, slots=True)
class Timing:
    """The rules of one matter. `zone` is the agency's."""

    zone: str
    gap: timedelta
    vault: Vault
    letters_apart: bool = False

    def times(self, tx: Tx, wanted: Sequence[Wanted], places: Mapping[UUID, Place]) -> list[datetime]:
        """When each message goes.

        People behind one phone or mailbox are written to one after the other, `gap` apart, in the same order and with
        the same share of the morning's spread, so that nobody who reads along sees that they belong together.
        """
        zones = self._zones(tx, [one for one in wanted if one.channel is Channel.SMS])
        return [self._time(one, zones, places.get(one.contact_id)) for one in wanted]

    def _time(self, one: Wanted, zones: Mapping[UUID, Collection[str]], place: Place | None) -> datetime:
        share = share_of(place.household if place else one.contact_id)
        at = next_allowed(one.at, zones[one.contact_id], share=share) if one.contact_id in zones else one.at
        if place is None or not place.number:
            return at
        if one.channel is Channel.LETTER:
            apart = min(LETTERS_APART, LETTERS_WITHIN / (place.people - 1))
            return at + place.number * apart if self.letters_apart else at
        gap = min(self.gap, HOUSEHOLD_WITHIN / (place.people - 1))
        if one.contact_id not in zones:
            return at + place.number * gap
        return in_turn(at, place.number, gap, zones[one.contact_id], share)

    def _zones(self, tx: Tx, wanted: Sequence[Wanted]) -> dict[UUID, frozenset[str]]:
        """Where each phone may be. Of somebody whose data was erased nothing is known."""
        if not wanted:
            return {}
        numbers = {one.contact_id: one.value["value"] for one in self._open(tx, wanted, "contact_id", "phone")}
        regions: dict[UUID, list[str]] = {}
        for found in self._open(tx, wanted, "person_id", "post"):
            if found.value.get("address"):
                regions.setdefault(found.person_id, []).append(found.value["address"]["region"])
        return {
            one.contact_id: zones_of(
                numbers.get(one.contact_id, ""), regions.get(one.person_id, ()), agency_zone=self.zone
            )
            for one in wanted
        }

    def _open(self, tx: Tx, wanted: Sequence[Wanted], by: str, kind: str) -> list["_Opened"]:
        if not wanted:
            return []
        rows = tx.conn.execute(
            text(
                "select contact_id, person_id, sealed from contact_point"  # noqa: S608 # our own column
                f" where agency_id = :agency and {by} = any(:ids) and kind = :kind"
            ),
            {"agency": tx.agency_id, "ids": [getattr(one, by) for one in wanted], "kind": kind},
        ).all()
        ciphers = self.vault.surviving(tx, {row.person_id for row in rows})
        place = "contact_point.sealed"
        return [
            _Opened(
                row.contact_id,
                row.person_id,
                json.loads(ciphers[row.person_id].open(row.sealed, place, row.contact_id)),
            )
            for row in rows
            if row.person_id in ciphers
        ]


def in_turn(at: datetime, number: int, gap: timedelta, zones: Collection[str], share: float) -> datetime:
    """When the person with this number is written to, if the first is at `at`: by day, each `gap` after the last.

    Whoever's turn falls into the night is the first of the morning.
    """
    while number:

        def falls_into_night(one: int, at: datetime = at) -> bool:
            return next_allowed(at + one * gap, zones) > at + one * gap

        by_day = bisect_left(range(1, number + 1), x=True, key=falls_into_night)
        if by_day == number:
            return at + number * gap
        at, number = next_allowed(at + (by_day + 1) * gap, zones, share=share), number - by_day - 1
    return at


@dataclass(frozen=True, slots=True)
class _Opened:
    contact_id: UUID
    person_id: UUID
    value: dict[str, Any] = field(repr=False)


def timing_of(tx: Tx, mode: str, *, gap: timedelta, vault: Vault, letters_apart: bool = False) -> Timing | None:
    """The rules of a matter; None where none are kept."""
    row = tx.conn.execute(select(t.agency.c.zone, t.agency.c.profile).where(t.agency.c.agency_id == tx.agency_id)).one()
    if mode == Mode.TEST and not row.profile.get("keep_hours_in_test"):
        return None
    return Timing(row.zone, gap, vault, letters_apart)


_SHARED: Final = """
select contact_id, household, number, people from (
  select c.contact_id, first_value(c.contact_id) over of_blind as household, dense_rank() over of_blind - 1 as number,
    count(*) over whole as people, min(p.ordinal) over whole as first, max(p.ordinal) over whole as last
  from contact_point c join person p on p.agency_id = c.agency_id and p.person_id = c.person_id
  where c.agency_id = :agency and c.problem is null and p.matter_id = :matter {among}
  window of_blind as (partition by c.blind order by p.ordinal), whole as (partition by c.blind)
) one where first < last
"""


def shared_contacts(tx: Tx, matter_id: UUID, *, of: Collection[UUID] | None = None) -> dict[UUID, Place]:
    """The contact points of a matter that reach several of its people; `of`: only what these reach, by index.

    One pass of windows: a long list that has just come in has no statistics that a join could be planned by.
    """
    values: dict[str, object] = {"agency": tx.agency_id, "matter": matter_id}
    if of is not None:
        blinds = text("select blind from contact_point where agency_id = :agency and contact_id = any(:of)")
        values["blinds"] = list(tx.conn.execute(blinds, {"agency": tx.agency_id, "of": list(of)}).scalars())
    among = "" if of is None else "and c.blind = any(:blinds)"
    rows = tx.conn.execute(text(_SHARED.format(among=among)), values)
    return {row.contact_id: Place(row.household, row.number, row.people) for row in rows}


def share_of(contact_id: UUID) -> float:
    """0 to 1, always the same for a contact point: its random part, not the part that tells the time."""
    return (contact_id.int & 0xFFFF) / 0x10000
