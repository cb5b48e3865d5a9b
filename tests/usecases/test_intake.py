"""Lists on their way in: whole or not at all, and nobody is dropped."""

import json
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from notifier.core.codes import parse_code
from notifier.core.errors import Forbidden, Invalid, NotFound
from notifier.core.model import KeyKind, Mode
from notifier.core.person_row import PersonRow
from notifier.store.ledger import read_chain
from notifier.usecases.access import authenticate, create_key
from tests.installation import NOW, open_office
from tests.usecases.desk import ADDRESS, Desk, mailbox, person, phone


@pytest.mark.parametrize("count", [0, 1, 7, 1000, 2345])
def test_rows_in_are_people_stored(desk: Desk, count: int) -> None:
    matter_id = desk.matter()
    received = desk.add(matter_id, (person(f"P-{n}") for n in range(count)))
    assert (received.rows, received.persons, received.unreachable) == (count, count, count)
    rows = desk.rows("select ordinal, row_no from person where matter_id = :m order by ordinal", m=matter_id)
    assert [tuple(row) for row in rows] == [(n, n) for n in range(count)]
    assert desk.one("select persons from matter where matter_id = :m", m=matter_id) == count
    assert desk.one("select rows from roster where roster_id = :r", r=received.roster_id) == count
    assert desk.events(matter_id)["person.listed"] == count


def test_a_person_without_contacts_is_kept_as_unreachable(desk: Desk) -> None:
    matter_id = desk.matter()
    received = desk.add(matter_id, [person("A"), person("B", phone=phone(0)), person("C", phone="12", email="nobody")])
    assert (received.persons, received.unreachable) == (3, 2)
    assert received.contacts == {"sms": 1}
    assert sum(received.problems.values()) == 2
    assert desk.one("select count(*) from contact_point where problem is not null") == 2


def test_every_usable_way_to_reach_somebody_is_counted(desk: Desk) -> None:
    matter_id = desk.matter()
    two = person(phone=[phone(0), phone(1)], email=mailbox(), post=True)
    received = desk.add(matter_id, [two, person(post=ADDRESS | {"city": ""})])
    assert received.contacts == {"sms": 2, "email": 1, "letter": 1}
    assert received.unreachable == 1


def test_the_row_is_kept_as_it_came(desk: Desk) -> None:
    row = person("A-1", name="Sample Ñame", native_name="ናሙና", language="am", phone=phone(0))
    matter_id = desk.matter(row)
    (stored,) = desk.rows("select person_id, sealed from person where matter_id = :m", m=matter_id)
    with desk.tx() as tx:
        opened = desk.service.vault.cipher(tx, stored.person_id).open(stored.sealed, "person.sealed", stored.person_id)
    assert type(row).model_validate_json(opened) == row


def test_everybody_gets_a_code_that_nobody_else_has(desk: Desk) -> None:
    matter_id = desk.matter(*(person() for _ in range(50)))
    rows = desk.rows("select r.* from recipient r join person p using (person_id) where p.matter_id = :m", m=matter_id)
    codes = set()
    with desk.tx() as tx:
        for row in rows:
            sealed = desk.service.vault.cipher(tx, row.person_id).open(row.sealed, "recipient.sealed", row.recipient_id)
            code = json.loads(sealed)["code"]
            assert parse_code(code) == code
            token = desk.service.vault.token("code", code)
            found = tx.conn.execute(text("select agency_id, ref from directory where token = :t"), {"t": token}).one()
            assert (found.agency_id, found.ref) == (desk.office.agency_id, row.person_id)
            codes.add(code)
    assert len(codes) == 50


def test_two_lists_follow_each_other(desk: Desk) -> None:
    matter_id = desk.matter(person("A"), person("B"))
    desk.add(matter_id, [person("C")])
    rows = desk.rows("select ordinal, row_no from person where matter_id = :m order by ordinal", m=matter_id)
    assert [tuple(row) for row in rows] == [(0, 0), (1, 1), (2, 0)]


