"""Agencies, their officers, and the keys their systems and officers call the API with."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, insert, select, text, update

from notifier.core.errors import Forbidden, Invalid, NotFound
from notifier.core.events import EventType
from notifier.core.model import Actor, KeyKind, Mode, Role
from notifier.store import tables as t
from notifier.store.engine import Database, Tx
from notifier.store.ledger import append, draft, open_chain
from notifier.store.vault import Vault
from notifier.usecases.profile import AgencyProfile


class Scope(StrEnum):
    """What a key may do."""

    MATTER_WRITE = "matter.write"
    MATTER_READ = "matter.read"
    PEOPLE_READ = "people.read"
    SENDING_STOP = "sending.stop"
    SENDING_APPROVE = "sending.approve"
    MAILROOM = "mailroom"


# A system's key may propose, read and hold. What sends, or says that something was mailed, is an officer's.
MACHINE_SCOPES = frozenset({Scope.MATTER_WRITE, Scope.MATTER_READ, Scope.PEOPLE_READ, Scope.SENDING_STOP})
PERSONAL_SCOPES = frozenset(Scope)
PERSONAL_KEY_DAYS = 7
LONGEST_NAME = 100
_TOKEN_BYTES = 32
_MIN_TOKEN, _MAX_TOKEN = 20, 100


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key, and through it an officer of an agency."""

    agency_id: UUID
    officer_id: UUID
    key_id: UUID
    kind: KeyKind
    mode: Mode
    scopes: frozenset[Scope]
    roles: frozenset[Role] = frozenset()

    @property
    def actor(self) -> Actor:
        """As the ledger names them."""
        return Actor.officer(self.officer_id)

    def require(self, scope: Scope) -> None:
        """Let pass only with this scope.

        Raises:
            Forbidden: the key does not have it.
        """
        if scope not in self.scopes:
            raise Forbidden("scope-missing", f"This key does not have the scope {scope.value}.")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key. `token` is shown once and kept nowhere."""

    key_id: UUID
    token: str = field(repr=False)


def add_agency(
    db: Database,
    *,
    name: str,
    profile: AgencyProfile,
    zone: str,
    lone_officer_in_test: bool,
    vault: Vault,
    now: datetime,
) -> UUID:
    """A new agency with its empty chain. `profile` holds what letters print of it; `zone` is an IANA name.

    Raises:
        Invalid: `invalid-name`.
    """
    _require_name(name)
    agency_id = uuid4()
    with db.transaction(agency_id) as tx:
        tx.conn.execute(
            insert(t.agency).values(
                agency_id=agency_id,
                name=name,
                profile=profile.model_dump(mode="json"),
                zone=zone,
                lone_officer_in_test=lone_officer_in_test,
                created_at=now,
            )
        )
        tx.conn.execute(
            insert(t.directory).values(kind="agency", token=agency_id.bytes, agency_id=agency_id, ref=agency_id)
        )
        vault.make(tx, [agency_id], "agency")
        open_chain(tx, agency_id, is_matter=False)
        append(tx, agency_id, [draft(EventType.AGENCY_CREATED, Actor.system("cli"), {"zone": zone})], at=now)
    return agency_id


def all_agencies(db: Database) -> list[UUID]:
    """Every agency of this installation, by id."""
    with db.no_agency() as conn:
        return list(
            conn.execute(
                select(t.directory.c.agency_id).where(t.directory.c.kind == "agency").order_by(t.directory.c.agency_id)
            ).scalars()
        )


def add_officer(tx: Tx, *, name: str, roles: Collection[Role], now: datetime) -> UUID:
    """A new officer of this agency.

    Raises:
        Invalid: `invalid-name`.
    """
    _require_name(name)
    officer_id = uuid4()
    named = sorted({role.value for role in roles})
    tx.conn.execute(
        insert(t.officer).values(agency_id=tx.agency_id, officer_id=officer_id, name=name, roles=named, created_at=now)
    )
    added = draft(EventType.OFFICER_ADDED, Actor.system("cli"), {"officer": str(officer_id), "roles": named})
    append(tx, tx.agency_id, [added], at=now)
    return officer_id


def create_key(
    tx: Tx,
    *,
    officer_id: UUID,
    kind: KeyKind,
    mode: Mode,
    scopes: Collection[Scope] | None = None,
    days: int | None = None,
    vault: Vault,
    now: datetime,
) -> NewKey:
    """A key of an officer. Personal keys end after a week unless `days` says less; machine keys end when `days` says.

    Raises:
        NotFound: no such officer, or one who has left.
        Invalid: a machine key with a scope that only officers have, or a personal key for over a week.
    """
    allowed = MACHINE_SCOPES if kind is KeyKind.MACHINE else PERSONAL_SCOPES
    granted = frozenset(allowed if scopes is None else scopes)
    if not granted <= allowed:
        raise Invalid("scope-not-for-machines", "A machine key cannot approve sending or declare mail.")
    if kind is KeyKind.PERSONAL:
        days = PERSONAL_KEY_DAYS if days is None else days
        if not 0 < days <= PERSONAL_KEY_DAYS:
            raise Invalid("personal-key-too-long", f"A personal key lasts {PERSONAL_KEY_DAYS} days at most.")
    _require_officer(tx, officer_id)
    key_id = uuid4()
    token = f"ntf_{mode.value}_{secrets.token_urlsafe(_TOKEN_BYTES)}"
    expires_at = None if days is None else now + timedelta(days=days)
    named = sorted(scope.value for scope in granted)
    tx.conn.execute(
        insert(t.api_key).values(
            agency_id=tx.agency_id,
            key_id=key_id,
            officer_id=officer_id,
            kind=kind.value,
            mode=mode.value,
            scopes=named,
            prefix=token[:14],
            created_at=now,
            expires_at=expires_at,
        )
    )
    tx.conn.execute(
        insert(t.directory).values(
            kind="api_key", token=vault.token("api_key", token), agency_id=tx.agency_id, ref=key_id
        )
    )
    added = draft(
        EventType.KEY_CREATED,
        Actor.system("cli"),
        {"key": str(key_id), "kind": kind.value, "mode": mode.value, "officer": str(officer_id), "scopes": named},
    )
    append(tx, tx.agency_id, [added], at=now)
    return NewKey(key_id, token)


def revoke_key(tx: Tx, key_id: UUID, *, now: datetime) -> None:
    """End a key at once. Revoking twice changes nothing.

    Raises:
        NotFound: no such key in this agency.
    """
    revoked = tx.conn.execute(
        update(t.api_key)
        .where(t.api_key.c.key_id == key_id, t.api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(t.api_key.c.key_id)
    ).one_or_none()
    if revoked is None:
        if tx.conn.execute(select(t.api_key.c.key_id).where(t.api_key.c.key_id == key_id)).one_or_none() is None:
            raise NotFound("unknown-key", "There is no such key.")
        return
    added = draft(EventType.KEY_REVOKED, Actor.system("cli"), {"key": str(key_id)})
    append(tx, tx.agency_id, [added], at=now)


def list_keys(tx: Tx) -> list[RowMapping]:
    """The agency's keys with their owners, newest first; never their tokens."""
    return list(
        tx.conn.execute(
            select(t.api_key, t.officer.c.name.label("officer_name"))
            .join(t.officer, t.officer.c.officer_id == t.api_key.c.officer_id)
            .order_by(t.api_key.c.created_at.desc(), t.api_key.c.key_id)
        ).mappings()
    )


