"""What is wrong with a document or a parameter, in our words: pointers and codes, never a value."""

from typing import Final, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from notifier.core.errors import Finding, Invalid, NotFound

MAX_FINDINGS: Final = 100
OWN_WORDS: Final = frozenset({"blank", "contact_shape", "impossible_date", "unknown_record_type", "date_order"})
"""Errors of our own validators, whose texts are ours."""

_WORDS: Final = {
    "missing": ("missing", "is required"),
    "extra_forbidden": ("unknown_field", "holds a member that is not known here"),
    "string_type": ("wrong_type", "must be text"),
    "bool_type": ("wrong_type", "must be true or false"),
    "int_type": ("wrong_type", "must be a whole number"),
    "int_parsing": ("wrong_type", "must be a whole number"),
    "list_type": ("wrong_type", "must be a list"),
    "tuple_type": ("wrong_type", "must be a list"),
    "dict_type": ("wrong_type", "must be an object"),
    "model_type": ("wrong_type", "must be an object"),
    "model_attributes_type": ("wrong_type", "must be an object"),
    "string_pattern_mismatch": ("not_valid", "has a form or a character that is not allowed"),
    "string_unicode": ("lone_surrogate", "holds half of a surrogate pair"),
    "string_too_short": ("too_short", "is too short"),
    "too_short": ("too_few", "has too few entries"),
}
_LIMITS: Final = {
    "string_too_long": ("too_long", "at most {max_length} characters"),
    "too_long": ("too_many", "at most {max_length}"),
    "greater_than_equal": ("too_small", "at least {ge}"),
    "less_than_equal": ("too_big", "at most {le}"),
    "enum": ("not_one_of", "must be one of {expected}"),
    "literal_error": ("not_one_of", "must be one of {expected}"),
}


def refuse(error: ValidationError) -> NoReturn:
    """Turn a validation error of flask-openapi into our own. The model's name tells where the fault is.

    Raises:
        NotFound: `invalid-id`: an id in the address is none.
        Invalid: `invalid-parameter` for the query, `invalid-body` for the body, with findings.
    """
    found = findings(error)
    kind = error.title
    if kind.endswith("Path"):
        if any(finding.pointer == "/part" for finding in found):
            raise NotFound("unknown-file", "There is no such file.") from None
        raise NotFound("invalid-id", "The id in the address is not an id of ours.") from None
    if kind.endswith("Query"):
        raise Invalid("invalid-parameter", "A parameter of the query is wrong.", found) from None
    raise Invalid("invalid-body", "The document is not what is expected here. Nothing was stored.", found) from None


def findings(error: ValidationError) -> list[Finding]:
    """At most 100 findings. An unknown member is pointed at by what holds it, because its name is the caller's."""
    details = error.errors(include_url=False, include_input=False)
    return [_finding(detail) for detail in details[:MAX_FINDINGS]]


def _finding(detail: ErrorDetails) -> Finding:
    kind = detail["type"]
    where = detail["loc"][:-1] if kind == "extra_forbidden" else detail["loc"]
    pointer = "".join(f"/{part}" for part in where)
    if kind in OWN_WORDS:
        return Finding(pointer, kind, detail["msg"])
    if kind in _LIMITS:
        code, text = _LIMITS[kind]
        return Finding(pointer, code, text.format_map(detail.get("ctx", {})))
    return Finding(pointer, *_WORDS.get(kind, ("not_valid", "is not valid here")))
