"""Two humans stand behind every notice: whoever entered the rows, and whoever lets the notices go out."""

import json
import threading
from collections import Counter
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.core.errors import Forbidden, Invalid, NotFound, Refused
from notifier.core.model import Channel, KeyKind, Mode, Nondisclosure, Role
from notifier.store.ledger import read_chain
from notifier.usecases.access import Principal, Scope, authenticate, create_key, revoke_key
from tests.installation import NOW, open_office
from tests.usecases.around import key_of, own_key
from tests.usecases.desk import Desk, mailbox, person, phone


def test_approval_orders_one_notice_a_person_and_one_attempt_a_way(desk: Desk) -> None:
    matter_id = desk.matter(
        person("A", phone=phone(0), email=mailbox(), post=True), person("B", phone="12"), person("C")
    )
    approved = desk.approve(matter_id)
    assert (approved.persons, approved.unreachable) == (3, 2)
    assert approved.attempts == {"sms": 1, "email": 1, "letter": 1}
    assert desk.one("select count(*) from notice where matter_id = :m", m=matter_id) == 3
    assert desk.statuses(matter_id) == {"planned": 3}
    assert desk.events(matter_id)["notice.ordered"] == 3
    assert desk.events(matter_id)["sending.approved"] == 1
    assert {row.channel for row in desk.rows("select channel from open_work where matter_id = :m", m=matter_id)} == {
        "sms",
        "email",
        "letter",
    }


def test_two_contact_points_of_one_kind_are_both_written_to(desk: Desk) -> None:
    assert desk.approve(desk.matter(person(phone=[phone(0), phone(1)]))).attempts == {"sms": 2}


