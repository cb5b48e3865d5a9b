"""Properties of the attempt's life: whatever order events come in, what was sent is never believed unsent."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.model import Channel
from notifier.core.status import (
    AWAITS_WORD,
    MEANING,
    OUTCOME_MEANING,
    PROOF,
    TRANSITIONS,
    AttemptEvent,
    AttemptStatus,
    PersonOutcome,
    Proof,
    advance,
    outcome,
)

S, E = AttemptStatus, AttemptEvent

quick = settings(deadline=None, max_examples=200)
statuses = st.sampled_from(AttemptStatus)
events = st.sampled_from(AttemptEvent)
histories = st.lists(events, max_size=25)


def after(history: list[AttemptEvent], start: AttemptStatus = S.PLANNED) -> AttemptStatus:
    status = start
    for event in history:
        status = advance(status, event)
    return status


@quick
@given(before=histories, between=histories)
def test_a_bounce_after_delivery_is_applied_whatever_came_before_and_is_never_undone(
    before: list[AttemptEvent], between: list[AttemptEvent]
) -> None:
    status = after(before)
    if status is S.DELIVERED:
        assert after(between, advance(status, E.BOUNCED)) is S.FAILED


@quick
@given(before=histories, between=histories)
def test_a_letter_returned_after_delivery_is_returned_whatever_came_before_and_stays_so(
    before: list[AttemptEvent], between: list[AttemptEvent]
) -> None:
    status = after(before)
    if status is S.DELIVERED:
        assert after(between, advance(status, E.CAME_BACK)) is S.RETURNED


@quick
@given(
    order=st.permutations([E.CLAIMED, E.HANDED_OVER, E.ACCEPTED, E.ARRIVED, E.BOUNCED]),
    copies=st.lists(st.integers(1, 3), min_size=5, max_size=5),
)
def test_shuffled_and_repeated_receipts_with_a_bounce_never_end_as_delivered(
    order: list[AttemptEvent], copies: list[int]
) -> None:
    shuffled = [event for event, times in zip(order, copies, strict=True) for _ in range(times)]
    assert after(shuffled) is S.FAILED


@quick
@given(order=st.permutations([E.HANDED_OVER, E.ACCEPTED, E.ARRIVED, E.CAME_BACK, E.WENT_SILENT]))
def test_a_letter_in_the_carriers_hands_that_comes_back_is_returned_in_any_order(order: list[AttemptEvent]) -> None:
    assert after(order, S.HANDED_OVER) is S.RETURNED


@given(status=statuses, event=events)
def test_an_event_told_twice_does_nothing_more(status: AttemptStatus, event: AttemptEvent) -> None:
    once = advance(status, event)
    assert advance(once, event) is once


@pytest.mark.parametrize("status", [status for status in AttemptStatus if status is not S.PLANNED])
@pytest.mark.parametrize("event", AttemptEvent)
def test_only_proof_that_nothing_was_sent_makes_an_attempt_wait_again(
    status: AttemptStatus, event: AttemptEvent
) -> None:
    if advance(status, event) is S.PLANNED:
        # Only the mailroom withdraws: a batch that was handed over and destroyed before it was mailed.
        assert (event, status) in {(E.NOT_SENT, S.SENDING), (E.NOT_SENT, S.UNKNOWN), (E.WITHDRAWN, S.HANDED_OVER)}


@quick
@given(history=histories)
def test_what_a_carrier_has_acknowledged_is_never_sent_again(history: list[AttemptEvent]) -> None:
    told = {S.HANDED_OVER, S.ACCEPTED, S.DELIVERED, S.SILENT, S.FAILED, S.RETURNED}
    status, was_told = S.PLANNED, False
    for event in history:
        if event is E.WITHDRAWN:  # no carrier's word: the mailroom's own, about paper that is still in the house
            continue
        status = advance(status, event)
        was_told = was_told or status in told
        assert not (was_told and status in {S.PLANNED, S.SENDING})


@quick
@given(status=st.sampled_from([S.FAILED, S.RETURNED]), history=histories)
def test_good_news_after_a_failure_is_recorded_and_changes_nothing(
    status: AttemptStatus, history: list[AttemptEvent]
) -> None:
    assert after(history, status) is status


def test_every_status_can_be_reached_from_planned() -> None:
    reached = {S.PLANNED}
    for _ in AttemptStatus:
        reached |= {advance(status, event) for status in reached for event in AttemptEvent}
    assert reached == set(AttemptStatus)


def test_a_final_status_is_left_only_for_late_news_that_contradicts_it() -> None:
    late = {E.HANDED_OVER, E.ACCEPTED, E.ARRIVED, E.REFUSED, E.BOUNCED, E.CAME_BACK}
    assert all(event in late for (status, event) in TRANSITIONS if status.is_final)
    assert not any(status.is_final for status in (S.PLANNED, S.SENDING, S.UNKNOWN, S.HANDED_OVER, S.ACCEPTED))


def test_a_letter_that_was_called_silent_and_is_then_declared_mailed_is_on_its_way() -> None:
    assert advance(S.SILENT, E.ACCEPTED) is S.ACCEPTED


@pytest.mark.parametrize("channel", Channel)
def test_silence_is_counted_from_the_hand_over_but_for_a_letter_from_its_mailing(channel: Channel) -> None:
    assert (S.HANDED_OVER in AWAITS_WORD[channel]) == (channel is not Channel.LETTER)
    assert all((status, E.WENT_SILENT) in TRANSITIONS for status in AWAITS_WORD[channel])


def test_no_row_of_the_table_leads_to_where_it_starts() -> None:
    assert all(status is not to for (status, _), to in TRANSITIONS.items())


def test_every_status_and_outcome_has_its_own_sentence() -> None:
    sentences = [status.meaning for status in AttemptStatus] + [found.meaning for found in PersonOutcome]
    assert len(set(sentences)) == len(MEANING) + len(OUTCOME_MEANING) == len(AttemptStatus) + len(PersonOutcome)


@pytest.mark.parametrize("channel", Channel)
def test_only_a_delivery_proves_more_than_that_the_carrier_accepted_it(channel: Channel) -> None:
    assert PROOF[channel].keys() == set(AttemptStatus)
    for status, proof in PROOF[channel].items():
        assert proof <= Proof.ACCEPTED or status is S.DELIVERED


@quick
@given(found=st.lists(statuses, max_size=8), approved=st.booleans(), usable=st.booleans())
def test_a_person_has_one_outcome_whatever_the_order_and_number_of_attempts(
    *, found: list[AttemptStatus], approved: bool, usable: bool
) -> None:
    one = outcome(found, has_usable_contact=usable, approved=approved)
    assert isinstance(one, PersonOutcome)
    assert outcome([*reversed(found), *found], has_usable_contact=usable, approved=approved) is one


@quick
@given(found=st.lists(statuses, min_size=1, max_size=8), usable=st.booleans())
def test_delivered_is_said_when_a_carrier_said_it_and_nothing_is_left_to_hand_over(
    *, found: list[AttemptStatus], usable: bool
) -> None:
    said = outcome(found, has_usable_contact=usable, approved=True) is PersonOutcome.DELIVERED
    assert said == (S.DELIVERED in found and not {S.PLANNED, S.SENDING} & set(found))


@quick
@given(found=st.lists(statuses, min_size=1, max_size=8), held=st.booleans())
def test_nobody_is_final_while_a_message_may_still_go_out(*, found: list[AttemptStatus], held: bool) -> None:
    open_ones = {S.UNKNOWN, S.HANDED_OVER, S.ACCEPTED}
    one = outcome(found, is_held=held, has_usable_contact=True, approved=True)
    if held or {S.PLANNED, S.SENDING} & set(found) or (open_ones & set(found) and S.DELIVERED not in found):
        assert not one.is_final


@pytest.mark.parametrize("found", [[], [S.DELIVERED], [S.HANDED_OVER, S.FAILED], [S.UNKNOWN]])
def test_a_person_whose_message_a_stop_keeps_back_is_stopped(found: list[AttemptStatus]) -> None:
    assert outcome(found, is_held=True, has_usable_contact=True, approved=True) is PersonOutcome.STOPPED


@pytest.mark.parametrize("free", [S.PLANNED, S.SENDING])
def test_a_person_is_in_progress_while_a_stop_keeps_back_only_some_messages(free: AttemptStatus) -> None:
    assert outcome([free], is_held=True, has_usable_contact=True, approved=True) is PersonOutcome.IN_PROGRESS


@pytest.mark.parametrize("approved", [True, False])
def test_a_person_without_contacts_is_unreachable_before_and_after_the_approval(*, approved: bool) -> None:
    assert outcome([], has_usable_contact=False, approved=approved) is PersonOutcome.UNREACHABLE


def test_a_person_waits_for_the_approval_and_then_for_the_sending() -> None:
    assert outcome([], has_usable_contact=True, approved=False) is PersonOutcome.AWAITING_APPROVAL
    assert outcome([S.PLANNED], has_usable_contact=True, approved=True) is PersonOutcome.IN_PROGRESS


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([S.PLANNED, S.FAILED], PersonOutcome.IN_PROGRESS),
        ([S.PLANNED, S.DELIVERED], PersonOutcome.IN_PROGRESS),
        ([S.DELIVERED, S.FAILED], PersonOutcome.DELIVERED),
        ([S.UNKNOWN, S.FAILED], PersonOutcome.UNCERTAIN),
        ([S.UNKNOWN, S.HANDED_OVER], PersonOutcome.ON_ITS_WAY),
        ([S.ACCEPTED, S.SILENT], PersonOutcome.ON_ITS_WAY),
        ([S.SILENT, S.RETURNED], PersonOutcome.NO_WORD),
        ([S.CANCELLED], PersonOutcome.STOPPED),
        ([S.CANCELLED, S.FAILED], PersonOutcome.NOT_REACHED),
        ([S.FAILED, S.RETURNED], PersonOutcome.NOT_REACHED),
    ],
)
def test_what_is_left_to_hand_over_comes_first_and_then_the_best_news(
    found: list[AttemptStatus], expected: PersonOutcome
) -> None:
    assert outcome(found, has_usable_contact=True, approved=True) is expected


TOLD_BY_A_CARRIER = {
    AttemptEvent.HANDED_OVER: AttemptStatus.HANDED_OVER,
    AttemptEvent.ACCEPTED: AttemptStatus.ACCEPTED,
    AttemptEvent.ARRIVED: AttemptStatus.DELIVERED,
    AttemptEvent.REFUSED: AttemptStatus.FAILED,
    AttemptEvent.BOUNCED: AttemptStatus.FAILED,
    AttemptEvent.CAME_BACK: AttemptStatus.RETURNED,
}


@pytest.mark.parametrize("event", TOLD_BY_A_CARRIER)
@pytest.mark.parametrize("status", [AttemptStatus.PLANNED, AttemptStatus.UNKNOWN, AttemptStatus.CANCELLED])
def test_a_carriers_word_about_what_was_believed_not_to_have_left_is_believed(
    status: AttemptStatus, event: AttemptEvent
) -> None:
    assert advance(status, event) is TOLD_BY_A_CARRIER[event]


@pytest.mark.parametrize("event", [event for event in TOLD_BY_A_CARRIER if event is not AttemptEvent.HANDED_OVER])
@pytest.mark.parametrize("status", [AttemptStatus.HANDED_OVER, AttemptStatus.SILENT])
def test_every_further_word_about_what_a_carrier_has_counts(status: AttemptStatus, event: AttemptEvent) -> None:
    assert advance(status, event) is TOLD_BY_A_CARRIER[event]
