"""Rotating the key-encryption key on a real database, with writers at work and with the plug pulled."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.bootstrap import open_packs
from notifier.carriers.base import Callback
from notifier.core.errors import Conflict, Sealed
from notifier.core.person_row import PersonRow
from notifier.store.engine import Database
from notifier.store.keys import open_keyring
from notifier.store.ledger import verify
from notifier.store.migrate import migrate
from notifier.store.vault import Cipher, Vault, unwrap
from notifier.usecases.intake import NewMatter, create_matter
from notifier.usecases.key_rotation import Rotation, rotate
from notifier.usecases.quarantine import quarantine
from tests.installation import DEMAND, NOW, Office, open_office

ROOT = Path(__file__).resolve().parents[2]
Prepare = Callable[[str], object]
FromTemplate = Callable[[Prepare], AbstractContextManager[str]]


@dataclass(frozen=True)
class House:
    """A database of this test's own, with its key folder."""

    url: str
    key_dir: Path
    db: Database

    def vault(self) -> Vault:
        """A vault as a fresh process has it: nothing cached."""
        return Vault(open_keyring(self.key_dir))

    def keks(self) -> set[str]:
        return {path.stem.removeprefix("kek-") for path in self.key_dir.glob("kek-*.key")}


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], object]:
    return partial(migrate, key_dir=tmp_path_factory.mktemp("template") / "keys")


@pytest.fixture
def house(database_from_template: FromTemplate, prepare: "partial[object]", tmp_path: Path) -> Iterator[House]:
    with database_from_template(prepare) as url:
        shutil.copytree(prepare.keywords["key_dir"], tmp_path / "keys")
        db = Database(url)
        yield House(url, tmp_path / "keys", db)
        db.close()


@pytest.fixture
def office(house: House) -> Office:
    return open_office(house.db, house.vault())


def people(count: int) -> list[PersonRow]:
    return [PersonRow(external_id=f"P-{number}", name="Sample Person") for number in range(count)]


def list_people(office: Office, vault: Vault, count: int) -> UUID:
    """A matter with so many people; returns its id."""
    matter = NewMatter(external_id=str(uuid4()), demand=DEMAND)
    with office.db.transaction(office.agency_id) as tx:
        made = create_matter(
            tx,
            matter,
            people(count),
            principal=office.uploader,
            packs=open_packs(),
            edition="draft",
            body_digest=b"",
            vault=vault,
            now=NOW,
        )
    return made.matter_id


def names(house: House, agency_id: UUID) -> list[str]:
    """Every person's name, opened with the key files as they are now."""
    with house.db.transaction(agency_id) as tx:
        rows = tx.conn.execute(text("select person_id, sealed from person")).all()
        ciphers = house.vault().ciphers(tx, [row.person_id for row in rows])
        opened = [ciphers[row.person_id].open(row.sealed, "person.sealed", row.person_id) for row in rows]
    return [PersonRow.model_validate_json(value).name for value in opened]


def turn(house: House, *, wait: Callable[[float], object] = lambda _: None) -> Rotation:
    return rotate(house.db, open_keyring(house.key_dir), now=NOW, wait=wait)


def events(house: House, agency_id: UUID) -> int:
    with house.db.transaction(agency_id) as tx:
        assert verify(tx, agency_id) > 0
        return len(tx.conn.execute(text("select seq from event where type = 'kek.rotated'")).all())


def test_everything_still_opens_and_the_old_key_is_gone(house: House, office: Office) -> None:
    list_people(office, house.vault(), 3)
    other = open_office(house.db, house.vault(), name="Another Agency")
    before = house.keks()
    done = turn(house)
    assert names(house, office.agency_id) == ["Sample Person"] * 3
    assert set(done.destroyed) == before
    assert house.keks() == {done.to}
    assert done.rewrapped == 1 + 1 + 3 + 1  # two agencies, a matter, three people
    assert events(house, office.agency_id) == events(house, other.agency_id) == 1


def test_what_was_erased_stays_shut_in_an_old_backup(house: House, office: Office) -> None:
    list_people(office, house.vault(), 1)
    with house.db.transaction(office.agency_id) as tx:
        backup = tx.conn.execute(
            text("delete from dek where purpose = 'person' returning dek_id, kek_id, wrapped")
        ).one()
    keys = open_keyring(house.key_dir)
    assert unwrap(keys, backup.wrapped, kek_id=backup.kek_id, dek_id=backup.dek_id, agency_id=office.agency_id)
    turn(house)
    with pytest.raises(Sealed):
        unwrap(
            open_keyring(house.key_dir),
            backup.wrapped,
            kek_id=backup.kek_id,
            dek_id=backup.dek_id,
            agency_id=office.agency_id,
        )


def test_a_quarantined_callback_is_sealed_anew(house: House) -> None:
    callback = Callback("https://notices.agency.example.org/callbacks/twilio_sms", {}, b"To=%2B13035550100", NOW)
    quarantine(house.db, callback, carrier="twilio_sms", reason="unreadable", vault=house.vault())
    assert turn(house).resealed == 1
    with house.db.no_agency() as conn:
        row = conn.execute(text("select quarantine_id, kek_id, sealed from quarantine")).one()
    cipher = Cipher(row.quarantine_id, open_keyring(house.key_dir).kek(row.kek_id))
    assert b"303555" in cipher.open(row.sealed, "quarantine.sealed", row.quarantine_id)


