"""What carriers tell us is proved, kept and answered; nothing they or others send makes us fail."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped] # it ships no types
from werkzeug.test import TestResponse

from notifier.callbacks.intake import as_received
from notifier.carriers.base import Callback, CarrierReceipt
from notifier.service import Service
from notifier.store.engine import Database
from notifier.usecases.applying import apply_receipts
from notifier.web import HEADERS, create_app
from tests.api.calling import Caller, open_matter, person
from tests.api.conftest import PUBLIC, SIGNING_KEY, TWILIO_TOKEN
from tests.connections import cut_who_waits
from tests.installation import NOW, Office
from tests.sandbox import wait_for

SMS = "/callbacks/twilio_sms"
EMAIL = "/callbacks/sendgrid_email"


@pytest.fixture
def sent(machine: Caller, approver: Caller) -> dict[str, str]:
    """One person with two attempts: channel to id, and the person's own under "person"."""
    matter = open_matter(machine, people=[person(1)])
    approver.post(f"/v1/matters/{matter}/approve")
    one = machine.get(f"/v1/matters/{matter}/people").get_json()["people"][0]["person_id"]
    attempts = machine.get(f"/v1/people/{one}").get_json()["notices"][0]["attempts"]
    return {attempt["channel"]: attempt["attempt_id"] for attempt in attempts} | {"person": one}


def twilio_path(office: Office, attempt: str) -> str:
    return f"{SMS}?agency={office.agency_id}&attempt={attempt}"


def from_twilio(client: FlaskClient, path: str, *, token: str = TWILIO_TOKEN, **fields: str) -> TestResponse:
    signature = RequestValidator(token).compute_signature(PUBLIC + path, fields)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    return client.post(path, data=urlencode(fields).encode(), headers=headers)


def from_sendgrid(client: FlaskClient, body: bytes, *, at: datetime = NOW, path: str = EMAIL) -> TestResponse:
    stamp = str(int(at.timestamp()))
    signature = b64encode(SIGNING_KEY.sign(stamp.encode() + body, ECDSA(SHA256()))).decode()
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        "Content-Type": "application/json",
    }
    return client.post(path, data=body, headers=headers)


def status_of(machine: Caller, sent: dict[str, str], channel: str) -> str:
    attempts = machine.get(f"/v1/people/{sent['person']}").get_json()["notices"][0]["attempts"]
    return next(str(attempt["status"]) for attempt in attempts if attempt["channel"] == channel)


def apply(service: Service, office: Office) -> int:
    with service.db.transaction(office.agency_id) as tx:
        return apply_receipts(tx, vault=service.vault, now=NOW)


def quarantined(service: Service) -> int:
    with service.db.no_agency() as conn:
        return int(conn.execute(text("select count(*) from quarantine")).scalar_one())


def test_a_text_message_that_arrived_is_followed(
    client: FlaskClient, service: Service, office: Office, machine: Caller, sent: dict[str, str]
) -> None:
    service.redis.flushdb()
    answer = from_twilio(
        client, twilio_path(office, sent["sms"]), MessageSid="SM" + "0" * 32, MessageStatus="delivered"
    )
    assert (answer.status_code, answer.data) == (204, b"")
    assert service.redis.exists("notifier:rung:receipts")
    timeline = machine.get(f"/v1/people/{sent['person']}").get_json()["timeline"]
    assert (timeline[-1]["what"], timeline[-1]["carrier_word"]) == ("receipt.waiting", "delivered")
    assert apply(service, office) == 1
    assert status_of(machine, sent, "sms") == "delivered"
    last = machine.get(f"/v1/people/{sent['person']}").get_json()["timeline"][-1]
    assert (last["what"], last["carrier_word"], last["actor"]["kind"]) == ("attempt.arrived", "delivered", "carrier")


def test_the_same_receipt_twice_is_kept_once(
    client: FlaskClient, service: Service, office: Office, sent: dict[str, str]
) -> None:
    for _ in range(3):
        answer = from_twilio(client, twilio_path(office, sent["sms"]), MessageSid="SM" + "1" * 32, MessageStatus="sent")
        assert answer.status_code == 204
    assert apply(service, office) == 1


def test_an_email_batch_is_followed(
    client: FlaskClient, service: Service, office: Office, machine: Caller, sent: dict[str, str]
) -> None:
    ours = {"agency": str(office.agency_id), "attempt": sent["email"], "email": "person1@example.org"}
    events = [
        {"event": "processed", "sg_event_id": "a1", "timestamp": int(NOW.timestamp()), **ours},
        {"event": "bounce", "sg_event_id": "a2", "timestamp": int(NOW.timestamp()), "status": "5.1.1", **ours},
    ]
    before = quarantined(service)
    assert from_sendgrid(client, json.dumps(events).encode() + b"\r\n").status_code == 204
    assert apply(service, office) == 2
    assert status_of(machine, sent, "email") == "failed"
    assert quarantined(service) == before


