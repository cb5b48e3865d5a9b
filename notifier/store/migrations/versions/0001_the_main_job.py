"""The tables of the main job: a list of people in, notices out, every one followed.

Written as SQL so that what runs is what stands here, whatever the table definitions become later.
See docs/data-model.md for what each table is and what is sealed under which key.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLE = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'notifier_app') then
    create role notifier_app nologin nosuperuser nobypassrls noinherit;
  end if;
end $$;
"""

# Tables without an agency, and the directory that leads to one: no personal data in clear.
GLOBAL = """
create table directory (
  kind text not null check (kind in ('agency', 'api_key', 'code')),
  token bytea not null,
  agency_id uuid not null,
  ref uuid not null,
  primary key (kind, token)
);
create table kek (
  kek_id text primary key,
  fingerprint bytea not null,
  created_at timestamptz not null default now(),
  retired_at timestamptz
);
create table installation (
  only_one boolean primary key default true check (only_one),
  index_fingerprint bytea not null
);
create table quarantine (
  quarantine_id uuid primary key,
  carrier text not null,
  received_at timestamptz not null,
  reason text not null,
  kek_id text not null,
  digest bytea not null unique,
  sealed bytea not null
);
create index quarantine_by_age on quarantine (received_at);
"""

TENANT = """
create table agency (
  agency_id uuid primary key,
  name text not null,
  profile jsonb not null,
  zone text not null,
  lone_officer_in_test boolean not null default false,
  created_at timestamptz not null
);
create table officer (
  agency_id uuid not null references agency,
  officer_id uuid not null,
  name text not null,
  roles text[] not null,
  created_at timestamptz not null,
  removed_at timestamptz,
  primary key (agency_id, officer_id)
);
create table api_key (
  agency_id uuid not null,
  key_id uuid not null,
  officer_id uuid not null,
  kind text not null check (kind in ('machine', 'personal')),
  mode text not null check (mode in ('live', 'test')),
  scopes text[] not null,
  prefix text not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  primary key (agency_id, key_id),
  foreign key (agency_id, officer_id) references officer
);
create table idempotency (
  agency_id uuid not null,
  officer_id uuid not null,
  key_digest bytea not null,
  request_digest bytea not null,
  status smallint not null,
  body bytea not null,
  created_at timestamptz not null,
  primary key (agency_id, officer_id, key_digest)
);
create table dek (
  agency_id uuid not null,
  dek_id uuid not null,
  purpose text not null check (purpose in ('agency', 'matter', 'person', 'carrier_body', 'print_batch')),
  kek_id text not null,
  wrapped bytea not null,
  primary key (agency_id, dek_id)
);
create index dek_by_kek on dek (kek_id);
create table chain (
  agency_id uuid not null,
  chain_id uuid not null,
  is_matter boolean not null,
  seq bigint not null default 0,
  head bytea not null default ''::bytea,
  last_at timestamptz not null default 'epoch',
  primary key (agency_id, chain_id)
);
create table event (
  agency_id uuid not null,
  chain_id uuid not null,
  seq bigint not null,
  event_id uuid not null,
  type text not null,
  at timestamptz not null,
  person_id uuid,
  body bytea not null,
  leaf bytea not null,
  opening bytea,
  primary key (agency_id, chain_id, seq)
);
create index event_by_person on event (agency_id, person_id, seq) where person_id is not null;
create table blob (
  agency_id uuid not null,
  blob_id uuid not null,
  dek_id uuid not null,
  purpose text not null,
  media_type text not null,
  size bigint not null,
  created_at timestamptz not null,
  primary key (agency_id, blob_id)
);
create index blob_by_age on blob (agency_id, purpose, created_at);
create table blob_piece (
  agency_id uuid not null,
  blob_id uuid not null,
  no integer not null,
  sealed bytea not null,
  primary key (agency_id, blob_id, no),
  foreign key (agency_id, blob_id) references blob on delete cascade
);
create table matter (
  agency_id uuid not null,
  matter_id uuid not null,
  lineage_id uuid not null,
  mode text not null check (mode in ('live', 'test')),
  external_index bytea not null,
  sealed bytea not null,
  edition text not null,
  clock_offset interval not null default '0',
  created_at timestamptz not null,
  created_by uuid not null,
  persons integer not null default 0,
  primary key (agency_id, matter_id),
  unique (agency_id, external_index),
  foreign key (agency_id, created_by) references officer
);
create index matter_by_age on matter (agency_id, created_at, matter_id);
create table demand (
  agency_id uuid not null,
  demand_id uuid not null,
  matter_id uuid not null,
  instrument text not null,
  issuer_class text not null,
  judge_signed text not null,
  nondisclosure text not null,
  received_on date not null,
  return_date date,
  record_types text[] not null,
  already_released boolean not null,
  sealed bytea not null,
  primary key (agency_id, demand_id),
  foreign key (agency_id, matter_id) references matter
);
create index demand_by_matter on demand (agency_id, matter_id);
create table matter_pack (
  agency_id uuid not null,
  matter_id uuid not null,
  pack_id text not null,
  version integer not null,
  sha256 bytea not null,
  primary key (agency_id, matter_id, pack_id),
  foreign key (agency_id, matter_id) references matter
);
create table target (
  agency_id uuid not null,
  target_id uuid not null,
  matter_id uuid not null,
  kind text not null check (kind in ('person', 'organisation')),
  sealed bytea not null,
  primary key (agency_id, target_id),
  foreign key (agency_id, matter_id) references matter
);
create index target_by_matter on target (agency_id, matter_id);
create table roster (
  agency_id uuid not null,
  roster_id uuid not null,
  matter_id uuid not null,
  format text not null,
  rows integer not null,
  received_at timestamptz not null,
  uploaded_by uuid not null,
  approved_at timestamptz,
  approved_by uuid,
  primary key (agency_id, roster_id),
  foreign key (agency_id, matter_id) references matter,
  foreign key (agency_id, uploaded_by) references officer
);
create index roster_by_matter on roster (agency_id, matter_id, received_at);
create table person (
  agency_id uuid not null,
  matter_id uuid not null,
  person_id uuid not null,
  ordinal integer not null,
  roster_id uuid not null,
  row_no integer not null,
  external_index bytea not null,
  sealed bytea not null,
  primary key (agency_id, person_id),
  unique (agency_id, matter_id, ordinal),
  unique (agency_id, matter_id, external_index)
);
create index person_by_roster on person (agency_id, roster_id, ordinal);
create table recipient (
  agency_id uuid not null,
  recipient_id uuid not null,
  person_id uuid not null,
  role text not null check (role in ('self', 'guardian', 'counsel')),
  code_index bytea not null,
  sealed bytea not null,
  primary key (agency_id, recipient_id)
);
create index recipient_by_person on recipient (agency_id, person_id);
create table contact_point (
  agency_id uuid not null,
  contact_id uuid not null,
  person_id uuid not null,
  recipient_id uuid not null,
  kind text not null check (kind in ('phone', 'email', 'post')),
  problem text,
  blind bytea not null,
  sealed bytea not null,
  primary key (agency_id, contact_id)
);
create index contact_point_by_person on contact_point (agency_id, person_id);
create index contact_point_by_blind on contact_point (agency_id, blind);
create table notice (
  agency_id uuid not null,
  notice_id uuid not null,
  matter_id uuid not null,
  person_id uuid not null,
  recipient_id uuid not null,
  kind text not null,
  edition text not null,
  ordered_at timestamptz not null,
  ordered_by uuid not null,
  primary key (agency_id, notice_id)
);
create index notice_by_person on notice (agency_id, person_id);
create table attempt (
  agency_id uuid not null,
  attempt_id uuid not null,
  matter_id uuid not null,
  notice_id uuid not null,
  person_id uuid not null,
  contact_id uuid not null,
  plan_row text not null,
  channel text not null,
  carrier text not null,
  status text not null,
  tries smallint not null default 0,
  due_at timestamptz not null,
  lease_until timestamptz,
  updated_at timestamptz not null,
  handed_over_at timestamptz,
  carrier_ref text,
  reason text,
  carrier_code text,
  batch_id uuid,
  blob_id uuid,
  linked_from uuid,
  primary key (agency_id, attempt_id)
) with (fillfactor = 85);
create index attempt_due on attempt (agency_id, matter_id, channel, due_at) where status = 'planned';
create index attempt_leased on attempt (agency_id, lease_until) where status = 'sending';
create index attempt_waiting on attempt (agency_id, channel, handed_over_at)
  where status in ('handed_over', 'accepted');
create index attempt_by_person on attempt (agency_id, person_id);
create index attempt_by_matter on attempt (agency_id, matter_id);
create index attempt_by_batch on attempt (agency_id, batch_id) where batch_id is not null;
create table content (
  agency_id uuid not null,
  attempt_id uuid not null,
  sealed bytea not null,
  primary key (agency_id, attempt_id)
);
create table open_work (
  agency_id uuid not null,
  matter_id uuid not null,
  channel text not null,
  primary key (agency_id, matter_id, channel)
);
create table stop (
  agency_id uuid not null,
  stop_id uuid not null,
  scope text not null check (scope in ('matter', 'channel', 'carrier')),
  matter_id uuid,
  channel text,
  carrier text,
  reason text not null,
  placed_at timestamptz not null,
  placed_by uuid not null,
  lift_proposed_by uuid,
  lifted_at timestamptz,
  lifted_by uuid,
  primary key (agency_id, stop_id)
);
create index stop_in_force on stop (agency_id, matter_id) where lifted_at is null;
-- Open work that no stop holds: looked at in the very statement that takes work.
create view work_to_do with (security_invoker = true) as
  select w.agency_id, w.matter_id, w.channel from open_work w
  where not exists (
    select from stop s
    where s.agency_id = w.agency_id and s.lifted_at is null
      and (s.matter_id is null or s.matter_id = w.matter_id) and (s.channel is null or s.channel = w.channel)
  );
create table receipt (
  agency_id uuid not null,
  receipt_id uuid not null,
  attempt_id uuid not null,
  person_id uuid not null,
  matter_id uuid not null,
  carrier text not null,
  dedupe bytea not null,
  word text not null,
  event text,
  reason text,
  carrier_code text,
  carrier_ref text,
  occurred_at timestamptz,
  received_at timestamptz not null,
  applied_at timestamptz,
  result text,
  body_blob uuid,
  sealed bytea not null,
  primary key (agency_id, receipt_id),
  unique (agency_id, carrier, dedupe)
);
create index receipt_to_apply on receipt (agency_id, received_at) where applied_at is null;
create index receipt_by_attempt on receipt (agency_id, attempt_id);
create index receipt_by_body on receipt (agency_id, body_blob) where body_blob is not null;
create table print_batch (
  agency_id uuid not null,
  batch_id uuid not null,
  mode text not null check (mode in ('live', 'test')),
  closed_at timestamptz not null,
  pieces integer not null,
  sheets integer not null,
  pdf_blob uuid not null,
  manifest_blob uuid not null,
  totals_blob uuid not null,
  mailed_on date,
  declared_at timestamptz,
  declared_by uuid,
  primary key (agency_id, batch_id)
);
"""

