"""Calling the API in tests: every answer is held against what the API publishes."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from notifier.api.app import document, new_app
from notifier.service import TEMPLATE_DIR

DOCUMENT: dict[str, Any] = json.loads(json.dumps(document(new_app(str(TEMPLATE_DIR)))))


@dataclass
class Caller:
    """Calls the API with a key, and holds every answer against the published document."""

    client: FlaskClient
    token: str = field(repr=False)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self._check(self.client.get(path, headers={**self._auth, **headers}), path, "get")

    def post(self, path: str, body: object = None, *, once: str | None = None, **headers: str) -> TestResponse:
        """Send JSON, or bytes as they are (then name the Content-Type)."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {**self._auth, "Idempotency-Key": once or str(uuid4())}
        if data is not None:
            given["Content-Type"] = "application/json"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self._check(self.client.post(path, data=data, headers=given), path, "post")

    def send_list(self, matter_id: str, body: bytes, media: str = "application/x-ndjson", **more: Any) -> TestResponse:
        return self.post(f"/v1/matters/{matter_id}/people", body, Content_Type=media, **more)

    @property
    def _auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _check(self, response: TestResponse, path: str, method: str) -> TestResponse:
        hold_against_schema(response, path, method)
        return response


def hold_against_schema(response: TestResponse, path: str, method: str) -> None:
    """The answer has a status, a content type and a shape that the document publishes for this route."""
    template = template_of(path.partition("?")[0], method)
    if template is None:
        schemas = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    else:
        responses = DOCUMENT["paths"][template][method]["responses"]
        assert str(response.status_code) in responses or response.status_code == 304, (template, response.status_code)
        schemas = responses.get(str(response.status_code), {}).get("content", {})
    if response.status_code == 304:
        assert not response.data
        return
    if response.mimetype in {"application/pdf", "text/csv"}:
        return
    assert response.mimetype in schemas, (response.mimetype, path)
    schema = {**schemas[response.mimetype]["schema"], "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(response.get_json())


def template_of(path: str, method: str) -> str | None:
    parts = path.strip("/").split("/")
    for template, item in DOCUMENT["paths"].items():
        wanted = template.strip("/").split("/")
        is_like = len(wanted) == len(parts) and all(w[0] == "{" or w == p for w, p in zip(wanted, parts, strict=True))
        if is_like and method in item:
            return str(template)
    return None


def demand(**changes: object) -> dict[str, object]:
    return {
        "issuer": "Example Field Office",
        "issuer_class": "federal_immigration",
        "instrument": "admin_subpoena",
        "number": "TEST-2026-0001",
        "dated": "2026-11-02",
        "received_on": "2026-11-16",
        "return_date": "2026-12-15",
        "judge_signed": "no",
        "nondisclosure": "request",
        "record_types": ["wages", "home_address"],
        "already_released": False,
    } | changes


def new_matter(**changes: object) -> dict[str, object]:
    return {"external_id": f"M-{uuid4()}", "demand": demand()} | changes


def person(number: int, **changes: object) -> dict[str, object]:
    return {
        "external_id": f"P-{number}",
        "name": f"Test Person {number}",
        "language": "es-419" if number % 2 else "en",
        "contacts": [
            {"kind": "phone", "value": f"303-555-{100 + number % 100:04d}"},
            {"kind": "email", "value": f"person{number}@example.org"},
        ],
    } | changes


def ndjson(count: int, first: int = 0) -> bytes:
    return b"".join(json.dumps(person(number)).encode() + b"\n" for number in range(first, first + count))


def open_matter(caller: Caller, **changes: object) -> str:
    answer = caller.post("/v1/matters", new_matter(**changes))
    assert answer.status_code == 201, answer.get_json()
    return str(answer.get_json()["matter_id"])
