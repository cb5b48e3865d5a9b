"""Chains in the database: one place after the other, whoever writes, and no change goes unseen."""

import json
import threading
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.core.errors import LedgerError, Sealed
from notifier.core.events import EventType
from notifier.core.ledger import Draft, commitment, prepare
from notifier.core.model import Actor
from notifier.servers import postgres
from notifier.store.draft_spool import DraftSpool
from notifier.store.engine import Database, Tx
from notifier.store.ledger import (
    OPENING,
    append,
    append_many,
    draft,
    lock_chains,
    open_chain,
    read_chain,
    sealed_draft,
    verify,
)
from notifier.store.vault import Vault
from tests.installation import NOW, Office
from tests.store.conftest import as_superuser, rolled_back

CLOCK = Actor.system("clock")


def test_events_get_their_places_one_after_the_other(tx: Tx) -> None:
    chain = new_chain(tx)
    append(tx, chain, [alarm(), alarm()], at=NOW)
    append(tx, chain, [], at=NOW)
    append(tx, chain, [alarm()], at=NOW)
    assert [json.loads(body)["mseq"] for body in read_chain(tx, chain)] == [0, 1, 2]
    assert verify(tx, chain) == 3


def test_an_empty_chain_holds(tx: Tx) -> None:
    assert verify(tx, new_chain(tx)) == 0


def test_there_is_no_writing_to_a_chain_that_does_not_exist(tx: Tx) -> None:
    with pytest.raises(LedgerError, match="no such chain"):
        append(tx, uuid4(), [alarm()], at=NOW)
    with pytest.raises(LedgerError, match="no such chain"):
        verify(tx, uuid4())


def test_a_chain_never_goes_back_in_time(tx: Tx) -> None:
    chain = new_chain(tx)
    for minutes in (0, 10, 5, -60, 20):
        append(tx, chain, [alarm()], at=NOW + timedelta(minutes=minutes))
    minutes_written = [json.loads(body)["at"][14:16] for body in read_chain(tx, chain)]
    assert minutes_written == ["00", "10", "10", "10", "20"]
    assert verify(tx, chain) == 5


def test_many_handfuls_make_one_chain(tx: Tx) -> None:
    chain = new_chain(tx)
    spool = DraftSpool()
    for size in (3, 1, 5):
        spool.add([alarm() for _ in range(size)])
    append_many(tx, chain, spool, at=NOW)
    spool.close()
    assert verify(tx, chain) == 9


def test_what_went_through_the_spool_is_what_is_appended(tx: Tx, vault: Vault) -> None:
    person = uuid4()
    cipher = vault.make(tx, [person], "person")[person]
    sealed = sealed_draft(
        cipher, EventType.PERSON_CORRECTED, CLOCK, {"fields": ["name"]}, person=person, values={"person": b"x"}
    )
    drafts = [alarm(), sealed]
    spool = DraftSpool()
    spool.add(drafts[:1])
    spool.add([])
    spool.add([prepare(draft) for draft in drafts[1:]])
    assert [list(handful) for handful in spool] == [[prepare(draft)] for draft in drafts]
    spool.close()


def test_a_draft_that_the_registry_does_not_allow_is_refused_by_the_spool() -> None:
    spool = DraftSpool()
    with pytest.raises(LedgerError, match="missing member alarm"):
        spool.add([draft(EventType.ALARM_RAISED, CLOCK, {})])
    spool.close()


def test_a_change_that_is_rolled_back_leaves_no_gap(db: Database, office: Office) -> None:
    with db.transaction(office.agency_id) as tx:
        chain = new_chain(tx)
        append(tx, chain, [alarm()], at=NOW)
    with rolled_back(db, office.agency_id) as tx:
        append(tx, chain, [alarm()], at=NOW)
    with db.transaction(office.agency_id) as tx:
        append(tx, chain, [alarm()], at=NOW)
        assert verify(tx, chain) == 2


def test_two_threads_write_one_chain_without_gap_or_fork(db: Database, office: Office) -> None:
    with db.transaction(office.agency_id) as tx:
        chain = new_chain(tx)

    def write() -> None:
        for size in (1, 2, 3, 1, 2, 3, 1, 2, 3, 1):
            with db.transaction(office.agency_id) as tx:
                append(tx, chain, [alarm() for _ in range(size)], at=NOW)

    assert in_threads([write, write]) == []
    with db.transaction(office.agency_id) as tx:
        assert [json.loads(body)["mseq"] for body in read_chain(tx, chain)] == list(range(38))
        assert verify(tx, chain) == 38