def test_whoever_entered_the_list_cannot_approve_it(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with pytest.raises(Forbidden, match="second-officer-needed"):
        desk.approve(matter_id, principal=own_key(desk))
    assert nothing_was_ordered(desk, matter_id)


def test_two_officers_with_a_list_each_approve_the_other_ones(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    seconds = desk.add(matter_id, [person(phone=phone(1)), person(phone=phone(2))], principal=desk.office.approver)
    assert desk.approve(matter_id, principal=desk.office.approver).persons == 1
    with pytest.raises(Forbidden, match="second-officer-needed"):
        desk.approve(matter_id, principal=desk.office.approver)
    approved = desk.approve(matter_id, principal=own_key(desk))
    assert (approved.lists, approved.persons) == ((seconds.roster_id,), 2)


def test_an_officer_approves_the_lists_they_looked_at_and_no_later_one(desk: Desk) -> None:
    matter_id = desk.matter()
    looked_at = desk.add(matter_id, [person(phone=phone(0))])
    later = desk.add(matter_id, [person(phone=phone(1))])
    approved = desk.approve(matter_id, lists=[looked_at.roster_id])
    assert (approved.lists, approved.persons) == ((looked_at.roster_id,), 1)
    for named in ([looked_at.roster_id], [later.roster_id, uuid4()]):
        with pytest.raises(Invalid, match="list-not-waiting"):
            desk.approve(matter_id, lists=named)
    assert desk.approve(matter_id, lists=[later.roster_id]).persons == 1


def test_a_list_of_ones_own_that_is_named_is_refused(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    own = desk.add(matter_id, [person(phone=phone(1))], principal=desk.office.approver)
    with pytest.raises(Forbidden, match="second-officer-needed"):
        desk.approve(matter_id, lists=[own.roster_id])
    assert nothing_was_ordered(desk, matter_id)


def test_an_officer_without_the_role_cannot_approve(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    watching = replace(desk.office.approver, roles=frozenset({Role.VIEWER, Role.CASEWORKER, Role.AUDITOR}))
    with pytest.raises(Forbidden, match="role-missing"):
        desk.approve(matter_id, principal=watching)
    assert nothing_was_ordered(desk, matter_id)


@pytest.mark.parametrize("kind", [Nondisclosure.COURT_ORDER, Nondisclosure.STATUTE])
def test_nobody_is_told_while_an_order_may_forbid_it(desk: Desk, kind: Nondisclosure) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with desk.tx() as tx:
        tx.conn.execute(text("update demand set nondisclosure = :kind"), {"kind": kind.value})
    with pytest.raises(Invalid, match="nondisclosure-on-file"):
        desk.approve(matter_id)
    assert nothing_was_ordered(desk, matter_id)


def test_a_mere_request_to_keep_silent_stops_nobody(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with desk.tx() as tx:
        assert set(tx.conn.execute(text("select nondisclosure from demand")).scalars()) == {"request"}
    assert desk.approve(matter_id).persons == 1


def test_a_lone_officer_may_approve_in_test_where_the_agency_lets_them(desk: Desk) -> None:
    with desk.tx() as tx:
        tx.conn.execute(text("update agency set lone_officer_in_test = true"))
    matter_id = desk.matter(person(phone=phone(0)))
    assert desk.approve(matter_id, principal=own_key(desk)).persons == 1
    with desk.tx() as tx:
        leaves = [json.loads(body) for body in read_chain(tx, matter_id)]
    assert [leaf["data"]["alone"] for leaf in leaves if leaf["type"] == "sending.approved"] == [True]


def test_a_lone_officer_never_approves_a_live_matter(desk: Desk) -> None:
    live = Desk(
        desk.service, open_office(desk.service.db, desk.service.vault, mode=Mode.LIVE), desk.sandbox, desk.catcher
    )
    with live.tx() as tx:
        tx.conn.execute(text("update agency set lone_officer_in_test = true"))
    matter_id = live.matter(person(phone=phone(0)))
    with pytest.raises(Forbidden, match="second-officer-needed"):
        live.approve(matter_id, principal=own_key(live))
    assert live.approve(matter_id).persons == 1


def test_a_machine_key_cannot_approve(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with pytest.raises(Forbidden, match="scope-missing"):
        desk.approve(matter_id, principal=desk.office.uploader)
    assert nothing_was_ordered(desk, matter_id)


def test_a_machine_key_cannot_be_given_the_scope_to_approve(desk: Desk) -> None:
    for scope in (Scope.SENDING_APPROVE, Scope.MAILROOM):
        with desk.tx() as tx, pytest.raises(Invalid, match="scope-not-for-machines"):
            create_key(
                tx,
                officer_id=desk.office.uploader.officer_id,
                kind=KeyKind.MACHINE,
                mode=Mode.TEST,
                scopes=[scope],
                vault=desk.service.vault,
                now=NOW,
            )


def test_a_machine_key_that_has_the_scope_all_the_same_cannot_approve(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    second = desk.office.approver
    forged = Principal(second.agency_id, second.officer_id, second.key_id, KeyKind.MACHINE, Mode.TEST, frozenset(Scope))
    with pytest.raises(Forbidden, match="personal-key-needed"):
        desk.approve(matter_id, principal=forged)


@pytest.mark.parametrize("scopes", [set(), {Scope.MATTER_READ}, set(Scope) - {Scope.SENDING_APPROVE}])
def test_a_personal_key_without_the_scope_cannot_approve(desk: Desk, scopes: set[Scope]) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with pytest.raises(Forbidden, match="scope-missing"):
        desk.approve(matter_id, principal=key_of(desk, desk.office.approver.officer_id, scopes=scopes))


def test_a_live_key_approves_no_test_matter(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with pytest.raises(Forbidden, match="mode-mismatch"):
        desk.approve(matter_id, principal=key_of(desk, desk.office.approver.officer_id, mode=Mode.LIVE))


def test_a_test_matter_is_never_sent_through_a_real_carrier(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with pytest.raises(Invalid, match="real-carrier-in-test-mode"):
        desk.approve(matter_id, carriers_are_real=True)
    assert nothing_was_ordered(desk, matter_id)


def test_a_test_matter_approved_before_the_carrier_became_real_stays_where_it_is(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    assert desk.send(Channel.SMS, modes=[Mode.LIVE]) == 0
    assert desk.statuses(matter_id) == {"planned": 1}


@pytest.mark.parametrize("listed", [False, True])
def test_there_is_nothing_to_approve_twice(desk: Desk, *, listed: bool) -> None:
    matter_id = desk.matter(*([person(phone=phone(0))] if listed else []))
    if listed:
        desk.approve(matter_id)
    with pytest.raises(Invalid, match="nothing-to-approve"):
        desk.approve(matter_id)


def test_a_second_list_is_approved_for_its_own_people_only(desk: Desk) -> None:
    matter_id = desk.approved(person("A", phone=phone(0)), person("B", phone=phone(1)))
    desk.follow()
    desk.add(matter_id, [person("C", phone=phone(2)), person("D")])
    assert desk.send(Channel.SMS) == 0
    approved = desk.approve(matter_id)
    assert (approved.persons, approved.unreachable, approved.attempts) == (2, 1, {"sms": 1})
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 3}
    assert set(desk.taken(matter_id).values()) == {1}
    assert desk.one("select count(*) from notice where matter_id = :m", m=matter_id) == 4


def test_approved_twice_at_once_orders_once(desk: Desk) -> None:
    matter_id = desk.matter(*(person(phone=phone(n)) for n in range(20)))
    outcomes: Counter[str] = Counter()

    def approve() -> None:
        try:
            desk.approve(matter_id)
            outcomes["approved"] += 1
        except Refused as refused:
            outcomes[refused.code] += 1

    threads = [threading.Thread(target=approve) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == {"approved": 1, "nothing-to-approve": 2}
    assert desk.statuses(matter_id) == {"planned": 20}


def test_an_unknown_matter_and_another_agencys_matter_are_equally_unknown(desk: Desk) -> None:
    stranger = open_office(desk.service.db, desk.service.vault)
    theirs = Desk(desk.service, stranger, desk.sandbox, desk.catcher).matter(person(phone=phone(0)))
    for matter_id in (theirs, uuid4()):
        with pytest.raises(NotFound, match="unknown-matter: There is no such matter"):
            desk.approve(matter_id)


def test_a_channel_without_a_carrier_is_left_out_and_nobody_is_lost(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)), person(post=True))
    desk.service = replace(desk.service, carrier_of=LETTERS_ONLY)
    approved = desk.approve(matter_id)
    assert (approved.persons, approved.unreachable, approved.attempts) == (2, 1, {"letter": 1})


# Keys.


@pytest.mark.parametrize("way", ["unknown", "revoked", "expired", "too short", "not ours", "officer gone"])
def test_no_key_that_does_not_hold_opens_anything_and_none_tells_why(desk: Desk, way: str) -> None:
    token, now = desk.office.personal_token, NOW
    if way == "unknown":
        token = token[:-1] + ("A" if token[-1] != "A" else "B")
    elif way == "revoked":
        with desk.tx() as tx:
            revoke_key(tx, desk.office.approver.key_id, now=NOW)
    elif way == "expired":
        now = NOW.replace(year=2027)
    elif way == "too short":
        token = "ntf_test_x"
    elif way == "not ours":
        token = "sk_" + token[4:]
    else:
        with desk.tx() as tx:
            tx.conn.execute(text("update officer set removed_at = now()"))
    with pytest.raises(Forbidden) as caught:
        authenticate(token, db=desk.service.db, vault=desk.service.vault, now=now)
    assert str(caught.value) == "invalid-key: The key is unknown, revoked or expired."


def test_a_key_is_kept_nowhere(desk: Desk) -> None:
    secret = desk.office.machine_token.split("_", 2)[2]  # it may hold the sign itself
    rows = [*desk.rows("select * from api_key"), *desk.rows("select body from event")]
    assert secret.encode() not in repr(rows).encode()
    with desk.service.db.no_agency() as conn:
        assert secret not in repr(conn.execute(text("select * from directory")).all())


LETTERS_ONLY = {Channel.LETTER: "mailroom_letter"}


def nothing_was_ordered(desk: Desk, matter_id: UUID) -> bool:
    return desk.statuses(matter_id) == {} and desk.send(Channel.SMS, Channel.EMAIL) == 0
