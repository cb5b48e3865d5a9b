"""What is published is what is served, and it stands in the repository."""

import json
import re

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from notifier.api.snapshot import main, published
from tests.api.calling import DOCUMENT, Caller, new_matter

OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


def test_the_snapshot_is_what_the_code_publishes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
    assert main(["--what"]) == 2


def test_the_document_is_openapi_3_1(client: FlaskClient) -> None:
    served = client.get("/openapi.json")
    assert served.mimetype == "application/json"
    assert served.get_json() == DOCUMENT
    assert DOCUMENT["openapi"] == "3.1.0"
    assert json.loads(next(iter(published().values()))) == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(DOCUMENT)):
        found = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_every_schema_is_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_says_what_it_does_and_how_it_fails(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"]
    assert "Scope: " in operation["description"]
    assert operation["security"] == [{"key": []}]
    for status in ("400", "401", "403", "404", "422", "429", "500", "503"):
        assert "application/problem+json" in operation["responses"][status]["content"]


def test_operation_ids_are_unique() -> None:
    ids = [DOCUMENT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(ids)) == len(ids)


def test_a_document_of_the_tests_is_one_of_the_published_shape(machine: Caller) -> None:
    schema = {"$ref": "#/components/schemas/NewMatterIn", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(new_matter())
    assert machine.post("/v1/matters", new_matter()).status_code == 201


def test_the_docs_show_every_operation_with_a_command(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    for path, method in OPERATIONS:
        assert f"{method.upper()} {path}" in page.text
    assert page.text.count("<pre>curl ") == len(OPERATIONS)
    assert "<script" not in page.text
    assert not re.search(r'(src|href)="(https?:)?//', page.text)


def test_the_example_of_the_docs_works(client: FlaskClient, machine: Caller) -> None:
    page = client.get("/docs").text
    command = page[page.index('id="create_matter"') :]
    example = command[command.index("--data ") + 7 :]
    example = example[: example.index("</pre>")].replace("&#34;", '"').replace("&#39;", "'")
    body = example[example.index("'") + 1 : example.rindex("'")]
    answer = machine.post("/v1/matters", body.encode())
    assert answer.status_code == 201, answer.get_json()
