"""One person's trouble is nobody else's: erased people, and what is stored damaged."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from notifier.core.errors import Sealed
from notifier.core.model import Channel
from notifier.store.engine import Tx
from notifier.store.keys import KeyRing
from notifier.store.vault import Vault
from tests.usecases.around import erase
from tests.usecases.desk import Desk, person, phone


def test_an_erased_person_is_passed_over_and_the_others_are_told(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(1)), person(phone=phone(2)))
    victim = desk.rows("select person_id from person where matter_id = :m order by ordinal", m=matter_id)[0].person_id
    erase(desk, victim)
    desk.follow()
    assert desk.statuses(matter_id) == {"failed": 1, "delivered": 1}
    assert desk.rows("select reason from attempt where person_id = :p", p=victim)[0].reason == "no_text"


def test_a_matter_whose_key_is_gone_keeps_no_other_matter_from_being_told(desk: Desk) -> None:
    broken = desk.approved(person(phone=phone(1)), person(post=True))
    whole = desk.approved(person(phone=phone(2)), person(post=True))
    erase(desk, broken)
    desk.follow()
    assert desk.print() is not None
    assert desk.statuses(broken) == {"failed": 2}
    assert desk.statuses(whole) == {"delivered": 1, "handed_over": 1}


@pytest.mark.parametrize("spoilt", ["demand", "person", "contact_point", "recipient"])
def test_what_cannot_be_read_is_given_up_and_keeps_nobody_else_from_being_told(desk: Desk, spoilt: str) -> None:
    broken = desk.approved(person(phone=phone(1), post=True))
    whole = desk.approved(person(phone=phone(2), post=True))
    of_it = (
        f"from {spoilt} where matter_id = :m"
        if spoilt in {"demand", "person"}
        else (f"from {spoilt} join person p using (person_id) where p.matter_id = :m")
    )
    column = {"demand": "demand_id", "person": "person_id", "contact_point": "contact_id", "recipient": "recipient_id"}
    rows = desk.rows(f"select {column[spoilt]} as id {of_it}", m=broken)  # ours
    with desk.tx() as tx:
        for row in rows:
            spoil(tx, spoilt, column[spoilt], row.id, b"spoilt")
    desk.follow()
    assert desk.print() is not None
    assert desk.statuses(broken) == {"failed": 2}
    assert {row.reason for row in desk.rows("select reason from attempt where matter_id = :m", m=broken)} == {
        "unreadable"
    }
    assert desk.statuses(whole) == {"delivered": 1, "handed_over": 1}


@pytest.mark.parametrize("whose", ["person", "matter"])
def test_a_key_that_does_not_open_keeps_nobody_else_from_being_told(desk: Desk, whose: str) -> None:
    broken = desk.approved(person(phone=phone(1), post=True))
    whole = desk.approved(person(phone=phone(2), post=True))
    key = (
        broken if whose == "matter" else desk.rows("select person_id from person where matter_id = :m", m=broken)[0][0]
    )
    with desk.tx() as tx:
        tx.conn.execute(text("update dek set wrapped = 'spoilt' where dek_id = :id"), {"id": key})
    desk.service = replace(desk.service, vault=Vault(desk.service.vault.keys))
    desk.follow()
    assert desk.print() is not None
    assert desk.statuses(broken) == {"failed": 2}
    assert desk.statuses(whole) == {"delivered": 1, "handed_over": 1}


def test_while_a_file_of_keys_is_missing_everybody_waits(desk: Desk, tmp_path: Path) -> None:
    matter_id = desk.approved(person(phone=phone(1)), person(post=True))
    at_home, desk.service = desk.service, replace(desk.service, vault=Vault(KeyRing(tmp_path)))
    with pytest.raises(Sealed):
        desk.send(Channel.SMS)
    with pytest.raises(Sealed):
        desk.print()
    desk.service = at_home
    desk.follow()
    assert desk.print() is not None
    assert desk.statuses(matter_id) == {"delivered": 1, "handed_over": 1}


def spoil(tx: Tx, table: str, key: str, row: UUID, sealed: bytes) -> None:
    tx.conn.execute(text(f"update {table} set sealed = :s where {key} = :id"), {"s": sealed, "id": row})  # noqa: S608 # ours
