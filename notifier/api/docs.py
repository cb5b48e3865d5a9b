"""The documentation that we serve ourselves: the OpenAPI document, a page to read it, and a page for each problem."""

import json
from typing import Any, Final, cast

from flask import Blueprint, Response, current_app, render_template
from flask_openapi.openapi import OpenAPI

from notifier.api.problems import PROBLEMS
from notifier.core.errors import NotFound

_METHODS: Final = ("get", "post")

blueprint = Blueprint("docs", __name__)
problem_pages = Blueprint("problems", __name__, url_prefix="/problems")
"""Served by every surface, because the `type` of any problem leads there."""


@blueprint.get("/openapi.json")
def openapi_json() -> Response:
    """The OpenAPI 3.1 document."""
    return Response(json.dumps(_document()), content_type="application/json")


@blueprint.get("/docs")
def read_docs() -> str:
    """The same for humans, without scripts."""
    document = _document()
    return render_template("api/docs.html", document=document, operations=_operations(document), problems=PROBLEMS)


@problem_pages.get("/")
def list_problems() -> str:
    """Every problem on one page."""
    return render_template("api/problems.html", problems=PROBLEMS)


@problem_pages.get("/<code>")
def read_problem(code: str) -> str:
    """What one problem means, and what to do about it."""
    if code not in PROBLEMS:
        raise NotFound("not-found", "There is nothing at this address.")
    return render_template("api/problems.html", problems={code: PROBLEMS[code]})


def _document() -> dict[str, Any]:
    return cast("OpenAPI", current_app).api_doc


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Each operation with what its readers want to see beside it."""
    return [
        {
            "path": path,
            "method": method.upper(),
            "operation": item[method],
            "members": _members(document, item[method]),
            "curl": _curl(document, path, method, item[method]),
        }
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]


def _members(document: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The members of the body, one row each, nested ones below their parents."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return _rows(document, schema.get("items", schema), "")


def _rows(document: dict[str, Any], schema: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    found = _resolve(document, schema)
    rows = []
    for name, member in found.get("properties", {}).items():
        rows.append(
            {
                "name": prefix + name,
                "required": name in found.get("required", []),
                "kind": _kind(document, member),
                "text": member.get("description") or _resolve(document, member).get("description", ""),
            }
        )
        for part in (member, member.get("items", {}), *member.get("anyOf", [])):
            if "$ref" in part:
                rows += _rows(document, part, f"{prefix}{name}{'[]' if part is member.get('items') else ''}.")
    return rows


def _kind(document: dict[str, Any], member: dict[str, Any]) -> str:
    found = _resolve(document, member)
    if "enum" in found:
        return " | ".join(map(str, found["enum"]))
    if "anyOf" in found:
        return " or ".join(_kind(document, part) for part in found["anyOf"])
    if found.get("type") == "array":
        return f"list of {_kind(document, found.get('items', {}))}"
    return str(found.get("format") or found.get("type") or "")


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return cast("dict[str, Any]", document["components"]["schemas"][reference.rsplit("/", 1)[-1]])


def _curl(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    words = ["curl", "-H", '"Authorization: Bearer $NTF_KEY"']
    if method == "post":
        words += ["-H", '"Idempotency-Key: $(uuidgen)"']
    content = operation.get("requestBody", {}).get("content", {})
    if "application/x-ndjson" in content:
        words += ["-H", '"Content-Type: application/x-ndjson"', "--data-binary", "@people.ndjson"]
    elif content:
        example = _example(document, content["application/json"]["schema"])
        if example:
            words += [
                "-H",
                '"Content-Type: application/json"',
                "--data",
                f"'{json.dumps(example, ensure_ascii=False)}'",
            ]
        else:
            words += ["-X", "POST"]
    address = path.replace("{", "$").replace("}", "").replace("$matter_id", "$MATTER").replace("$person_id", "$PERSON")
    address = address.replace("$notice_id", "$NOTICE").replace("$batch_id", "$BATCH").replace("$part", "pdf")
    return " ".join([*words, f'"$NTF_URL{address}"'])


def _example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """A small document of the shape: the examples of its members, and what is required."""
    found = _resolve(document, schema)
    if "enum" in found:
        return found["enum"][0]
    if found.get("examples"):
        return found["examples"][0]
    if "properties" in found:
        required = set(found.get("required", []))
        return {
            name: _own_example(document, member)
            for name, member in found["properties"].items()
            if name in required or member.get("examples")
        }
    return None


def _own_example(document: dict[str, Any], member: dict[str, Any]) -> Any:
    if member.get("examples"):
        return member["examples"][0]
    if member.get("type") == "boolean":
        return False
    return _example(document, member)
