"""Every table as SQLAlchemy sees it; the migrations make them, and a test holds the two together."""

from typing import Any

from sqlalchemy import BigInteger as Big
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData()
Kind = type[TypeEngine[Any]] | TypeEngine[Any]
When = DateTime(timezone=True)
Texts = ARRAY(Text)


def _column(name: str, kind: Kind, *, null: bool = False, key: bool = False) -> Column[object]:
    return Column(name, kind, nullable=null, primary_key=key)


def _must(**columns: Kind) -> list[Column[object]]:
    return [_column(name, kind) for name, kind in columns.items()]


def _may(**columns: Kind) -> list[Column[object]]:
    return [_column(name, kind, null=True) for name, kind in columns.items()]


def _tenant(table: str, keys: dict[str, Kind], *columns: list[Column[object]]) -> Table:
    """A table under row-level security: its primary key starts with the agency."""
    key_columns = [_column(name, kind, key=True) for name, kind in ({"agency_id": Uuid} | keys).items()]
    return Table(table, metadata, *key_columns, *(column for group in columns for column in group))


directory = Table(
    "directory",
    metadata,
    _column("kind", Text, key=True),
    _column("token", LargeBinary, key=True),
    *_must(agency_id=Uuid, ref=Uuid),
)
kek = Table(
    "kek",
    metadata,
    _column("kek_id", Text, key=True),
    *_must(fingerprint=LargeBinary, created_at=When),
    *_may(retired_at=When),
)
installation = Table(
    "installation", metadata, _column("only_one", Boolean, key=True), *_must(index_fingerprint=LargeBinary)
)
quarantine = Table(
    "quarantine",
    metadata,
    _column("quarantine_id", Uuid, key=True),
    *_must(carrier=Text, received_at=When, reason=Text, kek_id=Text, digest=LargeBinary, sealed=LargeBinary),
)

