"""Which message of Twilio's list is the one whose answer was lost: alone, and through the SDK from the sandbox."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.bootstrap import wire
from notifier.carriers import open_carrier
from notifier.carriers.base import Finding, Found, Message, Reconciler, Sought
from notifier.carriers.twilio_list import SKEW, Listed, match
from notifier.core.status import AttemptEvent, Reason
from tests.sandbox import NUMBER, Catcher, Sandbox

SENT_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
CODES = wire("twilio_sms").codes
TO, BODY = "+13035550100", "Example Agency: read your letter. Code 123."


def sought(*, to: str = TO, body: str = BODY, since: datetime = SENT_AT, taken: Sequence[str] = ()) -> Sought:
    message = Message(agency_id=UUID(int=1), attempt_id=uuid4(), to=to, text=body)
    return Sought(message, since, frozenset(taken))


def listed(sid: str = "SM1", *, at: timedelta = timedelta(seconds=1), **more: Any) -> Listed:
    facts = {"to": TO, "body": BODY, "status": "delivered", "error_code": None, **more}
    return Listed(sid=sid, created_at=SENT_AT + at, **facts)


def findings(sought_for: Sequence[Sought], messages: Sequence[Listed]) -> list[tuple[Finding, str | None]]:
    return [(found.finding, found.carrier_ref) for found in match(sought_for, messages, CODES)]


def test_the_one_message_with_those_words_to_that_number_is_it() -> None:
    others = [listed("SM2", body="Something else"), listed("SM3", to="+13035550101")]
    assert findings([sought()], [*others, listed()]) == [(Finding.THERE, "SM1")]


@pytest.mark.parametrize(
    "message",
    [
        listed(body=f"{BODY} "),
        listed(body=BODY.lower()),
        listed(to="+13035550101"),
        listed(at=-SKEW - timedelta(seconds=1)),
        Listed("SM1", TO, BODY, None, "queued", None),
    ],
    ids=["a space more", "small letters", "another number", "too early", "no time"],
)
def test_what_differs_in_anything_is_not_it(message: Listed) -> None:
    assert findings([sought()], [message]) == [(Finding.ABSENT, None)]


def test_their_clock_may_be_a_little_behind_ours() -> None:
    assert findings([sought()], [listed(at=-SKEW)]) == [(Finding.THERE, "SM1")]


def test_what_is_another_attempts_is_not_it() -> None:
    assert findings([sought(taken=["SM1"])], [listed()]) == [(Finding.ABSENT, None)]
    assert findings([sought(taken=["SM1"])], [listed(), listed("SM2")]) == [(Finding.THERE, "SM2")]


def test_of_two_that_fit_nobody_can_tell() -> None:
    assert findings([sought()], [listed(), listed("SM2")]) == [(Finding.UNSURE, None)]
    assert findings([sought(), sought()], [listed()]) == [(Finding.UNSURE, None)] * 2


@pytest.mark.parametrize(
    ("status", "code", "event", "reason"),
    [
        ("accepted", None, AttemptEvent.HANDED_OVER, None),
        ("queued", None, AttemptEvent.HANDED_OVER, None),
        ("sending", None, AttemptEvent.HANDED_OVER, None),
        ("sent", None, AttemptEvent.ACCEPTED, None),
        ("delivered", None, AttemptEvent.ARRIVED, None),
        ("undelivered", "30005", AttemptEvent.REFUSED, Reason.NUMBER_DEAD),
        ("failed", "30036", AttemptEvent.REFUSED, Reason.EXPIRED),
        ("failed", None, AttemptEvent.REFUSED, Reason.UNSPECIFIED),
        ("canceled", None, AttemptEvent.REFUSED, Reason.UNSPECIFIED),
        ("teleported", None, AttemptEvent.HANDED_OVER, None),
    ],
)
def test_its_status_says_what_became_of_it(
    status: str, code: str | None, event: AttemptEvent, reason: Reason | None
) -> None:
    (found,) = match([sought()], [listed(status=status, error_code=code)], CODES)
    assert (found.event, found.reason, found.carrier_code) == (event, reason, code)


MESSAGES = st.lists(
    st.builds(
        listed,
        st.sampled_from([f"SM{n}" for n in range(6)]),
        at=st.integers(-100, 100).map(lambda seconds: timedelta(seconds=seconds)),
        body=st.sampled_from([BODY, "Another"]),
    ),
    unique_by=lambda message: message.sid,
    max_size=6,
)
SOUGHT = st.lists(
    st.builds(
        sought,
        body=st.sampled_from([BODY, "Another"]),
        since=st.integers(-100, 100).map(lambda seconds: SENT_AT + timedelta(seconds=seconds)),
        taken=st.lists(st.sampled_from([f"SM{n}" for n in range(6)]), max_size=3),
    ),
    max_size=4,
)


@given(SOUGHT, MESSAGES)
def test_no_message_is_ever_two_attempts_and_each_has_its_finding(wanted: list[Sought], messages: list[Listed]) -> None:
    found = match(wanted, messages, CODES)
    refs = [one.carrier_ref for one in found if one.finding is Finding.THERE]
    assert len(set(refs)) == len(refs)
    assert [one.attempt_id for one in found] == [one.message.attempt_id for one in wanted]
    for one, result in zip(wanted, found, strict=True):
        assert result.carrier_ref not in one.taken
        assert (result.finding is Finding.THERE) == (result.carrier_ref is not None)


# Through the SDK.


def ask(
    sandbox: Sandbox, catcher: Catcher, wanted: Sequence[Sought], *, send: Sequence[str] = (), page: int = 1000
) -> list[Found]:
    """Send these texts to the number that is sought, then ask for so many messages at once."""

    async def work() -> list[Found]:
        carrier = open_carrier(
            "twilio_sms",
            base_url=sandbox.url,
            account_sid=sandbox.account_sid,
            auth_token=sandbox.auth_token,
            sender=NUMBER,
            public_base_url=catcher.url(),
            wire=wire("twilio_sms"),
            page=page,
        )
        try:
            for body in send:
                message = Message(agency_id=UUID(int=1), attempt_id=uuid4(), to=wanted[0].message.to, text=body)
                await carrier.send([message])
            assert isinstance(carrier, Reconciler)
            return await carrier.find(wanted)
        finally:
            await carrier.close()

    return asyncio.run(work())


def recent(to: str, body: str) -> Sought:
    return sought(to=to, body=body, since=datetime.now(UTC))


def test_all_pages_of_a_numbers_messages_are_read(sandbox: Sandbox, catcher: Catcher) -> None:
    bodies = [f"Example Agency {n}" for n in range(7)]
    wanted = [recent("+17205550123", body) for body in (bodies[0], bodies[6], "never sent")]
    found = ask(sandbox, catcher, wanted, send=bodies, page=2)
    assert [one.finding for one in found] == [Finding.THERE, Finding.THERE, Finding.ABSENT]
    refs = {line["text_sha256"]: line["ref"] for line in sandbox.record(kind="taken", to="+17205550123")}
    assert {found[0].carrier_ref, found[1].carrier_ref} <= set(refs.values())


def test_a_number_to_which_nothing_went_has_no_messages(sandbox: Sandbox, catcher: Catcher) -> None:
    (found,) = ask(sandbox, catcher, [recent("+17205550124", BODY)])
    assert found.finding is Finding.ABSENT


def test_a_carrier_that_does_not_answer_leaves_it_unsure(sandbox: Sandbox, catcher: Catcher) -> None:
    broken = Sandbox("http://127.0.0.1:9", sandbox.public_key, sandbox.process_id)
    wanted = [recent("+17205550125", BODY), recent("+17205550126", BODY)]
    assert [one.finding for one in ask(broken, catcher, wanted)] == [Finding.UNSURE] * 2
