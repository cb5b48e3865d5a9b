"""What is sent next: to each usable contact once for each row of the plan, never to any other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.model import CHANNEL_OF, Channel, ContactKind, ContactPoint, PostalAddress
from notifier.core.pack_files import load_packs
from notifier.core.plan import AT_ONCE, History, PlannedAttempt, next_attempts
from notifier.core.policy import Evidence, PlanRow, bind, plan_of

FOLDER = Path(__file__).parents[2] / "config" / "packs"
FIRST_PLAN = plan_of(bind([], load_packs({path.name: path.read_bytes() for path in FOLDER.glob("*.toml")})))

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
)
plans = st.lists(rows, max_size=8, unique_by=lambda row: row.id)
happenings = st.dictionaries(st.sampled_from(Evidence), st.integers(0, 300).map(lambda h: NOW - timedelta(hours=h)))


def done(attempts: tuple[PlannedAttempt[int], ...]) -> list[tuple[int, str]]:
    return [(attempt.contact, attempt.row) for attempt in attempts]


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
    attempts: list[tuple[int, str]] = []
    evidence: dict[Evidence, datetime] = {}
    most = {row.id: row.max_attempts for row in plan}
    for hours, news in moments:
        evidence = {**news, **evidence}
        found = next_attempts(plan, contacts, History(evidence, attempts), now=NOW + timedelta(hours=hours))
        for attempt in found:
            assert contacts[attempt.contact].usable
            assert attempt.due_in >= AT_ONCE
            assert sum(contact == attempt.contact for contact, _ in attempts) < most[attempt.row]
            attempts.append((attempt.contact, attempt.row))
    assert len(attempts) == len(set(attempts))


def test_a_second_letter_waits_five_days_and_is_not_planned_while_the_person_may_still_answer() -> None:
    plan = (*FIRST_PLAN, SECOND_LETTER)
    history = History({Evidence.APPROVAL: NOW, Evidence.HANDED_OVER: NOW}, [(0, FIRST_PLAN[0].id)])
    assert next_attempts(plan, {0: HOME}, history, now=NOW + timedelta(days=4)) == ()
    found = next_attempts(plan, {0: HOME}, history, now=NOW + timedelta(days=5))
    assert found == (PlannedAttempt(0, Channel.LETTER, "letter-second", AT_ONCE),)


def test_a_person_who_opened_the_page_gets_no_second_letter() -> None:
    evidence = {Evidence.APPROVAL: NOW, Evidence.HANDED_OVER: NOW, Evidence.ACCESSED: NOW + timedelta(days=1)}
    history = History(evidence, [(0, FIRST_PLAN[0].id)])
    assert next_attempts((*FIRST_PLAN, SECOND_LETTER), {0: HOME}, history, now=NOW + timedelta(days=9)) == ()


def test_a_delayed_row_that_nothing_can_stop_is_planned_at_once_for_its_time() -> None:
    row = replace(SECOND_LETTER, after=Evidence.APPROVAL, unless=frozenset())
    found = next_attempts([row], {0: HOME}, History(APPROVED), now=NOW + timedelta(days=2))
    assert found == (PlannedAttempt(0, Channel.LETTER, "letter-second", timedelta(days=3)),)


def test_a_contact_that_came_later_gets_its_first_message() -> None:
    first = next_attempts(FIRST_PLAN, {0: PHONE}, History(APPROVED), now=NOW)
    found = next_attempts(FIRST_PLAN, {0: PHONE, 1: HOME}, History(APPROVED, done(first)), now=NOW)
    assert [(attempt.contact, attempt.channel) for attempt in found] == [(1, Channel.LETTER)]