agency = _tenant(
    "agency", {}, _must(name=Text, profile=JSONB, zone=Text, lone_officer_in_test=Boolean, created_at=When)
)
officer = _tenant(
    "officer", {"officer_id": Uuid}, _must(name=Text, roles=Texts, created_at=When), _may(removed_at=When)
)
api_key = _tenant(
    "api_key",
    {"key_id": Uuid},
    _must(officer_id=Uuid, kind=Text, mode=Text, scopes=Texts, prefix=Text, created_at=When),
    _may(expires_at=When, revoked_at=When, last_used_at=When),
)
idempotency = _tenant(
    "idempotency",
    {"officer_id": Uuid, "key_digest": LargeBinary},
    _must(request_digest=LargeBinary, status=SmallInteger, body=LargeBinary, created_at=When),
)
dek = _tenant("dek", {"dek_id": Uuid}, _must(purpose=Text, kek_id=Text, wrapped=LargeBinary))
chain = _tenant("chain", {"chain_id": Uuid}, _must(is_matter=Boolean, seq=Big, head=LargeBinary, last_at=When))
event = _tenant(
    "event",
    {"chain_id": Uuid, "seq": Big},
    _must(event_id=Uuid, type=Text, at=When),
    _may(person_id=Uuid),
    _must(body=LargeBinary, leaf=LargeBinary),
    _may(opening=LargeBinary),
)
blob = _tenant("blob", {"blob_id": Uuid}, _must(dek_id=Uuid, purpose=Text, media_type=Text, size=Big, created_at=When))
blob_piece = _tenant("blob_piece", {"blob_id": Uuid, "no": Integer}, _must(sealed=LargeBinary))
matter = _tenant(
    "matter",
    {"matter_id": Uuid},
    _must(
        lineage_id=Uuid,
        mode=Text,
        external_index=LargeBinary,
        sealed=LargeBinary,
        edition=Text,
        clock_offset=Interval,
        created_at=When,
        created_by=Uuid,
        persons=Integer,
    ),
)
demand = _tenant(
    "demand",
    {"demand_id": Uuid},
    _must(
        matter_id=Uuid,
        instrument=Text,
        issuer_class=Text,
        judge_signed=Text,
        nondisclosure=Text,
        received_on=Date,
        record_types=Texts,
        already_released=Boolean,
        sealed=LargeBinary,
    ),
    _may(return_date=Date),
)
matter_pack = _tenant(
    "matter_pack",
    {"matter_id": Uuid, "pack_id": Text},
    _must(version=Integer, sha256=LargeBinary),
    _may(content=LargeBinary),
)
target = _tenant("target", {"target_id": Uuid}, _must(matter_id=Uuid, kind=Text, sealed=LargeBinary))
roster = _tenant(
    "roster",
    {"roster_id": Uuid},
    _must(matter_id=Uuid, format=Text, rows=Integer, received_at=When, uploaded_by=Uuid),
    _may(approved_at=When, approved_by=Uuid),
)
person = _tenant(
    "person",
    {"person_id": Uuid},
    _must(
        matter_id=Uuid, ordinal=Integer, roster_id=Uuid, row_no=Integer, external_index=LargeBinary, sealed=LargeBinary
    ),
)
recipient = _tenant(
    "recipient", {"recipient_id": Uuid}, _must(person_id=Uuid, role=Text, code_index=LargeBinary, sealed=LargeBinary)
)
contact_point = _tenant(
    "contact_point",
    {"contact_id": Uuid},
    _must(person_id=Uuid, recipient_id=Uuid, kind=Text, blind=LargeBinary, sealed=LargeBinary),
    _may(problem=Text, source=Text),
)
contact_flag = _tenant(
    "contact_flag",
    {"contact_id": Uuid, "flag": Text},
    _must(person_id=Uuid, matter_id=Uuid, since=When),
    _may(lifted_at=When),
)
notice = _tenant(
    "notice",
    {"notice_id": Uuid},
    _must(matter_id=Uuid, person_id=Uuid, recipient_id=Uuid, kind=Text, edition=Text, ordered_at=When, ordered_by=Uuid),
    _may(look_at=When),
)
attempt = _tenant(
    "attempt",
    {"attempt_id": Uuid},
    _must(matter_id=Uuid, notice_id=Uuid, person_id=Uuid, contact_id=Uuid, plan_row=Text),
    _must(channel=Text, carrier=Text, status=Text),
    _must(tries=SmallInteger, due_at=When, updated_at=When),
    _may(lease_until=When, handed_over_at=When, carrier_ref=Text, reason=Text, carrier_code=Text),
    _may(batch_id=Uuid, blob_id=Uuid, linked_from=Uuid, check_at=When, service=Text, withdrawn_ref=Text),
)
content = _tenant("content", {"attempt_id": Uuid}, _must(sealed=LargeBinary))
open_work = _tenant("open_work", {"matter_id": Uuid, "channel": Text})
stop = _tenant(
    "stop",
    {"stop_id": Uuid},
    _must(scope=Text, reason=Text, placed_at=When, placed_by=Uuid),
    _may(matter_id=Uuid, channel=Text, carrier=Text, lift_proposed_by=Uuid, lifted_at=When, lifted_by=Uuid),
)
receipt = _tenant(
    "receipt",
    {"receipt_id": Uuid},
    _must(attempt_id=Uuid, person_id=Uuid, matter_id=Uuid, carrier=Text, dedupe=LargeBinary, word=Text),
    _must(received_at=When, sealed=LargeBinary),
    _may(event=Text, reason=Text, carrier_code=Text, carrier_ref=Text, occurred_at=When),
    _may(applied_at=When, result=Text, body_blob=Uuid),
)
print_batch = _tenant(
    "print_batch",
    {"batch_id": Uuid},
    _must(
        mode=Text, closed_at=When, pieces=Integer, sheets=Integer, pdf_blob=Uuid, manifest_blob=Uuid, totals_blob=Uuid
    ),
    _must(service=Text, withdrawn=Integer),
    _may(mailed_on=Date, declared_at=When, declared_by=Uuid, place=Text),
    _may(alarmed_at=When, voided_at=When, voided_by=Uuid),
)
returned_piece = _tenant(
    "returned_piece",
    {"attempt_id": Uuid},
    _must(matter_id=Uuid, person_id=Uuid, usps_reason=Text, returned_on=Date, scanned_at=When, scanned_by=Uuid),
    _may(forwarded_to=Uuid, remailed_as=Uuid),
)
inbound = _tenant(
    "inbound",
    {"inbound_id": Uuid},
    _must(matter_id=Uuid, person_id=Uuid, contact_id=Uuid, carrier=Text, kind=Text, dedupe=LargeBinary),
    _must(received_at=When, sealed=LargeBinary),
)
task = _tenant(
    "task",
    {"task_id": Uuid},
    _must(kind=Text, subject_id=Uuid, opened_at=When, due_at=When),
    _may(matter_id=Uuid, person_id=Uuid, done_at=When, done_by=Uuid, resolution=Text),
)
