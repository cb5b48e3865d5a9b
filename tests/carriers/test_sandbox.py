"""The sandbox is as strict as the vendors are: asked with the SDKs as shipped, and by hand."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from notifier.carriers.base import Callback
from notifier.carriers.sandbox.magic import EMAIL, OUTAGES, SMS, Answer
from tests.sandbox import (
    ACCOUNT_SID,
    API_KEY,
    AUTH_TOKEN,
    MAILBOX,
    NUMBER,
    SERVICE_SID,
    Catcher,
    Reply,
    Sandbox,
    wait_for,
)

BASIC = "Basic " + b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
GOOD_SMS = {"To": "+12025550101", "From": NUMBER, "Body": "Text", "StatusCallback": "http://127.0.0.1:9/x?a=1"}
GOOD_MAIL: dict[str, Any] = {
    "from": {"email": MAILBOX},
    "subject": "Notice",
    "personalizations": [{"to": [{"email": "a@example.com"}]}],
    "content": [{"type": "text/plain", "value": "Text"}],
}


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    request = Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})  # noqa: S310 - loopback
    try:
        with urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def post_sms(sandbox: Sandbox, fields: Mapping[str, str]) -> tuple[int, Any]:
    return ask(sandbox.url + MESSAGES, urlencode(fields).encode(), Authorization=BASIC)


def post_mail(sandbox: Sandbox, mail: object, **headers: str) -> tuple[int, Any]:
    given = {"Authorization": f"Bearer {API_KEY}", "Content_Type": "application/json", **headers}
    return ask(f"{sandbox.url}/v3/mail/send", json.dumps(mail).encode(), **given)


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    client = Client(sandbox.account_sid, sandbox.auth_token)
    client.api.base_url = sandbox.url
    return client


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "2025550101"}, 21211),
        ({"To": "+12025550101x"}, 21211),
        ({"From": ""}, 21603),
        ({"From": "+12025550198"}, 21606),
        ({"From": "agency"}, 21212),
        ({"From": "", "MessagingServiceSid": "MG1"}, 21705),
        ({"From": "", "MessagingServiceSid": "MG" + "f" * 32}, 21701),
        ({"Body": ""}, 21619),
        ({"Body": "x" * 1601}, 21617),
        ({"ValidityPeriod": "0"}, 21624),
        ({"ValidityPeriod": "36001"}, 21624),
        ({"ValidityPeriod": "ten"}, 21624),
        ({"SmartEncoded": "False"}, 20001),
        ({"StatusCallback": "https://under_score.example.org/"}, 21609),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"StatusCallback": "http://[x"}, 21609),
        ({"to": "+12025550101"}, 20001),
    ],
)
def test_a_wrong_message_is_refused_with_the_vendors_code(sandbox: Sandbox, changes: dict[str, str], code: int) -> None:
    status, body = post_sms(sandbox, {name: value for name, value in {**GOOD_SMS, **changes}.items() if value})
    assert (status, body["code"], body["status"]) == (400, code, 400)


def test_a_body_that_is_no_form_has_no_recipient_and_a_stranger_is_not_heard(sandbox: Sandbox) -> None:
    given = json.dumps(GOOD_SMS).encode()
    assert ask(sandbox.url + MESSAGES, given, Authorization=BASIC, Content_Type="application/json")[1]["code"] == 21604
    assert ask(sandbox.url + MESSAGES, urlencode(GOOD_SMS).encode())[1]["code"] == 20003
    assert ask(f"{sandbox.url}/2010-04-01/Accounts/AC1/Messages.json", Authorization=BASIC)[0] == 404


def test_messages_are_listed_by_recipient_and_paged_newest_first(sandbox: Sandbox, client: Client) -> None:
    sids = [client.messages.create(to="+12025550131", from_=NUMBER, body=f"{n}").sid for n in range(5)]
    listed = client.messages.list(to="+12025550131", page_size=2)
    assert [message.sid for message in listed] == sids[::-1]
    assert client.messages.list(to="+12025550132") == []
    assert [message.body for message in client.messages.list(to="+12025550131", limit=1)] == ["4"]
    sandbox.settle()
    fetched = client.messages(sids[0]).fetch()
    assert (fetched.status, fetched.body, fetched.to) == ("delivered", "0", "+12025550131")
    assert fetched.date_sent is not None
    day = fetched.date_sent.date()
    assert len(client.messages.list(to="+12025550131", date_sent=day)) == 5
    assert len(client.messages.list(to="+12025550131", date_sent_after=day)) == 5
    assert client.messages.list(to="+12025550131", date_sent_before=day) == []
    assert client.messages.list(to="+12025550131", from_="+12025550198") == []


def test_an_unsent_message_matches_no_date_and_a_strange_one_is_not_found(sandbox: Sandbox, client: Client) -> None:
    silent = client.messages.create(to="+12025550171", messaging_service_sid=SERVICE_SID, body="x")
    assert (silent.status, silent.num_segments, silent.date_sent) == ("accepted", "0", None)
    sandbox.settle()
    assert len(client.messages.list(to="+12025550171")) >= 1
    assert client.messages.list(to="+12025550171", date_sent=silent.date_created.date()) == []
    with pytest.raises(TwilioRestException) as missing:
        client.messages("SM" + "0" * 32).fetch()
    assert missing.value.code == 20404


def changed(**changes: object) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD_MAIL, **changes}.items() if value is not None}


def person(**fields: object) -> list[dict[str, object]]:
    return [{"to": [{"email": "a@example.com"}], **fields}]


@pytest.mark.parametrize(
    ("mail", "field"),
    [
        (changed(personalizations=None), "personalizations"),
        (changed(personalizations=[]), "personalizations"),
        (changed(personalizations=person() * 1001), "personalizations"),
        (changed(personalizations=person(to=[])), "personalizations.0.to"),
        (changed(personalizations=person() + person(to=[{"email": "x"}])), "personalizations.1.to.0.email"),
        (
            changed(personalizations=person(to=[{"email": "a@example.com", "name": "Doe, Jo"}])),
            "personalizations.0.to.0.name",
        ),
        (
            changed(personalizations=person(to=[{"email": "a@example.com"}, {"email": "A@example.com"}])),
            "personalizations.0",
        ),
        (changed(personalizations=person(subject="")), "personalizations.0.subject"),
        (changed(personalizations=person(custom_args={})), "personalizations.0.custom_args"),
        (changed(personalizations=person(custom_args={"a": 1})), None),
        (changed(personalizations=person(substitutions={"-a-": "x" * 9_998})), "personalizations.0.substitutions"),
        (
            changed(custom_args={"b": "x" * 5_000}, personalizations=person(custom_args={"a": "x" * 5_000})),
            "personalizations.0.custom_args",
        ),
        (changed(personalizations=person(headers={"Received": "x"})), "personalizations.0.headers"),
        (changed(personalizations=person(headers={"Reply-To": "x"})), "personalizations.0.headers"),
        (changed(personalizations=person(headers={"X-Größe": "x"})), "personalizations.0.headers"),
        (changed(personalizations=person(headers={})), "personalizations.0.headers"),
        (
            changed(personalizations=[{"to": [{"email": f"{n}@example.com"} for n in range(501)]}] * 2),
            "personalizations",
        ),
        (changed(personalizations=person(colour="red")), "personalizations.0.colour"),
        (changed(**{"from": None}), "from"),
        (changed(**{"from": {"email": "nobody"}}), "from.email"),
        (changed(**{"from": {}}), None),
        (changed(reply_to={"email": "nobody"}), "reply_to.email"),
        (changed(subject=None), "subject"),
        (changed(content=None), "content"),
        (changed(content=[{"type": "text/plain", "value": ""}]), "content.0.value"),
        (changed(content=[{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]), "content"),
        (changed(tracking_settings={"open_tracking": {"enable": "no"}}), "tracking_settings.open_tracking.enable"),
        (changed(tracking_settings={"opens": {}}), "tracking_settings.opens"),
        (changed(tracking_settings=[]), None),
        (changed(template_id="d-1"), "template_id"),
        (changed(mail_settings={"bypass_list_management": {"enable": True}}), "mail_settings"),
        (changed(asm={"group_id": 1}), "asm"),
        ([], None),
    ],
)
def test_a_wrong_mail_is_refused_with_the_place_of_the_fault(sandbox: Sandbox, mail: object, field: str | None) -> None:
    status, body = post_mail(sandbox, mail)
    assert status == 400
    assert body["errors"][0]["field"] == field


def test_mail_by_a_stranger_from_a_stranger_or_of_another_type_is_refused(sandbox: Sandbox) -> None:
    assert post_mail(sandbox, GOOD_MAIL)[0] == 202
    assert post_mail(sandbox, GOOD_MAIL, Authorization="Bearer x")[0] == 401
    assert post_mail(sandbox, changed(**{"from": {"email": "x@example.org"}}))[0] == 403
    assert post_mail(sandbox, GOOD_MAIL, Content_Type="text/plain")[0] == 415
    assert (
        ask(f"{sandbox.url}/v3/mail/send", b"{", Authorization=f"Bearer {API_KEY}", Content_Type="application/json")[0]
        == 400
    )
    assert ask(f"{sandbox.url}/v3/mail/send", Authorization=f"Bearer {API_KEY}")[0] == 405
    assert ask(f"{sandbox.url}/v3/templates", Authorization=f"Bearer {API_KEY}")[0] == 404


def test_a_callback_is_repeated_only_when_nobody_was_reached(sandbox: Sandbox) -> None:
    post_sms(sandbox, {**GOOD_SMS, "StatusCallback": f"http://127.0.0.1:9/?attempt={(attempt := uuid4())}"})
    sandbox.settle()
    lines = sandbox.record(kind="receipt", attempt=str(attempt))
    assert [(line["word"], line["http"], line["tries"]) for line in lines if line["word"] == "sent"] == [
        ("sent", 0, 1),
        ("sent", 0, 2),
    ]


def answered(sandbox: Sandbox, catcher: Catcher, fragment: str, *replies: Reply) -> list[Callback]:
    """What comes for a message that has one receipt, when these are the first answers."""
    sandbox.settle()
    catcher.caught.clear()
    catcher.replies.extend(replies)
    post_sms(sandbox, {**GOOD_SMS, "To": "+12025550170", "StatusCallback": catcher.url(f"/told?a=1{fragment}")})
    sandbox.settle()
    catcher.replies.clear()
    return list(catcher.caught)


@pytest.mark.parametrize(
    ("fragment", "statuses", "tries"),
    [
        ("", [503], 1),
        ("", [404], 1),
        ("#rc=3&rp=all", [503, 503], 3),
        ("#rc=3&rp=all", [503] * 9, 4),
        ("#rc=3&rp=all", [302], 1),
        ("#rc=3&rp=all", [403], 2),
        ("#rc=2&rp=5xx", [500] * 9, 3),
        ("#rc=2&rp=5xx", [404], 1),
        ("#rc=2&rp=ct,4xx", [429], 2),
        ("#rc=0&rp=all", [503], 1),
        ("#rc=3", [503], 1),
        ("#rc=9&rp=5xx", [503] * 9, 2),
        ("#rc=3&rp=sometimes", [503], 1),
    ],
)
def test_an_answered_callback_is_repeated_as_its_address_asks_and_no_other(
    sandbox: Sandbox, catcher: Catcher, fragment: str, statuses: list[int], tries: int
) -> None:
    came = answered(sandbox, catcher, fragment, *map(Reply, statuses))
    assert len(came) == tries
    validator = RequestValidator(AUTH_TOKEN)
    for one in came:
        assert one.url == catcher.url("/told?a=1")
        fields = dict(parse_qsl(one.body.decode(), keep_blank_values=True))
        assert validator.validate(one.url, fields, one.headers["x-twilio-signature"])
    assert len({one.headers["i-twilio-idempotency-token"] for one in came}) == 1


@pytest.mark.parametrize(("fragment", "tries"), [("#rt=100", 1), ("#rc=1&rp=rt&rt=100", 2), ("#rc=5&rp=all&tt=150", 1)])
def test_a_callback_that_has_no_answer_in_time_is_repeated_as_its_address_asks(
    sandbox: Sandbox, catcher: Catcher, fragment: str, tries: int
) -> None:
    assert len(answered(sandbox, catcher, fragment, *[Reply(204, after=0.4)] * tries)) == tries


def test_receipts_can_be_held_released_thinned_and_switched_off(sandbox: Sandbox, catcher: Catcher) -> None:
    sandbox.settle()
    catcher.caught.clear()
    fields = {**GOOD_SMS, "StatusCallback": catcher.url("/held")}
    sandbox.control(receipts="held")
    post_sms(sandbox, fields)
    wait_for(lambda: sandbox.summary()["held"] == 2, 5)
    assert catcher.caught == []
    sandbox.control(receipts="final")
    assert len(catcher.wait(2)) == 2
    post_sms(sandbox, fields)
    sandbox.settle()
    assert len(catcher.caught) == 3
    assert b"MessageStatus=delivered" in catcher.caught[2].body
    sandbox.control(receipts="off")
    post_sms(sandbox, fields)
    sandbox.settle()
    sandbox.control(receipts="all")
    assert len(catcher.caught) == 3


@pytest.mark.parametrize(
    "changes", [{"receipts": "some"}, {"delay_ms": -1}, {"delay_ms": True}, {"colour": 1}, [], None]
)
def test_a_switch_that_does_not_exist_is_refused(sandbox: Sandbox, changes: object) -> None:
    assert ask(f"{sandbox.url}/control", json.dumps(changes).encode())[0] == 400


def test_its_record_is_append_only_and_read_from_any_line_on(sandbox: Sandbox) -> None:
    post_sms(sandbox, GOOD_SMS)
    lines = sandbox.record()
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert sandbox.record(after=len(lines) - 1)[0] == lines[-1]
    assert sandbox.summary()["cpu_seconds"] > 0
    assert ask(f"{sandbox.url}/keys")[1] == {"sendgrid_webhook_public_key": sandbox.public_key}
    assert ask(f"{sandbox.url}/healthz")[0] == 200
    assert ask(f"{sandbox.url}/elsewhere")[0] == 404


def test_every_outcome_that_was_promised_has_a_magic_recipient() -> None:
    answers = {plan.answer for plan in (*SMS.values(), *OUTAGES.values())}
    assert answers == set(Answer)
    assert {plan.code for plan in SMS.values() if plan.code} >= {21211, 21614, 21610}
    assert min(SMS) >= 50
    assert {plan.answer for plan in EMAIL.values()} == set(Answer) - {Answer.GARBLED, Answer.UNAUTHORIZED}


def test_whoever_writes_stop_is_texted_no_more_until_they_write_start(sandbox: Sandbox, catcher: Catcher) -> None:
    number = "+19705550137"
    sandbox.control(inbound_url=catcher.url("/callbacks/twilio_inbound"))
    sandbox.write(number, " Stop ")
    assert post_sms(sandbox, GOOD_SMS | {"To": number})[1]["code"] == 21610
    sandbox.write(number, "Inicio", opt_out_type="START")
    assert post_sms(sandbox, GOOD_SMS | {"To": number})[0] == 201
    sandbox.settle()
    heard = [caught for caught in catcher.caught if caught.url.endswith("/callbacks/twilio_inbound")]
    assert [b"OptOutType=START" in caught.body for caught in heard] == [False, True]
    validator = RequestValidator(AUTH_TOKEN)
    for caught in heard:
        form = dict(parse_qsl(caught.body.decode(), keep_blank_values=True))
        assert validator.validate(caught.url, form, caught.headers["x-twilio-signature"])
    sandbox.control(inbound_url="")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"from": "+1"}', b'{"from":"+1","body":"' + b"x" * 1601 + b'"}'])
def test_what_nobody_can_have_written_is_refused(sandbox: Sandbox, body: bytes) -> None:
    assert ask(f"{sandbox.url}/inbound", body)[0] == 400