def test_two_lists_at_once_follow_each_other_too(desk: Desk) -> None:
    matter_id = desk.matter()
    threads = [
        threading.Thread(target=lambda of=of: desk.add(matter_id, (person(f"{of}-{n}") for n in range(300))))
        for of in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    rows = desk.rows("select ordinal from person where matter_id = :m order by ordinal", m=matter_id)
    assert [row.ordinal for row in rows] == list(range(900))
    assert desk.one("select persons from matter where matter_id = :m", m=matter_id) == 900


@pytest.mark.parametrize("place", [0, 999, 1000, 1500])
def test_somebody_who_is_in_the_matter_already_keeps_the_whole_list_out(desk: Desk, place: int) -> None:
    matter_id = desk.matter(person("KNOWN-1042"))
    rows = [person(f"P-{n}") for n in range(1600)]
    rows[place] = person("KNOWN-1042")
    with pytest.raises(Invalid) as caught:
        desk.add(matter_id, rows)
    assert caught.value.code == "duplicate-external-id"
    assert [finding.pointer for finding in caught.value.findings] == [f"/{place}/external_id"]
    assert "KNOWN" not in f"{caught.value}{caught.value.findings}"
    assert everything(desk) == {"person": 1, "roster": 1, "code": 1}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_same_id_written_in_another_way_is_the_same_person(desk: Desk, form: Any) -> None:
    matter_id = desk.matter(person("Peña-1"))
    with pytest.raises(Invalid, match="duplicate-external-id"):
        desk.add(matter_id, [person(unicodedata.normalize(form, "Peña-1"))])
    desk.add(matter_id, [person("Pena-1")])


@pytest.mark.parametrize(("first", "second"), [(0, 1), (3, 1400)])
def test_somebody_who_is_in_a_list_twice_keeps_it_out(desk: Desk, first: int, second: int) -> None:
    matter_id = desk.matter()
    rows = [person(f"P-{n}") for n in range(1600)]
    rows[second] = rows[first]
    with pytest.raises(Invalid) as caught:
        desk.add(matter_id, rows)
    assert caught.value.code == "duplicate-external-id"
    assert [finding.pointer for finding in caught.value.findings] == [f"/{second}/external_id"]
    assert everything(desk) == {"person": 0, "roster": 0, "code": 0}


def test_a_list_that_breaks_off_stores_nothing(desk: Desk) -> None:
    matter_id = desk.matter()

    def rows() -> Iterator[PersonRow]:
        for n in range(1200):
            yield person(f"P-{n}")
        raise Invalid("not-valid", "The rest cannot be read.")

    with pytest.raises(Invalid):
        desk.add(matter_id, rows())
    assert everything(desk) == {"person": 0, "roster": 0, "code": 0}
    assert "person.listed" not in desk.events(matter_id)


def test_the_same_person_may_be_in_two_matters(desk: Desk) -> None:
    one, other = desk.matter(person("A-1")), desk.matter(person("A-1"))
    indexes = desk.rows("select external_index from person")
    assert len({row.external_index for row in indexes}) == 2
    assert one != other


def test_a_matter_of_another_agency_is_unknown(desk: Desk) -> None:
    stranger = open_office(desk.service.db, desk.service.vault)
    theirs = Desk(desk.service, stranger, desk.sandbox, desk.catcher).matter()
    with pytest.raises(NotFound, match="unknown-matter"):
        desk.add(theirs, [person()])


def test_a_matter_that_does_not_exist_is_unknown(desk: Desk) -> None:
    with pytest.raises(NotFound, match="unknown-matter"):
        desk.add(uuid4(), [person()])


def test_a_live_key_writes_to_no_test_matter(desk: Desk) -> None:
    matter_id = desk.matter()
    with desk.tx() as tx:
        officer = desk.office.uploader.officer_id
        key = create_key(
            tx, officer_id=officer, kind=KeyKind.MACHINE, mode=Mode.LIVE, vault=desk.service.vault, now=NOW
        )
    live = authenticate(key.token, db=desk.service.db, vault=desk.service.vault, now=NOW)
    with pytest.raises(Forbidden, match="mode-mismatch"):
        desk.add(matter_id, [person()], principal=live)


def test_a_matters_number_is_used_once(desk: Desk) -> None:
    desk.matter(external_id="2026-118")
    with pytest.raises(Invalid, match="duplicate-matter") as caught:
        desk.matter(person(), external_id="2026-118")
    assert "2026-118" not in f"{caught.value}{caught.value.findings}"
    assert everything(desk)["person"] == 0
    desk.matter(external_id="2026-119")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_matters_number_written_in_another_way_is_the_same_number(desk: Desk, form: Any) -> None:
    desk.matter(external_id="Expediente-Ñ-1")
    with pytest.raises(Invalid, match="duplicate-matter"):
        desk.matter(external_id=unicodedata.normalize(form, "Expediente-Ñ-1"))


def test_a_matters_number_is_used_once_even_by_two_at_once(desk: Desk) -> None:
    outcomes: Counter[str] = Counter()
    barrier = threading.Barrier(4)

    def create() -> None:
        barrier.wait()
        try:
            desk.matter(person(), external_id="2026-118")
            outcomes["created"] += 1
        except Invalid as refused:
            outcomes[refused.code] += 1

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == {"created": 1, "duplicate-matter": 3}


def test_an_unknown_pack_is_refused_and_nothing_is_stored(desk: Desk) -> None:
    with pytest.raises(Invalid, match="unknown-pack") as caught:
        desk.matter(person(), packs=["no-such-pack"])
    assert caught.value.findings[0].pointer == "/packs/0"
    assert desk.one("select count(*) from matter") == 0


def test_the_agencys_default_pack_is_always_bound(desk: Desk) -> None:
    matter_id = desk.matter()
    (bound,) = desk.rows("select pack_id, version, sha256 from matter_pack where matter_id = :m", m=matter_id)
    assert bound.pack_id == "co-agency-default"
    with desk.tx() as tx:
        leaves = [json.loads(body) for body in read_chain(tx, matter_id)]
    assert [leaf["type"] for leaf in leaves] == ["matter.created", "demand.received", "packs.bound"]
    assert leaves[2]["data"]["packs"][0]["sha256"] == bound.sha256.hex()


def everything(desk: Desk) -> dict[str, int]:
    counts = {name: desk.one(f"select count(*) from {name}") for name in ("person", "roster")}  # noqa: S608 # ours
    with desk.service.db.no_agency() as conn:
        query = text("select count(*) from directory where kind = 'code' and agency_id = :agency")
        return counts | {"code": conn.execute(query, {"agency": desk.office.agency_id}).scalar_one()}
