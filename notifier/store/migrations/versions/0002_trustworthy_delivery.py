"""What trustworthy delivery keeps: when to look again, flags of contact points, tasks, inbound and returned mail."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHANGED = """
alter table attempt add column check_at timestamptz;
alter table attempt add column service text check (service in ('first_class', 'certified'));
alter table attempt add column withdrawn_ref text;
create index attempt_unknown on attempt (agency_id, channel, check_at)
  where status = 'unknown' and check_at is not null;
alter table notice add column look_at timestamptz;
create index notice_to_look on notice (agency_id, look_at) where look_at is not null;
create index notice_look_by_matter on notice (agency_id, matter_id, look_at) where look_at is not null;
alter table contact_point add column source text;
alter table matter_pack add column content bytea;
alter table print_batch add column alarmed_at timestamptz;
alter table print_batch add column voided_at timestamptz;
alter table print_batch add column voided_by uuid;
alter table print_batch add column service text not null default 'first_class'
  check (service in ('first_class', 'certified'));
alter table print_batch add column withdrawn integer not null default 0;
alter table print_batch add column place text;
create index print_batch_open on print_batch (agency_id, closed_at) where declared_at is null and voided_at is null;
create index attempt_written on attempt (agency_id, matter_id) where status = 'planned' and blob_id is not null;
create index attempt_piece on attempt (agency_id, right(attempt_id::text, 12)) where channel = 'letter';
create unique index attempt_article on attempt (agency_id, carrier_ref)
  where carrier = 'mailroom_letter' and service = 'certified' and carrier_ref is not null;
"""

NEW = """
create table contact_flag (
  agency_id uuid not null,
  contact_id uuid not null,
  flag text not null,
  person_id uuid not null,
  matter_id uuid not null,
  since timestamptz not null,
  lifted_at timestamptz,
  primary key (agency_id, contact_id, flag)
);
create index contact_flag_by_person on contact_flag (agency_id, person_id) where lifted_at is null;
create index contact_flag_by_matter on contact_flag (agency_id, matter_id) where lifted_at is null;
create table task (
  agency_id uuid not null,
  task_id uuid not null,
  kind text not null,
  subject_id uuid not null,
  matter_id uuid,
  person_id uuid,
  opened_at timestamptz not null,
  due_at timestamptz not null,
  done_at timestamptz,
  done_by uuid,
  resolution text,
  primary key (agency_id, task_id)
);
create unique index task_open_once on task (agency_id, kind, subject_id) where done_at is null;
create index task_to_do on task (agency_id, due_at) where done_at is null;
create index task_by_subject on task (agency_id, subject_id);
create index task_by_matter on task (agency_id, matter_id) where matter_id is not null;
create table inbound (
  agency_id uuid not null,
  inbound_id uuid not null,
  matter_id uuid not null,
  person_id uuid not null,
  contact_id uuid not null,
  carrier text not null,
  kind text not null check (kind in ('stop', 'start', 'help', 'text')),
  dedupe bytea not null,
  received_at timestamptz not null,
  sealed bytea not null,
  primary key (agency_id, inbound_id),
  unique (agency_id, carrier, dedupe, contact_id)
);
create index inbound_by_person on inbound (agency_id, person_id);
create table returned_piece (
  agency_id uuid not null,
  attempt_id uuid not null,
  matter_id uuid not null,
  person_id uuid not null,
  usps_reason text not null,
  returned_on date not null,
  scanned_at timestamptz not null,
  scanned_by uuid not null,
  forwarded_to uuid,
  remailed_as uuid,
  primary key (agency_id, attempt_id)
);
create index returned_piece_by_matter on returned_piece (agency_id, matter_id);
"""

# Of an agency that the planner's statistics do not know yet it believes that it has one row, and walks through all of
# its rows where it should look up fifty by their keys: so the statistics are taken anew soon after a list came in,
# not only when a tenth of a large table has changed.
GROWING = ["attempt", "contact_point", "content", "dek", "event", "notice", "person", "receipt", "recipient"]

TABLES = ["contact_flag", "task", "inbound", "returned_piece"]
OWN = "agency_id = nullif(current_setting('app.agency', true), '')::uuid"


def upgrade() -> None:
    """Add what is new; nothing that stands is rewritten."""
    op.execute(CHANGED)
    op.execute(NEW)
    for table in TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy own_agency on {table} to notifier_app using ({OWN})")
        op.execute(f"grant select, insert, update on {table} to notifier_app")
    for table in GROWING:
        op.execute(
            f"alter table {table} set (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000)"
        )


def downgrade() -> None:
    """Refuse: a ledger is not dropped by a command."""
    raise RuntimeError("this migration has no way back")
