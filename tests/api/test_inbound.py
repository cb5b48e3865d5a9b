"""A text message comes in over HTTP: proved, kept, answered with nothing to say."""

from urllib.parse import urlencode
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped] # it ships no types
from werkzeug.test import TestResponse

from notifier.service import Service
from tests.api.calling import Caller, open_matter, person
from tests.api.conftest import PUBLIC, TWILIO_TOKEN

PAGE = "/callbacks/twilio_inbound"


def write(client: FlaskClient, number: str, words: str, *, token: str = TWILIO_TOKEN, **more: str) -> TestResponse:
    fields = {"MessageSid": "SM" + uuid4().hex, "From": number, "To": "+12025550199", "Body": words, **more}
    signature = RequestValidator(token).compute_signature(PUBLIC + PAGE, fields)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    return client.post(PAGE, data=urlencode(fields).encode(), headers=headers)


@pytest.fixture
def told(machine: Caller, approver: Caller) -> str:
    """A person with the number 415-555-0123 and a mailbox, approved."""
    contacts = [{"kind": "phone", "value": "415-555-0123"}, {"kind": "email", "value": f"{uuid4().hex}@example.org"}]
    matter = open_matter(machine, people=[person(1, contacts=contacts)])
    approver.post(f"/v1/matters/{matter}/approve")
    return str(machine.get(f"/v1/matters/{matter}/people").get_json()["people"][0]["person_id"])


def test_what_somebody_writes_is_shown_with_the_person(client: FlaskClient, machine: Caller, told: str) -> None:
    answer = write(client, "+14155550123", "¿Es verdad?")
    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    assert answer.get_data(as_text=True).endswith("<Response/>")
    read = machine.get(f"/v1/people/{told}").get_json()
    (message,) = read["messages"]
    assert (message["kind"], message["text"], message["carrier"]) == ("text", "¿Es verdad?", "twilio_sms")
    assert [entry["meaning"] for entry in read["timeline"] if entry["what"] == "inbound.received"] == [
        message["meaning"]
    ]
    assert any(entry["what"] == "task.opened" for entry in read["timeline"])


def test_a_stop_is_shown_and_the_mailbox_goes_on(client: FlaskClient, machine: Caller, told: str) -> None:
    write(client, "+14155550123", "Alto", OptOutType="STOP")
    read = machine.get(f"/v1/people/{told}").get_json()
    assert {each["kind"]: [flag["flag"] for flag in each["flags"]] for each in read["contacts"]} == {
        "phone": ["opted_out"],
        "email": [],
    }
    assert {each["channel"]: each["status"] for each in read["notices"][0]["attempts"]} == {
        "sms": "failed",
        "email": "planned",
    }


def test_what_is_not_proved_is_refused(client: FlaskClient, machine: Caller, told: str) -> None:
    for answer in (write(client, "+14155550123", "STOP", token="another"), client.post(PAGE, data={"Body": "STOP"})):
        assert (answer.status_code, answer.get_json()["code"]) == (403, "callback-refused")
    assert machine.get(f"/v1/people/{told}").get_json()["messages"] == []


def test_a_proved_request_that_is_no_message_is_kept(client: FlaskClient, service: Service) -> None:
    def kept() -> list[str]:
        with service.db.no_agency() as conn:
            return list(conn.execute(text("select reason from quarantine where reason like 'inbound%'")).scalars())

    before = len(kept())
    fields = {"MessageSid": uuid4().hex, "Body": "hello"}
    signature = RequestValidator(TWILIO_TOKEN).compute_signature(PUBLIC + PAGE, fields)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(PAGE, data=urlencode(fields).encode(), headers=headers).status_code == 200
    assert write(client, "+14155550199", "who are you").status_code == 200
    assert sorted(kept())[before - len(kept()) :] == ["inbound-from-nobody", "inbound-unreadable"]


def test_no_number_and_no_word_stands_in_a_log(
    client: FlaskClient, told: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write(client, "+14155550123", "canary words")
    write(client, "+14155550198", "canary words")
    seen = capsys.readouterr().out + capsys.readouterr().err + str([record.msg for record in caplog.records])
    assert "5550123" not in seen
    assert "canary" not in seen
    assert told


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.text(max_size=30), words=st.text(max_size=60), kind=st.text(max_size=8))
def test_nothing_signed_makes_us_fail(app: Flask, number: str, words: str, kind: str) -> None:
    assert write(app.test_client(), number, words, OptOutType=kind).status_code in {200, 403}
