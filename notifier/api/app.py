"""Putting the API together: its blueprints, its OpenAPI document, and what every POST asks for."""

from typing import Any, Final

from flask import Flask, Response, g
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.info import Info
from flask_openapi.models.parameter import Parameter
from flask_openapi.models.path_item import PathItem
from flask_openapi.models.schema import Schema
from flask_openapi.models.security_scheme import SecurityScheme
from flask_openapi.openapi import OpenAPI
from redis import Redis

from notifier.api import (
    carriers,
    contact_flags,
    docs,
    matters,
    notices,
    people,
    print_batches,
    returned_mail,
    stops,
    tasks,
)
from notifier.api.answers import ProblemOut
from notifier.api.auth import ApiRequest, add_rate_headers
from notifier.api.limits import RateLimiter
from notifier.api.schemas import OnceHeader
from notifier.api.validation import refuse

VERSION: Final = "1.0.0"
OPENAPI: Final = "3.1.0"
BLUEPRINTS: Final[tuple[APIBlueprint, ...]] = (
    matters.blueprint,
    people.blueprint,
    notices.blueprint,
    print_batches.blueprint,
    returned_mail.blueprint,
    contact_flags.blueprint,
    stops.blueprint,
    carriers.blueprint,
    tasks.blueprint,
)
ABOUT: Final = (
    "Tells every person named in a demand for records, over SMS, email and letter, and follows each notice to its end."
    " Every error is a problem document (RFC 9457). Every POST needs an Idempotency-Key: send a request again with the"
    " same key whenever its answer was lost. Answers come after everything is stored."
)


def new_app(template_folder: str) -> OpenAPI:
    """An application with the API and its documentation; it needs no running service to be described."""
    app = OpenAPI(
        "notifier",
        info=Info(title="Affected-person notification service", version=VERSION, description=ABOUT),
        security_schemes={
            "key": SecurityScheme(
                type="http", scheme="bearer", description="An API key: `ntf_test_...` or `ntf_live_...`."
            )
        },
        servers=[{"url": "/"}],
        validation_error_status=422,
        validation_error_model=ProblemOut,
        validation_error_callback=refuse,
        doc_ui=False,
        static_folder=None,
        template_folder=template_folder,
    )
    app.openapi_version = OPENAPI
    app.request_class = ApiRequest
    for blueprint in BLUEPRINTS:
        _ask_for_idempotency(blueprint.paths)
        app.register_api(blueprint)
    app.register_blueprint(docs.blueprint)
    return app


def install_limits(app: Flask, redis: Redis) -> None:
    """Count the requests of each key, and say in every answer how many are left."""
    limiter = RateLimiter(redis)

    def remember() -> None:
        g.limiter = limiter

    def say(response: Response) -> Response:
        add_rate_headers(response)
        return response

    app.before_request(remember)
    app.after_request(say)


def document(app: OpenAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    return app.api_doc


def _ask_for_idempotency(paths: dict[str, PathItem]) -> None:
    schema = OnceHeader.model_json_schema()["properties"]["Idempotency-Key"]
    asked = Parameter.model_validate(
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": schema.pop("description"),
            "schema": Schema.model_validate(schema),
        }
    )
    for item in paths.values():
        if item.post is not None:
            others = [p for p in item.post.parameters or [] if p.name != asked.name]
            item.post.parameters = [*others, asked]
