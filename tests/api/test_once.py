"""A request has one effect, however often it arrives."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.api.calling import DOCUMENT, Caller, ndjson, new_matter, open_matter
from tests.installation import Office

Counts = Callable[[], dict[str, int]]
POSTS = [path for path, item in DOCUMENT["paths"].items() if "post" in item]


def test_the_same_request_again_gives_the_same_answer(machine: Caller, count_rows: Counts) -> None:
    matter, key = new_matter(), str(uuid4())
    first = machine.post("/v1/matters", matter, once=key)
    before = count_rows()
    again = machine.post("/v1/matters", matter, once=key)
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert count_rows() == before


def test_a_list_sent_again_is_stored_once(machine: Caller, count_rows: Counts) -> None:
    matter, key = open_matter(machine), str(uuid4())
    first = machine.send_list(matter, ndjson(5), once=key)
    before = count_rows()
    again = machine.send_list(matter, ndjson(5), once=key)
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert count_rows() == before


def test_a_key_used_for_another_request_is_refused(machine: Caller, count_rows: Counts) -> None:
    matter, key = open_matter(machine), str(uuid4())
    machine.send_list(matter, ndjson(2), once=key)
    before = count_rows()
    answers = [
        machine.send_list(matter, ndjson(2, first=2), once=key),
        machine.send_list(matter, ndjson(2), "text/csv", once=key),
        machine.send_list(open_matter(machine), ndjson(2), once=key),
        machine.post("/v1/matters", new_matter(), once=key),
    ]
    assert {(answer.status_code, answer.get_json()["code"]) for answer in answers} == {(422, "idempotency-key-reused")}
    after = count_rows()
    assert after["person"] == before["person"]
    assert after["matter"] == before["matter"] + 1


def test_a_refused_request_may_be_corrected_under_the_same_key(machine: Caller) -> None:
    matter, key = open_matter(machine), str(uuid4())
    assert machine.send_list(matter, b"{\n", once=key).status_code == 400
    assert machine.send_list(matter, ndjson(1), once=key).status_code == 201


def test_two_officers_may_use_the_same_key(machine: Caller, client: FlaskClient, office: Office) -> None:
    key = str(uuid4())
    assert machine.post("/v1/matters", new_matter(), once=key).status_code == 201
    assert Caller(client, office.personal_token).post("/v1/matters", new_matter(), once=key).status_code == 201


@pytest.mark.parametrize("path", POSTS)
def test_every_post_asks_for_a_key(path: str, client: FlaskClient, office: Office) -> None:
    asked = path.replace("{matter_id}", str(uuid4())).replace("{batch_id}", str(uuid4()))
    answer = client.post(asked, headers={"Authorization": f"Bearer {office.personal_token}"}, json={})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "idempotency-key-missing")
    operation = DOCUMENT["paths"][path]["post"]
    assert any(p["name"] == "Idempotency-Key" and p["required"] for p in operation["parameters"])


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, '""', "caf\u00e9"])
def test_a_key_that_cannot_be_kept_is_refused(key: str, client: FlaskClient, office: Office) -> None:
    headers = {"Authorization": f"Bearer {office.machine_token}", "Idempotency-Key": key.encode().decode("latin-1")}
    answer = client.post("/v1/matters", headers=headers, json=new_matter())
    assert (answer.status_code, answer.get_json()["code"]) == (400, "idempotency-key-invalid")


def test_quotes_around_a_key_change_nothing(machine: Caller) -> None:
    matter, key = new_matter(), str(uuid4())
    machine.post("/v1/matters", matter, once=key)
    assert machine.post("/v1/matters", matter, once=f'"{key}"').headers["Idempotent-Replayed"] == "true"
