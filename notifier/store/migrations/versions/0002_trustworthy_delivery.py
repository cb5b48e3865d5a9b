"""What trustworthy delivery keeps: when to look again, flags of contact points, tasks, inbound and returned mail."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHANGED = """
alter table attempt add column check_at timestamptz;
alter table attempt add column service text check (service in ('first_class', 'certified'));
create index attempt_unknown on attempt (agency_id, channel, check_at)
  where status = 'unknown' and check_at is not null;
alter table notice add column look_at timestamptz;
create index notice_to_look on notice (agency_id, look_at) where look_at is not null;
alter table contact_point add column source text;
alter table print_batch add column alarmed_at timestamptz;
alter table print_batch add column voided_at timestamptz;
alter table print_batch add column voided_by uuid;
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


def downgrade() -> None:
    """Refuse: a ledger is not dropped by a command."""
    raise RuntimeError("this migration has no way back")
