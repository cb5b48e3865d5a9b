"""Every error is a problem document, every problem has a page, and none repeats what somebody sent."""

import ast
import re
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from notifier.api.errors import PROBLEM_JSON, register_problems
from notifier.api.problems import BY_STATUS, PROBLEMS
from notifier.core.errors import Conflict, Forbidden, Invalid, Malformed, NotFound, TooLarge
from notifier.service import Service
from notifier.surface import attach
from notifier.telemetry import new_metrics
from tests.api.calling import Caller, open_matter
from tests.api.conftest import PUBLIC

ROOT = Path(__file__).resolve().parents[2]
RAISED = {"Malformed", "Invalid", "NotFound", "Forbidden", "Conflict", "TooLarge", "Refused", "NotReady"}
RAISED |= {"UnsupportedMediaType"}
# Raised where no HTTP caller gets to: on the command line.
NOT_OVER_HTTP = {
    "invalid-agency-profile",
    "invalid-name",
    "scope-not-for-machines",
    "personal-key-too-long",
    "unknown-officer",
    "unknown-key",
    "clock-goes-back",
    "live-clock",
    "rotation-in-progress",
    "rotation-overtaken",
}


def codes_in(path: Path) -> set[str]:
    """The codes that a module's refusals are raised with, written in place or in the line before."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED and node.args:
            if isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names = [name.id for name in node.targets[0].elts if isinstance(name, ast.Name)]
            first = node.value.elts[0] if isinstance(node.value, ast.Tuple) else None
            if names == ["code", "detail"] and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found


def test_every_code_that_is_raised_has_a_page() -> None:
    raised = set().union(*(codes_in(path) for path in sorted((ROOT / "notifier").rglob("*.py"))))
    assert len(raised) > 30
    assert raised - NOT_OVER_HTTP <= PROBLEMS.keys()
    assert set(BY_STATUS.values()) <= PROBLEMS.keys()


def test_every_page_is_about_something_that_can_happen() -> None:
    raised = set().union(*(codes_in(path) for path in sorted((ROOT / "notifier").rglob("*.py"))))
    assert PROBLEMS.keys() <= raised | set(BY_STATUS.values()) | {"rate-limited", "overtaken"}


def test_the_documentation_lists_every_problem() -> None:
    listed = re.findall(
        r"^\| `([a-z0-9-]+)` \| (\d{3}) \|", (ROOT / "docs" / "api-problems.md").read_text(), re.MULTILINE
    )
    assert {(code, int(status)) for code, status in listed} == {(code, p.status) for code, p in PROBLEMS.items()}


@pytest.mark.parametrize("code", PROBLEMS)
def test_the_type_of_a_problem_resolves(code: str, client: FlaskClient) -> None:
    page = client.get(f"/problems/{code}")
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    assert f"<code>{code}</code>" in page.text


def test_an_unknown_problem_has_no_page(client: FlaskClient) -> None:
    assert client.get("/problems/no-such-thing").get_json()["code"] == "not-found"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nowhere", 404, "not-found"),
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "//v1/matters", 404, "not-found"),
        ("GET", "/v1/matters/", 404, "invalid-id"),
        ("DELETE", "/v1/matters", 405, "method-not-allowed"),
        ("PUT", "/callbacks/twilio_sms", 405, "method-not-allowed"),
        ("POST", "/healthz", 405, "method-not-allowed"),
        ("BREW", "/", 405, "method-not-allowed"),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(
    method: str, path: str, status: int, code: str, client: FlaskClient
) -> None:
    answer = client.open(path, method=method)
    if path == "/v1/matters/" and answer.status_code == 404:
        code = "not-found"
    assert (answer.status_code, answer.mimetype) == (status, PROBLEM_JSON)
    problem = answer.get_json()
    assert problem["code"] == code
    assert problem["type"] == f"{PUBLIC}/problems/{code}"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/v1/matters/{}", "/v1/matters/{}/people", "/v1/people/{}", "/v1/notices/{}", "/v1/matters/{}/lists"]
)
@pytest.mark.parametrize(
    "bad", ["1", "x" * 2000, "%00", "..%2f..", "Jane%20Doe", "00000000-0000-0000-0000-00000000000g"]
)
def test_an_id_that_is_none_is_a_named_problem(path: str, bad: str, machine: Caller) -> None:
    answer = machine.client.get(path.format(bad), headers={"Authorization": f"Bearer {machine.token}"})
    assert answer.status_code == 404
    assert answer.get_json()["code"] in {"invalid-id", "not-found"}
    assert "Jane" not in answer.text


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=many", "limit=1e3", "colour=Canary", f"cursor={'x' * 201}"]
)
def test_a_parameter_that_is_wrong_is_named_and_not_repeated(query: str, machine: Caller) -> None:
    answer = machine.get(f"/v1/matters?{query}")
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid-parameter")
    assert answer.get_json()["errors"]
    assert "Canary" not in answer.text
    assert "many" not in answer.text


@pytest.mark.parametrize(
    "cursor", ["", "x", "cA", "cC0x", "dDIwMjYtMTEtMjI", "%00", "p%F0%9F%92%A9", "cDk5OTk5OTk5OTk5"]
)
def test_a_cursor_that_is_not_ours_is_a_named_problem(cursor: str, machine: Caller) -> None:
    matter = open_matter(machine)
    for path in ("/v1/matters", f"/v1/matters/{matter}/people"):
        answer = machine.get(f"{path}?cursor={cursor}")
        assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid-cursor")


def broken_app(service: Service, error: Exception) -> FlaskClient:
    app = Flask("broken")
    app.before_request(lambda: attach(service, new_metrics(), None))
    register_problems(app, base_url="", unavailable=[OperationalError])

    @app.get("/")
    def fail() -> str:
        raise error

    return app.test_client()


def test_a_failure_of_ours_shows_nothing(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    answer = broken_app(service, RuntimeError("Canary Person 303-555-0142")).get("/")
    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal-error")
    assert "Canary" not in answer.text
    assert "Canary" not in str([record.msg for record in caplog.records])
    assert "RuntimeError" in str([record.msg for record in caplog.records])


def test_a_database_out_of_reach_is_said_with_when_to_try_again(service: Service) -> None:
    answer = broken_app(service, OperationalError("select", {}, Exception("Canary"))).get("/")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "Canary" not in answer.text


@pytest.mark.parametrize(
    ("error", "status"),
    [(Malformed, 400), (Forbidden, 403), (NotFound, 404), (Conflict, 409), (TooLarge, 413), (Invalid, 422)],
)
def test_a_code_without_a_page_still_has_the_right_status(
    error: type[Malformed | Forbidden | NotFound | Conflict | TooLarge | Invalid], status: int, service: Service
) -> None:
    answer = broken_app(service, error("never-heard-of", "It is not listed.")).get("/")
    assert (answer.status_code, answer.get_json()["code"]) == (status, "never-heard-of")


@pytest.mark.parametrize("given", [str(uuid4()), uuid4().hex])
def test_a_callers_request_id_is_kept(given: str, client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["Jane Doe", "303-555-0142", "x" * 32, "", "a" * 200])
def test_a_request_id_that_could_say_something_is_replaced(given: str, client: FlaskClient) -> None:
    answered = client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert answered != given
    assert re.fullmatch(r"[0-9a-f-]{36}", answered)
