"""Who may call, and what a key opens."""

from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from notifier.core.model import KeyKind, Mode
from notifier.service import Service
from notifier.usecases.access import Scope, create_key, revoke_key
from notifier.web import create_app
from tests.api.calling import DOCUMENT, Caller, ndjson, new_matter, open_matter, person
from tests.installation import NOW, Office, open_office

ROUTES = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_every_route_asks_for_a_key(path: str, method: str, client: FlaskClient) -> None:
    asked = path.replace("{part}", "pdf")
    while "{" in asked:
        start, end = asked.index("{"), asked.index("}")
        asked = asked[:start] + str(uuid4()) + asked[end + 1 :]
    answer = client.open(asked, method=method.upper(), data=b"not even JSON")
    assert answer.status_code == 401
    assert answer.get_json()["code"] == "key-missing"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_route_below_v1_is_published(app: Flask) -> None:
    rules = {rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules() if "/v1" in rule.rule}
    assert rules == set(DOCUMENT["paths"])


@pytest.mark.parametrize("token", ["ntf_test_" + "A" * 43, "nonsense", "ntf_test_", "ntf_test_\u00e9" + "A" * 42, ""])
def test_an_unknown_key_is_refused(token: str, client: FlaskClient) -> None:
    header = f"Bearer {token}".encode().decode("latin-1")
    answer = client.get("/v1/matters", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.get_json()["code"] in {"invalid-key", "key-missing"}


def test_another_scheme_is_no_key(client: FlaskClient, office: Office) -> None:
    answer = client.get("/v1/matters", headers={"Authorization": f"Basic {office.machine_token}"})
    assert answer.get_json()["code"] == "key-missing"


def test_a_revoked_key_is_refused_at_once(service: Service, office: Office, machine: Caller) -> None:
    assert machine.get("/v1/matters").status_code == 200
    with service.db.transaction(office.agency_id) as tx:
        revoke_key(tx, office.uploader.key_id, now=NOW)
    answer = machine.get("/v1/matters")
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid-key")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="notifier", error="invalid_token"'
    answer = machine.post("/v1/matters", new_matter())
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid-key")


def test_an_expired_key_is_refused(client: FlaskClient, service: Service, office: Office) -> None:
    with service.db.transaction(office.agency_id) as tx:
        key = create_key(
            tx,
            officer_id=office.approver.officer_id,
            kind=KeyKind.PERSONAL,
            mode=Mode.TEST,
            days=1,
            vault=service.vault,
            now=NOW - timedelta(days=1),
        )
    answer = Caller(client, key.token).get("/v1/matters")
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid-key")


def limited(client: FlaskClient, service: Service, office: Office, *scopes: Scope) -> Caller:
    with service.db.transaction(office.agency_id) as tx:
        key = create_key(
            tx,
            officer_id=office.uploader.officer_id,
            kind=KeyKind.PERSONAL,
            mode=Mode.TEST,
            scopes=scopes,
            vault=service.vault,
            now=NOW,
        )
    return Caller(client, key.token)


def test_a_key_without_the_scope_is_refused(
    client: FlaskClient, service: Service, office: Office, machine: Caller
) -> None:
    matter = open_matter(machine, people=[person(1)])
    nobody = limited(client, service, office)
    one = machine.get(f"/v1/matters/{matter}/people").get_json()["people"][0]["person_id"]
    some = str(uuid4())
    answers = [
        nobody.post("/v1/matters", new_matter()),
        nobody.send_list(matter, ndjson(1)),
        nobody.post(f"/v1/matters/{matter}/approve"),
        nobody.post(f"/v1/matters/{matter}/stop"),
        nobody.post(f"/v1/matters/{matter}/resume"),
        nobody.post(f"/v1/print-batches/{some}/mailed", {"mailed_on": "2026-11-20"}),
        nobody.get("/v1/matters"),
        nobody.get(f"/v1/matters/{matter}"),
        nobody.get(f"/v1/matters/{matter}/lists"),
        nobody.get(f"/v1/matters/{matter}/people"),
        nobody.get(f"/v1/people/{one}"),
        nobody.get(f"/v1/notices/{some}"),
        nobody.get("/v1/print-batches"),
        nobody.get(f"/v1/print-batches/{some}/pdf"),
    ]
    assert {(answer.status_code, answer.get_json()["code"]) for answer in answers} == {(403, "scope-missing")}


def test_who_demanded_is_shown_with_people_read_only(
    client: FlaskClient, service: Service, office: Office, machine: Caller
) -> None:
    targets = [{"kind": "organisation", "name": "Example Roofing"}]
    matter = open_matter(machine, targets=targets)
    shown = machine.get(f"/v1/matters/{matter}").get_json()["demands"][0]
    assert (shown["issuer"], shown["number"], shown["targets"]) == ("Example Field Office", "TEST-2026-0001", targets)
    hidden = limited(client, service, office, Scope.MATTER_READ).get(f"/v1/matters/{matter}").get_json()["demands"][0]
    assert [hidden[name] for name in ("issuer", "number", "dated", "targets")] == [None] * 4
    assert hidden["instrument"] == "admin_subpoena"


def test_another_agency_is_as_if_it_did_not_exist(
    client: FlaskClient, service: Service, machine: Caller, approver: Caller
) -> None:
    matter = open_matter(machine, people=[person(1)])
    approver.post(f"/v1/matters/{matter}/approve")
    listed = approver.get(f"/v1/matters/{matter}/people").get_json()["people"][0]["person_id"]
    notice = approver.get(f"/v1/people/{listed}").get_json()["notices"][0]["notice_id"]
    stranger = Caller(client, open_office(service.db, service.vault, name="Other Agency").personal_token)
    answers = {
        stranger.get(f"/v1/matters/{matter}").get_json()["code"],
        stranger.get(f"/v1/matters/{matter}/people").get_json()["code"],
        stranger.get(f"/v1/matters/{matter}/lists").get_json()["code"],
        stranger.send_list(matter, ndjson(1)).get_json()["code"],
        stranger.post(f"/v1/matters/{matter}/approve").get_json()["code"],
        stranger.post(f"/v1/matters/{matter}/stop", {"reason": "other"}).get_json()["code"],
        stranger.post(f"/v1/matters/{matter}/resume").get_json()["code"],
    }
    assert answers == {"unknown-matter"}
    assert stranger.get(f"/v1/people/{listed}").get_json()["code"] == "unknown-person"
    assert stranger.get(f"/v1/notices/{notice}").get_json()["code"] == "unknown-notice"
    assert stranger.get("/v1/matters").get_json()["matters"] == []


def test_test_and_live_do_not_mix(client: FlaskClient, office: Office, machine: Caller) -> None:
    matter = open_matter(machine, people=[person(1)])
    live = Caller(client, office.live_token(office.approver))
    answers = [
        live.get(f"/v1/matters/{matter}"),
        live.get(f"/v1/matters/{matter}/people"),
        live.send_list(matter, ndjson(1)),
        live.post(f"/v1/matters/{matter}/approve"),
        live.post(f"/v1/matters/{matter}/resume"),
    ]
    assert {(answer.status_code, answer.get_json()["code"]) for answer in answers} == {(403, "mode-mismatch")}
    assert live.post(f"/v1/matters/{matter}/stop").status_code == 200
    assert live.get("/v1/matters").get_json()["matters"] == []


def test_an_application_can_be_made_twice(service: Service) -> None:
    assert create_app(service).test_client().get("/openapi.json").get_json() == DOCUMENT