def test_two_writers_of_several_chains_never_wait_for_each_other(db: Database, office: Office) -> None:
    with db.transaction(office.agency_id) as tx:
        chains = [new_chain(tx) for _ in range(4)]

    def write(order: Sequence[UUID]) -> None:
        for _ in range(10):
            with db.transaction(office.agency_id) as tx:
                lock_chains(tx, order)
                for chain in order:
                    append(tx, chain, [alarm()], at=NOW)

    assert in_threads([lambda: write(chains), lambda: write(chains[::-1])]) == []
    with db.transaction(office.agency_id) as tx:
        assert [verify(tx, chain) for chain in chains] == [20] * 4


def test_a_value_is_committed_to_and_its_salt_is_sealed(tx: Tx, vault: Vault) -> None:
    person, other = uuid4(), uuid4()
    ciphers = vault.make(tx, [person, other], "person")
    made = sealed_draft(
        ciphers[person],
        EventType.PERSON_CORRECTED,
        CLOCK,
        {"fields": ["contacts"]},
        person=person,
        values={"person": b"Example Person"},
    )
    chain = new_chain(tx)
    append(tx, chain, [made], at=NOW)
    row = tx.conn.execute(text("select body, opening from event where chain_id = :chain"), {"chain": chain}).one()
    assert b"Example" not in row.body + row.opening
    salt = bytes.fromhex(json.loads(ciphers[person].open(row.opening, OPENING, made.eid))["person"])
    assert json.loads(row.body)["commit"]["person"] == commitment(salt, made.eid, "person", b"Example Person").hex()
    assert salt.hex() not in row.body.decode()
    with pytest.raises(Sealed):
        ciphers[other].open(row.opening, OPENING, made.eid)


TAMPERING = {
    "a body changed": "update event set body = set_byte(body, 9, 64) where chain_id = %s and seq = 1",
    "the last dropped": "delete from event where chain_id = %s and seq = 2",
    "the first dropped": "delete from event where chain_id = %s and seq = 0",
    "all dropped": "delete from event where chain_id = %s",
    "two changed places": "update event set seq = 1 - seq where chain_id = %s and seq < 2",
    "one copied to the end": "insert into event select agency_id, chain_id, 3, event_id, type, at, person_id, body,"
    " leaf, opening from event where chain_id = %s and seq = 2",
    "a head set back": "update chain set seq = 2, head = (select leaf from event e where e.chain_id = chain.chain_id"
    " and e.seq = 1) where chain_id = %s",
    "a head forged": "update chain set head = sha256(head) where chain_id = %s",
    "a column changed: type": "update event set type = 'agency.created' where chain_id = %s and seq = 1",
    "a column changed: person": "update event set person_id = gen_random_uuid() where chain_id = %s and seq = 2",
    "a column changed: at": "update event set at = at - interval '1 day' where chain_id = %s and seq = 0",
    "a column changed: id": "update event set event_id = gen_random_uuid() where chain_id = %s and seq = 0",
    "a column changed: leaf": "update event set leaf = sha256(leaf) where chain_id = %s and seq = 1",
}


@pytest.mark.parametrize("way", TAMPERING)
def test_what_somebody_changed_in_the_database_is_found(
    server: postgres.Postgres, db: Database, office: Office, way: str
) -> None:
    with db.transaction(office.agency_id) as tx:
        chain = new_chain(tx)
        append(tx, chain, [alarm() for _ in range(3)], at=NOW)
        assert verify(tx, chain) == 3
    with as_superuser(server) as connection:
        if "changed places" in way:
            connection.execute("alter table event drop constraint event_pkey")
        connection.execute(TAMPERING[way].encode(), [chain])
        if "changed places" in way:
            connection.execute("alter table event add primary key (agency_id, chain_id, seq)")
    with db.transaction(office.agency_id) as tx, pytest.raises(LedgerError):
        verify(tx, chain)


def new_chain(tx: Tx) -> UUID:
    chain = uuid4()
    open_chain(tx, chain, is_matter=False)
    return chain


def alarm() -> Draft:
    return draft(EventType.ALARM_RAISED, CLOCK, {"alarm": "test"})


def in_threads(acts: Sequence[object]) -> list[BaseException]:
    """Do all at once; returns what went wrong."""
    failures: list[BaseException] = []

    def run(act: object) -> None:
        try:
            assert callable(act)
            act()
        except BaseException as failure:  # noqa: BLE001 # told by the test
            failures.append(failure)

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures
