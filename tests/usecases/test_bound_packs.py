"""A matter follows the packs that it was bound to, in those very bytes, whatever is installed later."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from notifier.core.errors import Invalid
from notifier.core.pack_files import load_packs
from notifier.core.policy import DEFAULT_PACK, PlanRow
from notifier.usecases.matters import bound_packs
from tests.usecases.desk import Desk, person, phone

FILE = f"{DEFAULT_PACK}.toml"


def test_a_matter_follows_the_pack_that_it_was_bound_to_and_not_the_one_installed_since(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    install(
        desk, lambda file: file.replace("delay_hours = 72", "delay_hours = 50").replace("version = 2", "version = 3")
    )
    later = desk.approved(person(phone=phone(0, area=720)))
    desk.follow()
    assert [plan_of(desk, each)[0].delay.total_seconds() / 3600 for each in (matter_id, later)] == [72, 50]
    for each in (matter_id, later):
        desk.advance(each, hours=51)
    assert [sum(desk.statuses(each).values()) for each in (matter_id, later)] == [1, 2]
    desk.advance(matter_id, hours=22)
    assert sum(desk.statuses(matter_id).values()) == 2


def test_a_matter_whose_pack_was_taken_away_goes_on(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    desk.service = replace(desk.service, packs={})
    assert desk.approve(matter_id).attempts == {"sms": 1}
    desk.follow()
    desk.advance(matter_id, days=3)
    assert sum(desk.statuses(matter_id).values()) == 2


@pytest.mark.parametrize("kept", [None, b"id = 'x'", b"other bytes than those that were bound"])
def test_without_its_pack_a_matter_sends_nothing_and_a_caseworker_is_told_once(desk: Desk, kept: bytes | None) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    waiting = desk.matter(person(phone=phone(0, area=720)))
    spoil(desk, kept)
    for _ in range(3):
        desk.advance(matter_id, days=3)
    assert sum(desk.statuses(matter_id).values()) == 1
    assert [row.kind for row in desk.rows("select kind from task where subject_id = :m", m=matter_id)] == ["review"]
    assert desk.one("select look_at > now() from notice") is True
    with pytest.raises(Invalid) as refused:
        desk.approve(waiting)
    assert refused.value.code == "unknown-pack"


def test_a_pack_that_this_release_cannot_read_is_not_followed(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    unread = b'id = "co-agency-default"\nfrom_a_later_release = true\n'
    with desk.tx() as tx:
        tx.conn.execute(
            text("update matter_pack set content = :content, sha256 = :sha"),
            {"content": unread, "sha": hashlib.sha256(unread).digest()},
        )
    with pytest.raises(Invalid), desk.tx() as tx:
        bound_packs(tx, matter_id, desk.service.packs)


def install(desk: Desk, change: Callable[[str], str]) -> None:
    changed = change(desk.service.packs[DEFAULT_PACK].content.decode()).encode()
    desk.service = replace(desk.service, packs=load_packs({FILE: changed}))


def spoil(desk: Desk, kept: bytes | None) -> None:
    """Another version is installed, and what was kept is not what was bound."""
    install(desk, lambda file: file + "\n# changed\n")
    with desk.tx() as tx:
        tx.conn.execute(text("update matter_pack set content = :kept"), {"kept": kept})


def plan_of(desk: Desk, matter_id: UUID) -> list[PlanRow]:
    with desk.tx() as tx:
        (pack,) = bound_packs(tx, matter_id, desk.service.packs)
    return [row for row in pack.plan if row.id == "sms-second"]
