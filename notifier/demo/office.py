"""The agency of the demonstration: two officers, a system's key of the one and a personal key of the other."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from notifier.calling import Api
from notifier.core.model import KeyKind, Mode, Role
from notifier.demo.house import House
from notifier.usecases.access import add_agency, add_officer, create_key
from notifier.usecases.profile import AgencyProfile

ZONE: Final = "America/Denver"
PROFILE: Final = AgencyProfile(
    help_phone="303-555-0100",
    phone_hours="mon-fri 08:00-17:00",
    main_phone="303-555-0199",
    return_address=("Example State Agency", "PO Box 100", "Denver CO 80201"),
    interpreter_on_file=True,
    legal_help=("Example Legal Aid, 303-555-0142",),
)


@dataclass(frozen=True, slots=True)
class Office:
    """The agency, and the API as its system (`machine`) and as its second officer (`personal`) call it."""

    agency_id: UUID
    machine: Api = field(repr=False)
    personal: Api = field(repr=False)


def open_office(house: House) -> Office:
    """Make the agency, its officers and their keys; everything is of test mode."""
    now = datetime.now(UTC)
    agency_id = add_agency(
        house.db,
        name="Example State Agency",
        profile=PROFILE,
        zone=ZONE,
        lone_officer_in_test=False,
        vault=house.vault,
        now=now,
    )
    with house.db.transaction(agency_id) as tx:
        first = add_officer(tx, name="First Officer", roles=[Role.CASEWORKER], now=now)
        second = add_officer(tx, name="Second Officer", roles=[Role.APPROVER], now=now)
        made = [
            create_key(tx, officer_id=officer, kind=kind, mode=Mode.TEST, vault=house.vault, now=now)
            for officer, kind in ((first, KeyKind.MACHINE), (second, KeyKind.PERSONAL))
        ]
    machine, personal = (Api(house.api_url, key.token) for key in made)
    return Office(agency_id, machine, personal)
