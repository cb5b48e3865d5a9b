"""Health, metrics, the public page, and the headers of every answer."""

import hashlib
import re
from base64 import b64encode
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import text

from notifier.bootstrap import open_breaker
from notifier.core.breaker import Permit
from notifier.service import Service
from notifier.store.engine import Database
from notifier.usecases.backlog import BacklogWatch
from notifier.web import create_app
from tests.api.calling import Caller, ndjson, open_matter, person


def test_alive_asks_nothing(service: Service) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none")
    client = create_app(replace(service, db=nowhere)).test_client()
    assert client.get("/healthz").get_json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["code"]) == (503, "unavailable")
    assert client.get("/v1/matters", headers={"Authorization": f"Bearer ntf_test_{'x' * 43}"}).status_code == 503
    nowhere.close()


def test_ready_means_that_the_database_is(client: FlaskClient) -> None:
    assert client.get("/readyz").get_json() == {"status": "ready", "redis": "up"}


def test_without_redis_it_is_still_ready(service: Service, machine: Caller) -> None:
    nobody = Redis.from_url("redis://127.0.0.1:9", socket_connect_timeout=0.2)
    client = create_app(replace(service, redis=nobody)).test_client()
    assert client.get("/readyz").get_json() == {"status": "ready", "redis": "down"}
    caller = Caller(client, machine.token)
    first, second = caller.get("/v1/matters"), caller.get("/v1/matters")
    assert first.status_code == 200
    assert re.findall(r"r=(\d+)", first.headers["RateLimit"] + second.headers["RateLimit"]) == ["599", "598"]


def test_an_old_schema_is_not_ready(service: Service, client: FlaskClient) -> None:
    with service.db.engine.begin() as conn:
        kept = conn.execute(text("select version_num from alembic_version")).scalar_one()
        conn.execute(text("update alembic_version set version_num = 'older'"))
    try:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.get_json()["code"]) == (503, "not-migrated")
    finally:
        with service.db.engine.begin() as conn:
            conn.execute(text("update alembic_version set version_num = :kept"), {"kept": kept})


def test_metrics_count_and_name_nobody(client: FlaskClient, machine: Caller, approver: Caller) -> None:
    matter = open_matter(machine, people=[person(1, name="Canary Person")])
    machine.send_list(matter, ndjson(3, first=50))
    approver.post(f"/v1/matters/{matter}/approve")
    shown = client.get("/metrics")
    assert shown.status_code == 200
    assert re.search(r'notifier_http_requests_total\{method="POST",route="/v1/matters",status="201"\} \d', shown.text)
    assert re.search(r'notifier_intake_rows_total\{format="ndjson"\} [1-9]', shown.text)
    assert re.search(r'notifier_attempts\{channel="sms",status="planned"\} [1-9]', shown.text)
    for gauge in ("oldest_due_attempt_seconds", "attempts_unknown", "receipts_waiting", "callbacks_quarantined"):
        assert f"\nnotifier_{gauge} " in shown.text
    assert matter not in shown.text
    assert "Canary" not in shown.text


def test_metrics_say_which_carrier_is_left_alone(service: Service, client: FlaskClient) -> None:
    gauge = 'notifier_carrier_breaker{carrier="twilio_sms"}'
    service.redis.delete("notifier:breaker:twilio_sms")
    assert gauge not in client.get("/metrics").text  # nobody can tell
    breaker = open_breaker(service.redis, "twilio_sms")
    breaker.tell(Permit.ALL, worked=False, failed=100)
    assert f"{gauge} 1.0" in client.get("/metrics").text
    breaker.tell(Permit.ALL, worked=True, failed=0)
    assert f"{gauge} 0.0" in client.get("/metrics").text
    service.redis.delete("notifier:breaker:twilio_sms")


def test_counting_that_takes_long_is_not_done_again_at_once(service: Service) -> None:
    times = iter([0.0, 0.3, 0.3, 1.0, 6.4, 6.5, 6.5, 6.6])  # what the clock shows, one look after the other
    watch = BacklogWatch(service.db, clock=lambda: next(times))
    first = watch.read(now=service.now())
    assert watch.read(now=service.now()) is first  # 0.7 s later: it took 0.3 s
    cheap = watch.read(now=service.now())
    assert cheap is not first  # 6.1 s later


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("203.0.113.7", {}),
        ("", {}),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.7"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
    ],
)
def test_metrics_are_shown_on_the_machine_itself_only(peer: str, headers: dict[str, str], client: FlaskClient) -> None:
    answer = client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "not-from-here")


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/", "/healthz", "/v1/matters", "/nowhere", "/openapi.json"])
def test_every_answer_lets_a_browser_do_little(path: str, client: FlaskClient) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Strict-Transport-Security"]
    assert headers["X-Request-Id"]
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/"])
def test_a_page_needs_nothing_from_elsewhere_and_no_script(path: str, client: FlaskClient) -> None:
    page = client.get(path)
    assert "<script" not in page.text
    assert not re.search(r'(src|href)="[a-z]+:', page.text)
    assert " style=" not in page.text
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["Content-Security-Policy"]


def test_the_public_page_speaks_english_and_spanish_and_is_small(client: FlaskClient) -> None:
    page = client.get("/")
    assert len(page.data) < 30_000
    assert 'lang="en"' in page.text
    assert 'lang="es-419"' in page.text
    assert 'data-translation="draft"' in page.text
    assert page.text.index('href="#es"') < page.text.index("<h1>")
    assert client.get("/robots.txt").text == "User-agent: *\nDisallow: /\n"


def test_surfaces_can_be_served_apart(service: Service) -> None:
    def only(surface: str) -> FlaskClient:
        return create_app(
            replace(service, settings=replace(service.settings, surfaces=frozenset({surface})))
        ).test_client()

    for surface, path, status in [
        ("api", "/v1/matters", 401),
        ("api", "/callbacks/twilio_sms", 404),
        ("callbacks", "/callbacks/twilio_sms", 403),
        ("callbacks", "/v1/matters", 404),
        ("public", "/", 200),
        ("public", "/v1/matters", 404),
        ("public", "/docs", 404),
    ]:
        method = "POST" if "callbacks" in path else "GET"
        assert only(surface).open(path, method=method).status_code == status, (surface, path)
        assert only(surface).get("/healthz").status_code == 200
