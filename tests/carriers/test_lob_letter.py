"""The carrier against the sandbox: what an answer means, what is refused before it is called, asking, taking back."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.carriers.base import Finding, Found, Message, Outcome, Recall, Recaller, Reconciler, Sought
from notifier.carriers.lob_letter import LobLetter, judge
from notifier.carriers.timetable import Wire
from notifier.core.model import PostalAddress, PostService
from notifier.core.status import AttemptEvent, Reason
from tests.carriers.post import AGENCY, again, letter, pages, quick, send, street, with_lob
from tests.sandbox import Catcher, Reply, Sandbox

HANDED_OVER = (Outcome.HANDED_OVER, None)
UNKNOWN = (Outcome.UNKNOWN, Reason.CARRIER_ERROR)
LATE = (Outcome.UNKNOWN, Reason.TIMED_OUT)

OUTCOMES = {
    "": HANDED_OVER,
    "silent": HANDED_OVER,
    "undeliverable": (Outcome.REFUSED, Reason.INVALID_ADDRESS),
    "blamed": (Outcome.NOT_SENT, Reason.MISCONFIGURED),
    "unknown-code": (Outcome.NOT_SENT, Reason.UNSPECIFIED),
    "conflict": UNKNOWN,
    "throttled": (Outcome.NOT_SENT, Reason.RATE_LIMITED),
    "error": UNKNOWN,
    "error-but-made": UNKNOWN,
    "timeout": LATE,
    "timeout-but-made": LATE,
    "reset": UNKNOWN,
    "reset-but-made": UNKNOWN,
    "garbled": UNKNOWN,
}
MADE = {"", "silent", "error-but-made", "timeout-but-made", "reset-but-made", "garbled"}


def base(sandbox: Sandbox) -> str:
    return f"{sandbox.url}/v1"


def taken(sandbox: Sandbox, *messages: Message) -> list[dict[str, Any]]:
    ours = {str(message.attempt_id) for message in messages}
    return [line for line in sandbox.record(carrier="lob", kind="taken") if line["attempt"] in ours]


def test_it_can_be_asked_and_gives_letters_back() -> None:
    assert issubclass(LobLetter, Reconciler)
    assert issubclass(LobLetter, Recaller)


def test_every_answer_becomes_its_outcome_and_each_letter_is_posted_once(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    before = sandbox.summary()["counts"].get("lob.requests", 0)
    messages = {outcome: letter(street(outcome)) for outcome in OUTCOMES}
    results = {r.attempt_id: r for r in send(list(messages.values()), quick(wires), base(sandbox))}
    found = {name: (results[m.attempt_id].outcome, results[m.attempt_id].reason) for name, m in messages.items()}
    assert found == OUTCOMES
    assert sandbox.summary()["counts"]["lob.requests"] - before == len(messages)
    made = {line["attempt"] for line in taken(sandbox, *messages.values())}
    assert made == {str(messages[outcome].attempt_id) for outcome in MADE}
    assert 0 < (results[messages["throttled"].attempt_id].retry_after or 0) <= 5


def test_a_letter_is_made_as_we_want_it_and_names_nobody_but_on_its_envelope(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    message = letter(PostalAddress(("12 Sample Road", "Unit 4", "Rear"), "Denver", "CO", "80203-1234"))
    [result] = send([message], quick(wires), base(sandbox))
    [line] = taken(sandbox, message)
    assert (result.outcome, result.carrier_ref) == (Outcome.HANDED_OVER, line["ref"])
    assert line["key"] == str(message.attempt_id)
    assert line["fields"] == {
        "to[name]": "Sample Person",
        "to[address_line1]": "12 Sample Road",
        "to[address_line2]": "Unit 4, Rear",
        "to[address_city]": "Denver",
        "to[address_state]": "CO",
        "to[address_zip]": "80203-1234",
        "to[address_country]": "US",
        "from[name]": "Example Agency",
        "from[address_line1]": "PO Box 100",
        "from[address_city]": "Denver",
        "from[address_state]": "CO",
        "from[address_zip]": "80201",
        "from[address_country]": "US",
        "color": "false",
        "double_sided": "true",
        "address_placement": "top_first_page",
        "mail_type": "usps_first_class",
        "use_type": "operational",
    }


def test_certified_mail_asks_for_a_return_receipt(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    message = letter(service=PostService.CERTIFIED)
    send([message], quick(wires), base(sandbox))
    [line] = taken(sandbox, message)
    assert line["fields"]["extra_service"] == "certified_return_receipt"


def test_the_same_attempt_posted_again_makes_no_second_letter(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    message = letter(street("timeout-but-silent"))
    [lost] = send([message], quick(wires), base(sandbox))
    [known] = send([message], quick(wires), base(sandbox))
    assert (lost.outcome, known.outcome) == (Outcome.UNKNOWN, Outcome.HANDED_OVER)
    [line] = taken(sandbox, message)
    assert line["ref"] == known.carrier_ref


MEXICO = PostalAddress(("Calle de Muestra 12",), "Oaxaca", "OAX", "68000", "MX")
TOO_LONG = {
    "name": letter(name="N" * 41),
    "street": letter(replace(AGENCY, lines=("1 " + "s" * 24, "u" * 25))),
    "city": letter(replace(MEXICO, city="c" * 201)),
    "postal-code": letter(replace(MEXICO, postal_code="1" * 41)),
}


@pytest.mark.parametrize("part", TOO_LONG)
def test_what_would_have_to_be_cut_is_refused_before_anybody_is_called(
    part: str, sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    before = sandbox.summary()["counts"].get("lob.requests", 0)
    [result] = send([TOO_LONG[part]], quick(wires), base(sandbox))
    assert (result.outcome, result.reason, result.carrier_code) == (Outcome.REFUSED, Reason.DOES_NOT_FIT, part)
    assert sandbox.summary()["counts"].get("lob.requests", 0) == before


def test_what_just_fits_is_taken(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    fitting = [
        letter(replace(AGENCY, lines=("1 " + "s" * 24, "u" * 24)), name="N" * 40),
        letter(MEXICO),
        letter(replace(MEXICO, lines=("m" * 200,), region="", postal_code="")),
    ]
    results = send(fitting, quick(wires), base(sandbox))
    assert [(result.outcome, result.carrier_code) for result in results] == [(Outcome.HANDED_OVER, None)] * 3


def test_certified_mail_goes_to_the_us_only(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    [result] = send([letter(MEXICO, service=PostService.CERTIFIED)], quick(wires), base(sandbox))
    assert (result.outcome, result.reason) == (Outcome.REFUSED, Reason.NOT_OFFERED)


@pytest.mark.parametrize(
    "ours",
    [
        {"sender": "A" * 41},
        {"sender": "A" * 40 + " " + "B" * 41},
        {"sender": ""},
        {"return_address": replace(AGENCY, lines=())},
        {"return_address": replace(AGENCY, country="CA")},
        {"return_address": replace(AGENCY, postal_code="")},
        {"return_address": replace(AGENCY, lines=("s" * 65,))},
    ],
)
def test_our_own_address_is_nobody_elses_fault(
    ours: dict[str, Any], sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    [result] = send([letter(**ours)], quick(wires), base(sandbox))
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, Reason.MISCONFIGURED)
    assert result.carrier_code == "return-address"


def test_a_long_name_of_ours_stands_on_two_lines(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    message = letter(sender="Example State Department of Records and Other Long Names")
    send([message], quick(wires), base(sandbox))
    [line] = taken(sandbox, message)
    assert line["fields"]["from[name]"] == "Example State Department of Records and"
    assert line["fields"]["from[company]"] == "Other Long Names"


def test_our_file_is_nobody_elses_fault(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    broken = [letter(pdf=b"%PDF-1.7 nothing"), letter(pdf=pages(size=(595, 842))), letter(pdf=pages(121))]
    results = send(broken, quick(wires), base(sandbox))
    assert {(result.outcome, result.reason) for result in results} == {(Outcome.NOT_SENT, Reason.MISCONFIGURED)}
    assert [r.carrier_code for r in results] == ["invalid_file", "invalid_file_dimensions", "file_pages_exceed_max"]


def test_a_message_without_a_letter_is_our_mistake(wires: Mapping[str, Wire]) -> None:
    [result] = send([replace(letter(), post=None)], quick(wires), "http://127.0.0.1:1/v1")
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, Reason.MISCONFIGURED)


def test_wrong_credentials_stop_the_line_and_blame_nobody(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    [result] = send([letter()], quick(wires), base(sandbox), key="test_another_key")
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, Reason.MISCONFIGURED)
    assert result.carrier_code == "unauthorized"


def test_where_nobody_listens_nothing_was_sent(wires: Mapping[str, Wire]) -> None:
    [result] = send([letter()], quick(wires), "http://127.0.0.1:1/v1")
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, Reason.CARRIER_ERROR)


def test_a_letter_that_was_deleted_at_the_vendors_is_not_taken_for_one_that_is_made(
    catcher: Catcher, wires: Mapping[str, Wire]
) -> None:
    catcher.replies.append(Reply(200, b'{"id": "ltr_0a1b2c3d", "deleted": true}'))
    [result] = send([letter()], quick(wires), catcher.url("/v1"))
    assert (result.outcome, result.carrier_code) == (Outcome.NOT_SENT, "deleted")


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"id": 7}', b'{"id": "ltr_' + b"x" * 99 + b'"}', b"\xff"])
def test_success_without_a_letters_id_is_unknown(body: bytes, catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    catcher.replies.append(Reply(200, body))
    [result] = send([letter()], quick(wires), catcher.url("/v1"))
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.CARRIER_ERROR)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (302, Outcome.NOT_SENT, Reason.MISCONFIGURED),
        (401, Outcome.NOT_SENT, Reason.MISCONFIGURED),
        (403, Outcome.NOT_SENT, Reason.MISCONFIGURED),
        (404, Outcome.NOT_SENT, Reason.MISCONFIGURED),
        (413, Outcome.NOT_SENT, Reason.MISCONFIGURED),
        (400, Outcome.NOT_SENT, Reason.UNSPECIFIED),
        (422, Outcome.NOT_SENT, Reason.UNSPECIFIED),
        (429, Outcome.NOT_SENT, Reason.RATE_LIMITED),
        (204, Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (408, Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (409, Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (500, Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (503, Outcome.UNKNOWN, Reason.CARRIER_ERROR),
    ],
)
def test_a_status_without_a_known_code(status: int, outcome: Outcome, reason: Reason) -> None:
    assert judge(status, {}, {}) == (outcome, reason, str(status))


# Asking.


def find(sandbox: Sandbox, wires: Mapping[str, Wire], *sought: Sought) -> list[Found]:
    return with_lob(quick(wires), base(sandbox), lambda carrier: carrier.find(sought))


def just_now(message: Message, **more: Any) -> Sought:
    return Sought(message, datetime.now(UTC) - timedelta(minutes=5), **more)


def test_a_letter_whose_answer_was_lost_is_found_by_our_own_id(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    made, other = letter(street("timeout-but-silent")), letter()
    send([made, other], quick(wires), base(sandbox))
    [line] = taken(sandbox, made)
    assert find(sandbox, wires, just_now(made)) == [
        Found(made.attempt_id, Finding.THERE, line["ref"], AttemptEvent.HANDED_OVER)
    ]


def test_while_its_key_lasts_a_letter_that_is_not_there_may_be_posted_again(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    message = letter(street("timeout-once"))
    [lost] = send([message], quick(wires), base(sandbox))
    fresh = just_now(message)
    old = replace(fresh, since=datetime.now(UTC) - timedelta(hours=23, minutes=1))
    assert [found.finding for found in find(sandbox, wires, fresh, old)] == [Finding.NEVER, Finding.ABSENT]
    [second] = send([message], quick(wires), base(sandbox))
    assert (lost.outcome, second.outcome) == (Outcome.UNKNOWN, Outcome.HANDED_OVER)
    assert len(taken(sandbox, message)) == 1


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        ("", AttemptEvent.ARRIVED),
        ("mailed", AttemptEvent.ACCEPTED),
        ("forwarded", AttemptEvent.ARRIVED),
        ("unclaimed", AttemptEvent.CAME_BACK),
        ("failed", AttemptEvent.REFUSED),
    ],
)
def test_what_has_become_of_a_found_letter_is_told(
    outcome: str, event: AttemptEvent, sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    message = letter(street(outcome))
    send([message], quick(wires), base(sandbox))
    sandbox.settle()
    [found] = find(sandbox, wires, just_now(message))
    assert (found.finding, found.event) == (Finding.THERE, event)


def test_who_cannot_be_asked_says_nothing(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    message = letter()
    nobody = with_lob(quick(wires), "http://127.0.0.1:1/v1", lambda lob: lob.find([just_now(message)]))
    stranger = with_lob(quick(wires), catcher.url("/v1"), lambda lob: lob.find([just_now(message)]))
    assert [found.finding for found in (*nobody, *stranger)] == [Finding.UNSURE] * 2


def test_a_letter_that_another_attempt_holds_is_passed_over(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    message = letter()
    [result] = send([message], quick(wires), base(sandbox))
    [found] = find(sandbox, wires, just_now(message, taken=frozenset({result.carrier_ref or ""})))
    assert found.finding is Finding.NEVER


# Taking back.


def cancel(sandbox: Sandbox, wires: Mapping[str, Wire], ref: str | None) -> Recall:
    return with_lob(quick(wires), base(sandbox), lambda carrier: carrier.cancel(ref or ""))


def test_a_letter_that_is_taken_back_is_not_mailed_and_its_attempt_can_be_posted_anew(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    message = letter(street("waiting"))
    [first] = send([message], quick(wires), base(sandbox))
    assert cancel(sandbox, wires, first.carrier_ref) is Recall.WITHDRAWN
    assert cancel(sandbox, wires, first.carrier_ref) is Recall.WITHDRAWN  # an answer that was lost
    anew = again(message, withdrawn=first.carrier_ref)
    assert [found.finding for found in find(sandbox, wires, just_now(anew))] == [Finding.NEVER]
    results = send([anew], quick(wires), base(sandbox)) + send([anew], quick(wires), base(sandbox))
    assert [result.outcome for result in results] == [Outcome.HANDED_OVER] * 2
    assert len({first.carrier_ref, *(result.carrier_ref for result in results)}) == 2
    assert len(taken(sandbox, message)) == 2


def test_with_its_old_key_a_letter_that_was_taken_back_is_seen_for_what_it_is(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    message = letter(street("waiting"))
    [first] = send([message], quick(wires), base(sandbox))
    cancel(sandbox, wires, first.carrier_ref)
    [second] = send([message], quick(wires), base(sandbox))
    assert (second.outcome, second.carrier_code) == (Outcome.NOT_SENT, "deleted")


def test_a_letter_in_the_post_is_not_given_back(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    [result] = send([letter(street("mailed"))], quick(wires), base(sandbox))
    sandbox.settle()
    assert cancel(sandbox, wires, result.carrier_ref) is Recall.TOO_LATE


def test_who_cannot_be_asked_to_give_back_leaves_us_unsure(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    assert cancel(sandbox, wires, "ltr_0123456789abcdef") is Recall.UNSURE
    nobody = with_lob(quick(wires), "http://127.0.0.1:1/v1", lambda carrier: carrier.cancel("ltr_01"))
    assert nobody is Recall.UNSURE


def test_many_letters_share_the_places_of_the_wire(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    messages = [letter(street("silent")) for _ in range(12)]
    sandbox.control(answer_delay_ms=100)
    began = time.monotonic()
    results = send(messages, quick(wires, concurrency=4), base(sandbox))
    took = time.monotonic() - began
    sandbox.control(answer_delay_ms=0)
    assert {result.outcome for result in results} == {Outcome.HANDED_OVER}
    assert took > 0.28  # three rounds of four


def test_the_vendors_rate_slows_us_and_refuses_nobody(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    sandbox.control(letters_per_5_seconds=0)
    [slowed] = send([letter()], quick(wires), base(sandbox))
    sandbox.control(letters_per_5_seconds=150)
    assert (slowed.outcome, slowed.reason, slowed.carrier_code) == (
        Outcome.NOT_SENT,
        Reason.RATE_LIMITED,
        "rate_limit_exceeded",
    )
