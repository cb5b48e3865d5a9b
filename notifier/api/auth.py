"""Who calls, how often, and with which document: looked at before any view and before flask-openapi validates.

Every blueprint below /v1 is made by `v1_blueprint`, so that no route can be added without these steps:

(1) the key is known and in force, else 401; (2) it has requests left, else 429; (3) a POST names its Idempotency-Key,
else 400; (4) its body, where the view does not stream it, is JSON in UTF-8 within the limit, else 400, 413 or 415.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast

from flask import Request, Response, g, request
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.types import ResponseDict

from notifier.api.errors import PROBLEM_JSON, RateLimited
from notifier.api.limits import POLICY, Allowance, RateLimiter
from notifier.api.schemas import JSON_LIMIT
from notifier.bodies import read_body
from notifier.core.errors import Finding, Forbidden, Invalid, Malformed
from notifier.core.strict_json import parse
from notifier.surface import service
from notifier.usecases.access import Principal, authenticate

JSON: Final = "application/json"
SECURITY: Final[list[dict[str, list[str]]]] = [{"key": []}]
_BEARER: Final = "bearer "
_LONGEST_KEY: Final = 255
_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


class UnsupportedMediaType(Malformed):
    """A body of a kind that is not accepted here."""


class ApiRequest(Request):
    """A request whose JSON was parsed before the view, strictly; flask-openapi would take malformed JSON for none."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002 # Flask's own signature
        """The document of step 4."""
        return g.document


def v1_blueprint(name: str, tag: str, *, streams: bool = False) -> APIBlueprint:
    """A blueprint below /v1 whose every route asks for a key. `streams`: its POST reads the body itself."""
    blueprint = APIBlueprint(
        name,
        __name__,
        url_prefix="/v1",
        abp_tags=[{"name": tag}],
        abp_security=SECURITY,
        operation_id_callback=_operation_id,
        abp_responses=problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503),
    )
    blueprint.before_request(admit)
    if not streams:
        blueprint.before_request(read_document)
    return blueprint


def problem_responses(*statuses: int) -> ResponseDict:
    """The published answers for errors."""
    schema = {"$ref": "#/components/schemas/ProblemOut"}
    return {status: {"content": {PROBLEM_JSON: {"schema": schema}}} for status in statuses}


def _operation_id(*, name: str, path: str, method: str) -> str:  # noqa: ARG001 # what flask-openapi calls it with
    return name


def admit() -> None:
    """Steps 1 to 3."""
    scheme, given = request.headers.get("Authorization", ""), ""
    if scheme[: len(_BEARER)].lower() == _BEARER:
        given = scheme[len(_BEARER) :].strip()
    if not given:
        raise Forbidden("key-missing", "This needs an API key.")
    here = service()
    g.principal = authenticate(given, db=here.db, vault=here.vault, now=here.now())  # (1)
    g.allowance = cast("RateLimiter", g.limiter).take(principal().key_id)  # (2)
    if g.allowance.exceeded:
        raise RateLimited(g.allowance.reset)
    if request.method == "POST":
        g.idempotency_key = _idempotency_key(request.headers.get("Idempotency-Key"))  # (3)


def principal() -> Principal:
    """Who calls."""
    return cast("Principal", g.principal)


def add_rate_headers(response: Response) -> None:
    """Say how much of the window is left, where a key was admitted."""
    allowance: Allowance | None = g.get("allowance")
    if allowance is not None:
        response.headers["RateLimit-Policy"] = POLICY
        response.headers["RateLimit"] = allowance.header


def _idempotency_key(given: str | None) -> str:
    if given is None:
        raise Malformed("idempotency-key-missing", "This needs an Idempotency-Key.")
    # The draft writes it as a structured field, in quotes; nearly everybody leaves them out.
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key):
        raise Malformed("idempotency-key-invalid", "The Idempotency-Key is not usable.")
    return key


def require_media_type(*accepted: str) -> str:
    """The content type of the body, one of `accepted`.

    Raises:
        UnsupportedMediaType: another one, none, compressed, or not in UTF-8.
    """
    if request.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
        raise UnsupportedMediaType("unsupported-encoding", "The body is compressed.")
    charset = request.mimetype_params.get("charset", "utf-8").strip('"').lower()
    if request.mimetype not in accepted or charset not in _UTF_8:
        raise UnsupportedMediaType("unsupported-media-type", f"Accepted here, in UTF-8: {', '.join(accepted)}.")
    return request.mimetype


def read_document() -> None:
    """Step 4: read and parse a JSON body; `ApiRequest.get_json` then gives what was parsed here."""
    if request.method != "POST":
        return
    body = read_body(request.environ, limit=JSON_LIMIT)
    g.body_digest = hashlib.sha256(body).digest()
    if not body and _may_be_empty():
        g.document = {}
        return
    require_media_type(JSON)
    if not body:
        raise Malformed("empty-body", "The body is empty.")
    document = parse(body)
    if not isinstance(document, Mapping):
        findings = [Finding("", "wrong_type", "must be an object")]
        raise Invalid("invalid-body", "The document is not what is expected here. Nothing was stored.", findings)
    g.document = document


def _may_be_empty() -> bool:
    return (request.endpoint or "").endswith((".approve", ".stop", ".resume", ".resume_sending"))