TENANT_TABLES = [
    "agency",
    "officer",
    "api_key",
    "idempotency",
    "dek",
    "chain",
    "event",
    "blob",
    "blob_piece",
    "matter",
    "demand",
    "matter_pack",
    "target",
    "roster",
    "person",
    "recipient",
    "contact_point",
    "notice",
    "attempt",
    "content",
    "open_work",
    "stop",
    "receipt",
    "print_batch",
]
# Where rows end: everywhere else what was written stays.
DELETED_FROM = ["blob", "content", "dek", "open_work"]
OWN = "agency_id = nullif(current_setting('app.agency', true), '')::uuid"


def upgrade() -> None:
    """Make the role, the tables and the policies."""
    op.execute(ROLE)
    op.execute(GLOBAL)
    op.execute(TENANT)
    for table in ["directory", *TENANT_TABLES]:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
    for table in TENANT_TABLES:
        op.execute(f"create policy own_agency on {table} to notifier_app using ({OWN})")
        op.execute(f"grant select, insert, update on {table} to notifier_app")
    for table in DELETED_FROM:
        op.execute(f"grant delete on {table} to notifier_app")
    # Evidence is appended; what is written stays as it was written.
    op.execute("revoke update on event from notifier_app")
    op.execute("grant update (opening) on event to notifier_app")
    # A key or a code is looked up before its agency is known; an entry is made for one's own agency only.
    op.execute("create policy known_to_all on directory for select to notifier_app using (true)")
    op.execute(f"create policy own_agency on directory for insert to notifier_app with check ({OWN})")
    op.execute("grant select, insert on directory to notifier_app")
    op.execute("grant select, insert, update on kek to notifier_app")
    op.execute("grant select on installation to notifier_app")
    op.execute("grant select, insert, update, delete on quarantine to notifier_app")
    op.execute("grant select on work_to_do to notifier_app")
    op.execute("grant usage on schema public to notifier_app")
    op.execute("grant select on alembic_version to notifier_app")
    op.execute("do $$ begin execute format('grant notifier_app to %I', current_user); end $$")


def downgrade() -> None:
    """Refuse: a ledger is not dropped by a command."""
    raise RuntimeError("the first migration has no way back")
