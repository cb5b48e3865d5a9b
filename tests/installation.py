"""A small installation for tests: a migrated database, an agency, two officers and their keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from notifier.core.model import Demand, Instrument, IssuerClass, JudgeSigned, KeyKind, Mode, Nondisclosure, Role
from notifier.store.engine import Database
from notifier.store.keys import open_keyring
from notifier.store.migrate import migrate
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, add_agency, add_officer, authenticate, create_key
from notifier.usecases.profile import AgencyProfile

NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)

PROFILE = AgencyProfile(
    help_phone="303-555-0100",
    phone_hours="mon-fri 08:00-17:00",
    main_phone="303-555-0199",
    return_address=("Example Agency", "PO Box 100", "Denver CO 80201"),
    interpreter_on_file=True,
    legal_help=("Example Legal Aid, 303-555-0142",),
)

DEMAND = Demand(
    issuer="Example Field Office",
    issuer_class=IssuerClass.FEDERAL_IMMIGRATION,
    instrument=Instrument.ADMIN_SUBPOENA,
    number="TEST-2026-0001",
    dated="2026-11-02",
    received_on="2026-11-16",
    return_date="2026-12-15",
    judge_signed=JudgeSigned.NO,
    nondisclosure=Nondisclosure.REQUEST,
    record_types=("wages", "phone_numbers"),
    already_released=False,
)


@dataclass(frozen=True)
class Office:
    """One agency with whoever works there."""

    db: Database
    vault: Vault
    agency_id: UUID
    uploader: Principal  # a machine key of the first officer
    approver: Principal  # a personal key of the second
    machine_token: str
    personal_token: str
    uploader_personal_token: str  # a personal key of the first officer

    def live_token(self, officer: Principal, kind: KeyKind = KeyKind.PERSONAL) -> str:
        """A key of an officer for what is live."""
        with self.db.transaction(self.agency_id) as tx:
            key = create_key(tx, officer_id=officer.officer_id, kind=kind, mode=Mode.LIVE, vault=self.vault, now=NOW)
        return key.token


@contextmanager
def installation(url: str, key_dir: Path) -> Iterator[tuple[Database, Vault]]:
    """A migrated database and its keys."""
    migrate(url, key_dir)
    db = Database(url)
    try:
        yield db, Vault(open_keyring(key_dir))
    finally:
        db.close()


def open_office(db: Database, vault: Vault, *, name: str = "Example Agency", mode: Mode = Mode.TEST) -> Office:
    """An agency with two officers."""
    agency_id = add_agency(
        db, name=name, profile=PROFILE, zone="America/Denver", lone_officer_in_test=False, vault=vault, now=NOW
    )
    with db.transaction(agency_id) as tx:
        first = add_officer(tx, name="First Officer", roles=[Role.CASEWORKER, Role.APPROVER], now=NOW)
        second = add_officer(tx, name="Second Officer", roles=[Role.APPROVER], now=NOW)
        machine = create_key(tx, officer_id=first, kind=KeyKind.MACHINE, mode=mode, vault=vault, now=NOW)
        own = create_key(tx, officer_id=first, kind=KeyKind.PERSONAL, mode=mode, vault=vault, now=NOW)
        personal = create_key(tx, officer_id=second, kind=KeyKind.PERSONAL, mode=mode, vault=vault, now=NOW)
    return Office(
        db,
        vault,
        agency_id,
        authenticate(machine.token, db=db, vault=vault, now=NOW),
        authenticate(personal.token, db=db, vault=vault, now=NOW),
        machine.token,
        personal.token,
        own.token,
    )