def test_lists_come_in_while_keys_are_rotated(house: House, office: Office) -> None:
    vault, stop, faults, stored = house.vault(), threading.Event(), list[BaseException](), list[int]()

    def intake() -> None:
        try:
            while not stop.is_set():
                list_people(office, vault, 5)
                stored.append(5)
        except BaseException as error:  # noqa: BLE001 # told to the test below
            faults.append(error)

    writers = [threading.Thread(target=intake) for _ in range(3)]
    for writer in writers:
        writer.start()
    rotations = [turn(house, wait=lambda _: stop.wait(0.05)) for _ in range(3)]
    stop.set()
    for writer in writers:
        writer.join(20)
    assert not faults
    assert len(names(house, office.agency_id)) == sum(stored) > 0
    assert house.keks() == {rotations[-1].to}


def test_a_writer_under_the_old_key_is_waited_for(house: House, office: Office) -> None:
    vault, dek_id, done = house.vault(), uuid4(), threading.Event()

    def rotation() -> None:
        turn(house)
        done.set()

    with house.db.transaction(office.agency_id) as tx:
        vault.make(tx, [dek_id], "person")
        rotating = threading.Thread(target=rotation)
        rotating.start()
        assert not done.wait(0.3)
    assert done.wait(10)
    rotating.join(10)
    with house.db.transaction(office.agency_id) as tx:
        house.vault().cipher(tx, dek_id)  # opens


def test_who_waited_for_a_key_that_was_retired_takes_the_next_one(house: House) -> None:
    with house.db.no_agency() as retiring:
        retiring.execute(text("update kek set retired_at = now()"))
        found: list[str] = []

        def write() -> None:
            with house.db.no_agency() as conn:
                found.append(open_keyring(house.key_dir).require_current(conn))

        writer = threading.Thread(target=write)
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        kek_id, mark = open_keyring(house.key_dir).make_kek()
        retiring.execute(
            text("insert into kek (kek_id, fingerprint) values (:id, :mark)"), {"id": kek_id, "mark": mark}
        )
    writer.join(10)
    assert found == [kek_id]


@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_killed_in_the_middle_nothing_is_lost_and_the_next_one_finishes(
    house: House, office: Office, chunks: int
) -> None:
    list_people(office, house.vault(), 20)
    victim = subprocess.run(
        [sys.executable, __file__, house.url, str(house.key_dir), str(chunks)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert victim.returncode == -signal.SIGKILL
    assert len(house.keks()) == 2
    assert len(names(house, office.agency_id)) == 20
    list_people(office, house.vault(), 1)
    done = turn(house)
    assert house.keks() == {done.to}
    assert len(names(house, office.agency_id)) == 21
    assert events(house, office.agency_id) > 1


def test_stopped_before_the_old_file_was_destroyed_the_next_one_destroys_it(house: House, office: Office) -> None:
    waits = iter([None])
    with pytest.raises(StopIteration):
        turn(house, wait=lambda _: next(waits))  # the second wait is the last step but one
    assert len(house.keks()) == 2
    done = turn(house)
    assert house.keks() == {done.to}
    assert names(house, office.agency_id) == []


def test_two_rotations_at_once_are_refused(house: House) -> None:
    second: list[Conflict] = []

    def meanwhile(_: float) -> None:
        if not second:
            with pytest.raises(Conflict) as refused:
                turn(house)
            second.append(refused.value)

    turn(house, wait=meanwhile)
    assert [refused.code for refused in second] == ["rotation-in-progress"]


def test_a_missing_old_key_stops_it_before_anything_is_destroyed(house: House, office: Office) -> None:
    list_people(office, house.vault(), 1)
    (old,) = house.keks()
    hidden = house.key_dir / f"kek-{old}.key"
    hidden.rename(house.key_dir / "elsewhere")
    with pytest.raises(Sealed):
        turn(house)
    (house.key_dir / "elsewhere").rename(hidden)
    assert old in house.keks()
    turn(house)
    assert names(house, office.agency_id) == ["Sample Person"]


def test_reading_goes_on_in_a_process_that_knew_the_old_key(house: House, office: Office) -> None:
    vault = house.vault()
    matter_id = list_people(office, vault, 1)
    for _ in range(2):
        turn(house)
        with house.db.transaction(office.agency_id) as tx:
            vault.cipher(tx, matter_id)  # opens
        later = Vault(vault.keys)  # its minute is over
        with house.db.transaction(office.agency_id) as tx:
            later.cipher(tx, matter_id)
        list_people(office, vault, 1)


def _die_after(url: str, key_dir: Path, chunks: int) -> None:
    """Rotate in chunks of two, and be killed after so many of them."""
    seen = []

    def told(done: int) -> None:
        seen.append(done)
        if len(seen) == chunks:
            os.kill(os.getpid(), signal.SIGKILL)

    later = NOW + timedelta(minutes=1)
    rotate(Database(url), open_keyring(key_dir), now=later, chunk=2, wait=lambda _: None, told=told)


if __name__ == "__main__":
    _die_after(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