def test_what_is_not_proved_is_refused_and_not_kept(
    client: FlaskClient, service: Service, office: Office, sent: dict[str, str]
) -> None:
    path, before = twilio_path(office, sent["sms"]), quarantined(service)
    fields = {"MessageSid": "SM" + "2" * 32, "MessageStatus": "delivered"}
    answers = [
        from_twilio(client, path, token="another", **fields),
        client.post(path, data=fields),
        client.post(path, data=fields, headers={"X-Twilio-Signature": "x"}),
        client.post(EMAIL, data=b"[]", headers={"Content-Type": "application/json"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.get_json()["code"]) == (403, "callback-refused")
        assert "errors" not in answer.get_json()
    assert apply(service, office) == 0
    assert quarantined(service) == before


def test_a_signature_covers_the_attempt_in_the_address(
    client: FlaskClient, office: Office, sent: dict[str, str]
) -> None:
    signed, fields = twilio_path(office, sent["sms"]), {"MessageSid": "SM" + "3" * 32, "MessageStatus": "delivered"}
    signature = RequestValidator(TWILIO_TOKEN).compute_signature(PUBLIC + signed, fields)
    answer = client.post(twilio_path(office, str(uuid4())), data=fields, headers={"X-Twilio-Signature": signature})
    assert answer.status_code == 403


def test_a_receipt_for_nobody_goes_to_the_quarantine(client: FlaskClient, service: Service, office: Office) -> None:
    before = quarantined(service)
    path = twilio_path(office, str(uuid4()))
    assert from_twilio(client, path, MessageSid="SM" + "4" * 32, MessageStatus="sent").status_code == 204
    elements = [{"x": str(uuid4())}, str(uuid4())]
    assert from_sendgrid(client, json.dumps(elements).encode()).status_code == 204
    assert quarantined(service) == before + 3


@pytest.mark.parametrize("carrier", ["lob_letter", "mailroom_letter", "nobody", "%00", "x" * 3000])
def test_a_carrier_that_is_not_in_use_is_not_found(carrier: str, client: FlaskClient) -> None:
    answer = client.post(f"/callbacks/{carrier}", data=b"{}")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "unknown-callback")


def test_a_callback_over_a_megabyte_is_refused(client: FlaskClient) -> None:
    answer = client.post(EMAIL, data=b" " * (1 << 20) + b"[]")
    assert (answer.status_code, answer.get_json()["code"]) == (413, "body-too-large")


class Unreadable:
    """A reader that trusts everybody and understands nothing."""

    slug = "twilio_sms"

    def authenticate(self, callback: Callback) -> None:
        """Anybody may pass."""

    def parse(self, callback: Callback) -> list[CarrierReceipt]:
        raise ValueError(callback.body)


def test_a_signed_callback_that_cannot_be_read_is_kept_whole(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with app_with_reader(service, Unreadable()) as client:
        before = quarantined(service)
        assert client.post(SMS, data=b"Canary").status_code == 204
    assert quarantined(service) == before + 1
    assert "Canary" not in str([record.msg for record in caplog.records])


@contextmanager
def app_with_reader(service: Service, reader: Unreadable) -> Iterator[FlaskClient]:
    yield create_app(replace(service, readers={"twilio_sms": reader})).test_client()


HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([SMS, EMAIL]),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=80),
    body=st.one_of(st.binary(max_size=300), st.just(b"[" * 5_000), st.just(b'[{"event":1}]')),
    media=st.one_of(st.just("application/json"), st.just("application/x-www-form-urlencoded"), HEADER),
    proof=HEADER,
)
def test_nothing_hostile_makes_us_fail(path: str, query: str, body: bytes, media: str, proof: str, app: Flask) -> None:
    headers = {
        "Content-Type": media,
        "X-Twilio-Signature": proof,
        "X-Twilio-Email-Event-Webhook-Signature": proof,
        "X-Twilio-Email-Event-Webhook-Timestamp": proof,
    }
    answer = app.test_client().post(f"{path}?{query}", data=body, headers=headers)
    assert answer.status_code == 403


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
EVENT = st.dictionaries(
    st.sampled_from(["event", "sg_event_id", "sg_message_id", "timestamp", "reason", "status", "agency", "attempt"]),
    JSON,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.one_of(JSON, st.lists(EVENT, max_size=5)))
