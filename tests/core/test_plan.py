"""What is sent next: to each usable contact once for each row of the plan, never to any other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.model import CHANNEL_OF, Channel, ContactKind, ContactPoint, PostalAddress, PostService, TaskKind
from notifier.core.pack_files import load_packs
from notifier.core.plan import (
    AT_ONCE,
    SOONEST_LOOK,
    UNTOLD,
    History,
    Ordered,
    PlannedAttempt,
    next_attempts,
    next_look,
    next_tasks,
)
from notifier.core.policy import Evidence, PlanRow, Reach, bind, plan_of

FOLDER = Path(__file__).parents[2] / "config" / "packs"
DEFAULT_PLAN = plan_of(bind([], load_packs({path.name: path.read_bytes() for path in FOLDER.glob("*.toml")})))
FIRST_PLAN = tuple(row for row in DEFAULT_PLAN if not row.delay)

Id = TypeVar("Id", int, str)

NOW = datetime(2026, 6, 5, 15, 0, tzinfo=UTC)
APPROVED = {Evidence.APPROVAL: NOW}

PHONE = ContactPoint(ContactKind.PHONE, "+13035550142")
MAILBOX = ContactPoint(ContactKind.EMAIL, "maria@example.org")
HOME = ContactPoint(ContactKind.POST, "", PostalAddress(("1313 Sherman Street",), "Denver", "CO", "80203"))

SECOND_LETTER = PlanRow(
    "letter-second",
    Channel.LETTER,
    Evidence.HANDED_OVER,
    timedelta(days=5),
    max_attempts=2,
    unless=frozenset({Evidence.ACCESSED}),
)

quick = settings(deadline=None, max_examples=200)
points = st.builds(
    lambda kind, value, problem: ContactPoint(kind, value, problem=problem),
    st.sampled_from(ContactKind),
    st.text("0123456789", max_size=4),
    st.sampled_from([None, None, "empty"]),
)
people = st.lists(points, max_size=6).map(lambda found: dict(enumerate(found)))
evidence_sets = st.frozensets(st.sampled_from(Evidence), max_size=3)
rows = st.builds(
    PlanRow,
    st.sampled_from([f"row-{n}" for n in range(8)]),
    st.sampled_from(Channel),
    st.sampled_from(Evidence),
    st.integers(0, 240).map(lambda hours: timedelta(hours=hours)),
    st.integers(1, 3),
    evidence_sets,
    evidence_sets,
    contacts=st.sampled_from([Reach.ALL, Reach.ALL, Reach.FIRST, Reach.NEXT]),
    min_spacing=st.sampled_from([0, 0, 24, 48]).map(lambda hours: timedelta(hours=hours)),
)
plans = st.lists(rows, max_size=8, unique_by=lambda row: row.id)
happenings = st.dictionaries(st.sampled_from(Evidence), st.integers(0, 300).map(lambda h: NOW - timedelta(hours=h)))


def done(attempts: Sequence[PlannedAttempt[int]], now: datetime = NOW) -> list[Ordered[int]]:
    return [Ordered(attempt.contact, attempt.row, now + attempt.due_in) for attempt in attempts]


def test_letter_email_and_text_message_go_out_at_once_where_there_are_contacts() -> None:
    contacts = {"p": PHONE, "m": MAILBOX, "h": HOME}
    found = next_attempts(FIRST_PLAN, contacts, History(APPROVED), now=NOW)
    assert {(attempt.contact, attempt.channel, attempt.due_in) for attempt in found} == {
        ("h", Channel.LETTER, AT_ONCE),
        ("m", Channel.EMAIL, AT_ONCE),
        ("p", Channel.SMS, AT_ONCE),
    }


def test_nothing_is_planned_before_the_approval() -> None:
    assert next_attempts(FIRST_PLAN, {0: PHONE}, History({}), now=NOW) == ()


@quick
@given(people)
def test_the_first_plan_uses_every_usable_contact_once_and_no_other(contacts: dict[int, ContactPoint]) -> None:
    found = next_attempts(FIRST_PLAN, contacts, History(APPROVED), now=NOW)
    assert sorted(attempt.contact for attempt in found) == [key for key, point in contacts.items() if point.usable]
    assert all(CHANNEL_OF[contacts[attempt.contact].kind] is attempt.channel for attempt in found)


@quick
@given(people)
def test_a_person_without_usable_contacts_gets_no_attempt(contacts: dict[int, ContactPoint]) -> None:
    unusable = {key: replace(point, problem="empty") for key, point in contacts.items()}
    assert next_attempts(FIRST_PLAN, unusable, History(APPROVED), now=NOW) == ()


@quick
@given(plan=plans, contacts=people, evidence=happenings)
def test_asking_again_with_what_was_planned_gives_nothing(
    plan: list[PlanRow], contacts: dict[int, ContactPoint], evidence: dict[Evidence, datetime]
) -> None:
    first = next_attempts(plan, contacts, History(evidence), now=NOW)
    assert next_attempts(plan, contacts, History(evidence), now=NOW) == first
    assert next_attempts(plan, contacts, History(evidence, done(first)), now=NOW) == ()


@quick
@given(
    plan=plans,
    contacts=people,
    moments=st.lists(st.tuples(st.integers(-48, 600), happenings), max_size=6),
)
def test_over_a_whole_life_no_contact_gets_a_row_twice_nor_more_than_the_row_allows(
    plan: list[PlanRow], contacts: dict[int, ContactPoint], moments: list[tuple[int, dict[Evidence, datetime]]]
) -> None:
    attempts: list[Ordered[int]] = []
    evidence: dict[Evidence, datetime] = {}
    most = {row.id: row.max_attempts for row in plan}
    for hours, news in moments:
        evidence = {**news, **evidence}
        found = next_attempts(plan, contacts, History(evidence, attempts), now=NOW + timedelta(hours=hours))
        for attempt in found:
            assert contacts[attempt.contact].usable
            assert attempt.due_in >= AT_ONCE
            assert sum(one.contact == attempt.contact for one in attempts) < most[attempt.row]
            attempts += done([attempt], NOW + timedelta(hours=hours))
    assert len(attempts) == len({(one.contact, one.row) for one in attempts})


def test_a_second_letter_waits_five_days_and_is_not_planned_while_the_person_may_still_answer() -> None:
    plan = (*FIRST_PLAN, SECOND_LETTER)
    history = History({Evidence.APPROVAL: NOW, Evidence.HANDED_OVER: NOW}, [Ordered(0, FIRST_PLAN[0].id, NOW)])
    assert next_attempts(plan, {0: HOME}, history, now=NOW + timedelta(days=4)) == ()
    found = next_attempts(plan, {0: HOME}, history, now=NOW + timedelta(days=5))
    assert found == (PlannedAttempt(0, Channel.LETTER, "letter-second", AT_ONCE),)


def test_a_person_who_opened_the_page_gets_no_second_letter() -> None:
    evidence = {Evidence.APPROVAL: NOW, Evidence.HANDED_OVER: NOW, Evidence.ACCESSED: NOW + timedelta(days=1)}
    history = History(evidence, [Ordered(0, FIRST_PLAN[0].id, NOW)])
    assert next_attempts((*FIRST_PLAN, SECOND_LETTER), {0: HOME}, history, now=NOW + timedelta(days=9)) == ()


def test_a_delayed_row_that_nothing_can_stop_is_planned_at_once_for_its_time() -> None:
    row = replace(SECOND_LETTER, after=Evidence.APPROVAL, unless=frozenset())
    found = next_attempts([row], {0: HOME}, History(APPROVED), now=NOW + timedelta(days=2))
    assert found == (PlannedAttempt(0, Channel.LETTER, "letter-second", timedelta(days=3)),)


def test_a_contact_that_came_later_gets_its_first_message() -> None:
    first = next_attempts(FIRST_PLAN, {0: PHONE}, History(APPROVED), now=NOW)
    found = next_attempts(FIRST_PLAN, {0: PHONE, 1: HOME}, History(APPROVED, done(first)), now=NOW)
    assert [(attempt.contact, attempt.channel) for attempt in found] == [(1, Channel.LETTER)]


def test_of_the_default_plan_a_second_email_and_text_message_go_on_day_three_and_a_certified_letter_on_day_five() -> (
    None
):
    contacts = {"p": PHONE, "m": MAILBOX, "h": HOME}
    assert walk(DEFAULT_PLAN, contacts, {}, hours=24 * 400) == {
        ("h", "letter-first"): 0,
        ("m", "email-first"): 0,
        ("p", "sms-first"): 0,
        ("m", "email-second"): 72,
        ("p", "sms-second"): 72,
        ("h", "letter-certified"): 120,
    }


def test_the_certified_letter_never_overtakes_the_plain_one() -> None:
    late = NOW + timedelta(days=6)
    waits = [Ordered("h", "co-agency-default/letter-first", late)]  # still in the house on day 6
    history = History({Evidence.APPROVAL: NOW}, waits)
    assert next_attempts(DEFAULT_PLAN, {"h": HOME}, history, now=late) == ()
    assert next_look(DEFAULT_PLAN, {"h": HOME}, history, now=late) == late + timedelta(hours=48)


def test_only_the_certified_letter_is_certified() -> None:
    services = {row.id.partition("/")[2]: row.service for row in DEFAULT_PLAN if row.service}
    assert services == {"letter-certified": PostService.CERTIFIED}


def test_a_row_for_another_contact_takes_the_next_that_had_no_message_yet_and_only_one() -> None:
    first = PlanRow("first", Channel.SMS, Evidence.APPROVAL, AT_ONCE, 1, contacts=Reach.FIRST)
    other = PlanRow("other", Channel.SMS, Evidence.FAILED, AT_ONCE, 1, contacts=Reach.NEXT)
    phones = {0: replace(PHONE, problem="flagged"), 1: PHONE, 2: PHONE, 3: PHONE}
    once = next_attempts([first, other], phones, History(APPROVED), now=NOW)
    assert [(one.contact, one.row) for one in once] == [(1, "first")]
    failed = History({**APPROVED, Evidence.FAILED: NOW}, done(once))
    again = next_attempts([first, other], phones, failed, now=NOW)
    assert [(one.contact, one.row) for one in again] == [(2, "other")]
    assert next_attempts([first, other], phones, replace(failed, attempts=done([*once, *again])), now=NOW) == ()


def test_messages_to_one_contact_keep_their_distance_and_other_contacts_do_not_wait() -> None:
    apart = PlanRow("b", Channel.SMS, Evidence.APPROVAL, AT_ONCE, 2, min_spacing=timedelta(hours=48))
    first = replace(apart, id="a", min_spacing=AT_ONCE)
    found = next_attempts([first, apart], {0: PHONE, 1: MAILBOX}, History(APPROVED), now=NOW)
    assert [(one.row, one.due_in) for one in found] == [("a", AT_ONCE), ("b", timedelta(hours=48))]


CALL = PlanRow(
    "call", None, Evidence.APPROVAL, timedelta(days=2), 1, unless=frozenset({Evidence.ACCESSED}), task=TaskKind.CALL
)


def test_a_call_is_asked_for_once_when_its_time_has_come_and_never_of_somebody_who_answered() -> None:
    history: History[int] = History(APPROVED)
    assert next_tasks([CALL], history, now=NOW + timedelta(days=1)) == ()
    assert next_look([CALL], {}, history, now=NOW + timedelta(days=1)) == NOW + timedelta(days=2)
    assert next_tasks([CALL], history, now=NOW + timedelta(days=2)) == (TaskKind.CALL,)
    asked = replace(history, tasks=[TaskKind.CALL])
    assert next_tasks([CALL], asked, now=NOW + timedelta(days=3)) == ()
    assert next_look([CALL], {}, asked, now=NOW + timedelta(days=3)) is None
    answered: History[int] = History({**APPROVED, Evidence.ACCESSED: NOW})
    assert next_tasks([CALL], answered, now=NOW + timedelta(days=3)) == ()
    assert next_look([CALL], {}, answered, now=NOW) is None


def test_a_plan_that_only_sends_at_once_is_not_looked_at_again() -> None:
    contacts = {0: PHONE, 1: HOME}
    history = History(APPROVED, done(next_attempts(FIRST_PLAN, contacts, History(APPROVED), now=NOW)))
    assert next_look(FIRST_PLAN, contacts, history, now=NOW) is None


def test_where_nothing_is_under_way_nobody_waits_for_a_delivery() -> None:
    row = replace(DEFAULT_PLAN[0], id="after-delivery", after=Evidence.DELIVERED, max_attempts=5)
    contacts = {0: ContactPoint(ContactKind.POST, "")}
    history: History[int] = History({Evidence.APPROVAL: NOW}, [Ordered(0, "other", NOW)])
    assert next_look([row], contacts, history, now=NOW) is not None
    assert next_look([row], contacts, history, now=NOW, word_may_come=False) is None


def test_what_nobody_tells_is_looked_for_ever_more_rarely() -> None:
    row = replace(SECOND_LETTER, after=Evidence.DELIVERED, delay=AT_ONCE)
    waits = []
    now = NOW
    for _ in range(6):
        found = next_look([row], {0: HOME}, History(APPROVED), now=now)
        assert found is not None
        waits.append(found - now)
        now = found
    assert waits[0] == SOONEST_LOOK
    assert waits == sorted(waits)
    assert waits[-1] >= timedelta(hours=16)


@quick
@given(plan=plans, contacts=people, evidence=happenings, hours=st.integers(0, 500))
def test_after_everything_due_is_ordered_the_next_look_is_later_than_now(
    plan: list[PlanRow], contacts: dict[int, ContactPoint], evidence: dict[Evidence, datetime], hours: int
) -> None:
    now = NOW + timedelta(hours=hours)
    first = next_attempts(plan, contacts, History(evidence), now=now)
    look = next_look(plan, contacts, History(evidence, done(first, now)), now=now)
    assert look is None or look > now


told_rows = rows.filter(lambda row: not ({row.after} | row.needs | row.unless) & UNTOLD)
told = st.dictionaries(st.sampled_from(sorted(set(Evidence) - UNTOLD - {Evidence.APPROVAL})), st.integers(0, 90))


@settings(deadline=None, max_examples=100)
@given(plan=st.lists(told_rows, max_size=5, unique_by=lambda row: row.id), contacts=people, news=told)
def test_looking_only_when_told_to_orders_the_same_as_looking_every_hour(
    plan: list[PlanRow], contacts: dict[int, ContactPoint], news: dict[Evidence, int]
) -> None:
    assert walk(plan, contacts, news, hours=400) == walk(plan, contacts, news, hours=400, every_hour=True)


def walk(
    plan: Sequence[PlanRow],
    contacts: Mapping[Id, ContactPoint],
    news: Mapping[Evidence, int],
    *,
    hours: int,
    every_hour: bool = False,
) -> dict[tuple[Id, str], int]:
    """The hour in which each message goes, by contact and row: a life of a notice, of which `news` tells the hours."""
    attempts: list[Ordered[Id]] = []
    happened = {Evidence.APPROVAL: 0, **news}
    look: float | None = 0
    for hour in range(hours):
        if not (every_hour or hour in news.values() or (look is not None and look <= hour)):
            continue
        now = NOW + timedelta(hours=hour)
        evidence = {kind: NOW + timedelta(hours=at) for kind, at in happened.items() if at <= hour}
        found = next_attempts(plan, contacts, History(evidence, attempts), now=now)
        attempts += [Ordered(one.contact, one.row, now + one.due_in) for one in found]
        later = next_look(plan, contacts, History(evidence, attempts), now=now)
        look = None if later is None else (later - NOW) / timedelta(hours=1)
    return {(one.contact, one.row.rpartition("/")[2]): (one.at - NOW) // timedelta(hours=1) for one in attempts}
