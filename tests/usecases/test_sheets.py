"""A code belongs to one person in the whole installation, even where chance gives it out twice."""

import json
from collections import Counter
from collections.abc import Iterator
from uuid import UUID, uuid4

from sqlalchemy import text

from notifier.core import codes
from notifier.store.engine import Tx
from notifier.usecases import people
from notifier.usecases.sheets import SheetWriter
from tests.installation import NOW
from tests.usecases.desk import Desk, person, phone


def test_a_code_that_somebody_has_is_given_to_nobody_else(desk: Desk) -> None:
    matter_id = desk.matter()
    taken, first, second, third = (codes.new_code(bytes(15) + bytes([number])) for number in range(4))
    with desk.tx() as tx:
        _write(desk, tx, matter_id, drawn=[0], people=1)
    with desk.tx() as tx:
        _write(desk, tx, matter_id, drawn=[0, 1, 1, 0, 2, 1, 3], people=3)
    given = _codes(desk, matter_id)
    assert sorted(given.values()) == sorted([taken, first, second, third])
    with desk.tx() as tx:
        for person_id, code in given.items():
            assert desk.service.vault.token("code", code) == _index(desk, person_id)
    refs = desk.rows("select ref from directory where kind = 'code' and ref = any(:people)", people=list(given))
    assert {row.ref for row in refs} == set(given)


def _write(desk: Desk, tx: Tx, matter_id: UUID, *, drawn: list[int], people: int) -> None:
    source: Iterator[bytes] = (bytes(15) + bytes([number]) for number in drawn)
    already = desk.one("select count(*) from person where matter_id = :m", m=matter_id)
    writer = SheetWriter(
        tx,
        matter_id,
        uuid4(),
        already=already,
        actor=desk.office.uploader.actor,
        vault=desk.service.vault,
        now=NOW,
        random=lambda _: next(source),
    )
    for _ in range(people):
        writer.add(person())
    assert len(writer) == people
    assert len(writer.store()) == people
    assert len(writer) == 0


def _codes(desk: Desk, matter_id: UUID) -> dict[UUID, str]:
    rows = desk.rows("select r.* from recipient r join person p using (person_id) where p.matter_id = :m", m=matter_id)
    found = {}
    with desk.tx() as tx:
        for row in rows:
            cipher = desk.service.vault.cipher(tx, row.person_id)
            found[row.person_id] = json.loads(cipher.open(row.sealed, "recipient.sealed", row.recipient_id))["code"]
    return found


def _index(desk: Desk, person_id: UUID) -> bytes:
    index: bytes = desk.one("select code_index from recipient where person_id = :p", p=person_id)
    return index


def test_what_is_stored_already_is_not_read_again_for_each_sheet(desk: Desk) -> None:
    matter_id = desk.matter()
    with desk.tx() as tx:
        before = rows_read(tx)  # what this connection has read and not reported yet counts, too
        people.add_people(
            tx,
            matter_id,
            (person(f"P-{number}", phone=phone(number % 50)) for number in range(2 * people.SHEET + 1)),
            format="ndjson",
            body_digest=bytes(32),
            principal=desk.office.uploader,
            vault=desk.service.vault,
            now=NOW,
        )
        counts = rows_read(tx) - before
    assert counts.total() < people.SHEET / 2, counts


def rows_read(tx: Tx) -> Counter[str]:
    """How many rows of each table the transaction has read."""
    read = tx.conn.execute(text("select relname, seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables"))
    return Counter({name: count for name, count in read if count})