def test_nothing_signed_makes_us_fail(document: object, app: Flask) -> None:
    assert from_sendgrid(app.test_client(), json.dumps(document).encode()).status_code == 204


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(
        st.sampled_from(["MessageSid", "MessageStatus", "ErrorCode", "To", "x"]), st.text(max_size=40)
    )
)
def test_no_signed_form_makes_us_fail(fields: dict[str, str], app: Flask) -> None:
    path = f"{SMS}?agency={UUID(int=1)}&attempt={UUID(int=2)}"
    assert from_twilio(app.test_client(), path, **fields).status_code in {204, 403}


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"RAW_URI": "/callbacks/x?a=%7E&b=1"}, "/callbacks/x?a=%7E&b=1"),
        ({"RAW_URI": "/callbacks/x?"}, "/callbacks/x?"),
        ({"RAW_URI": "/callbacks/x?a=1?"}, "/callbacks/x?a=1?"),
        ({"RAW_URI": "http://proxy.example/callbacks/x?a=1"}, "/callbacks/x?a=1"),
        ({"REQUEST_URI": "/callbacks/x?a=1#f"}, "/callbacks/x?a=1"),
        ({"PATH_INFO": "/callbacks/x y", "QUERY_STRING": "a=1"}, "/callbacks/x%20y?a=1"),
        ({"PATH_INFO": "/callbacks/x"}, "/callbacks/x"),
    ],
)
def test_the_signed_address_is_the_public_one_as_it_came(environ: dict[str, str], url: str) -> None:
    given_environ = {**environ, "CONTENT_LENGTH": "0", "HTTP_HOST": "evil.example", "HTTP_X_TWILIO_SIGNATURE": "s"}
    callback = as_received(given_environ, base_url="https://public.example/n", now=NOW)
    assert callback.url == f"https://public.example/n{url}"
    assert callback.headers["x-twilio-signature"] == "s"


# What a carrier is told when we cannot keep it, and what it is told when we can.


def test_without_a_database_the_carrier_is_asked_to_come_again(
    service: Service, office: Office, sent: dict[str, str]
) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none")
    client = create_app(replace(service, db=nowhere)).test_client()
    path, fields = twilio_path(office, sent["sms"]), {"MessageSid": "SM" + "5" * 32, "MessageStatus": "delivered"}
    answer = from_twilio(client, path, **fields)
    nowhere.close()
    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert apply(service, office) == 0
    assert from_twilio(create_app(service).test_client(), path, **fields).status_code == 204
    assert apply(service, office) == 1


def test_callbacks_whose_connection_is_cut_in_the_middle_are_answered_after_a_commit(
    app: Flask, service: Service, office: Office, sent: dict[str, str]
) -> None:
    url, path = str(service.settings.database_url), twilio_path(office, sent["sms"])
    statuses: list[int] = []

    def call(number: int) -> None:
        fields = {"MessageSid": f"SM{number:032x}", "MessageStatus": "delivered"}
        statuses.append(from_twilio(app.test_client(), path, **fields).status_code)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    with psycopg.connect(url) as other:
        other.execute("lock table receipt in exclusive mode")
        for thread in threads:
            thread.start()
        wait_for(lambda: cut_who_waits(url) == 1, 10)
        assert statuses == []
    for thread in threads:
        thread.join(10)
    assert statuses == [204] * 8
    assert apply(service, office) == 8


def test_a_callback_that_is_kept_is_counted_and_answered_like_everything_else(
    client: FlaskClient, office: Office, sent: dict[str, str]
) -> None:
    counted = 'notifier_http_requests_total{method="POST",route="/callbacks/<carrier>",status="204"}'
    before = count_of(client, counted)
    answer = from_twilio(client, twilio_path(office, sent["sms"]), MessageSid="SM" + "6" * 32, MessageStatus="sent")
    refused = client.post(SMS)
    assert (answer.status_code, refused.status_code) == (204, 403)
    assert count_of(client, counted) == before + 1
    for name in (*HEADERS, "Content-Security-Policy", "Strict-Transport-Security"):
        assert answer.headers[name] == refused.headers[name]
    assert UUID(answer.headers["X-Request-Id"]).version == 4


def count_of(client: FlaskClient, series: str) -> float:
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    return sum(float(line.removeprefix(series)) for line in lines if line.startswith(series))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_carriers_only_post(method: str, client: FlaskClient) -> None:
    answer = client.open(SMS, method=method)
    assert (answer.status_code, set(answer.headers["Allow"].split(", "))) == (405, {"OPTIONS", "POST"})


def test_a_doorbell_that_hangs_holds_up_one_answer_and_not_the_others(
    service: Service, office: Office, sent: dict[str, str]
) -> None:
    hangs, path = threading.Event(), twilio_path(office, sent["sms"])
    app = create_app(replace(service, ring=lambda _: assert_true(hangs.wait(30))))
    statuses: list[int] = []

    def call(number: int) -> None:
        fields = {"MessageSid": f"SM{number:032x}", "MessageStatus": "delivered"}
        statuses.append(from_twilio(app.test_client(), path, **fields).status_code)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(statuses) == 5, 10)
    hangs.set()
    for thread in threads:
        thread.join(10)
    assert statuses == [204] * 6
    assert apply(service, office) == 6


def assert_true(is_so: bool) -> None:  # noqa: FBT001 - it is asserted
    assert is_so