def authenticate(token: str, *, db: Database, vault: Vault, now: datetime) -> Principal:
    """The principal of a key.

    Raises:
        Forbidden: `invalid-key`, the same for unknown, revoked, expired and malformed.
    """
    refused = Forbidden("invalid-key", "The key is unknown, revoked or expired.")
    if not (_MIN_TOKEN <= len(token) <= _MAX_TOKEN and token.startswith("ntf_") and token.isascii()):
        raise refused
    with db.no_agency() as conn:
        entry = conn.execute(
            select(t.directory.c.agency_id, t.directory.c.ref).where(
                t.directory.c.kind == "api_key", t.directory.c.token == vault.token("api_key", token)
            )
        ).one_or_none()
    if entry is None:
        raise refused
    with db.transaction(entry.agency_id) as tx:
        row = tx.conn.execute(
            select(t.api_key, t.officer.c.roles)
            .join(t.officer, t.officer.c.officer_id == t.api_key.c.officer_id)
            .where(t.api_key.c.key_id == entry.ref, t.officer.c.removed_at.is_(None))
        ).one_or_none()
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            raise refused
        # Once a minute is enough to know whether a key is still in use, and keeps reads from writing.
        tx.conn.execute(
            text(
                "update api_key set last_used_at = :now where agency_id = :agency and key_id = :key"
                " and (last_used_at is null or last_used_at < cast(:now as timestamptz) - interval '1 minute')"
            ),
            {"now": now, "agency": tx.agency_id, "key": row.key_id},
        )
    return Principal(
        agency_id=entry.agency_id,
        officer_id=row.officer_id,
        key_id=row.key_id,
        kind=KeyKind(row.kind),
        mode=Mode(row.mode),
        scopes=frozenset(map(Scope, row.scopes)),
        roles=frozenset(map(Role, row.roles)),
    )


def _require_name(name: str) -> None:
    if not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        raise Invalid("invalid-name", f"A name is 1 to {LONGEST_NAME} characters that can be printed.")


def _require_officer(tx: Tx, officer_id: UUID) -> None:
    found = tx.conn.execute(
        select(t.officer.c.officer_id).where(t.officer.c.officer_id == officer_id, t.officer.c.removed_at.is_(None))
    ).one_or_none()
    if found is None:
        raise NotFound("unknown-officer", "There is no such officer in this agency.")
