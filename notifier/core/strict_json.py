"""JSON as RFC 8259 has it and no more: UTF-8 only, no key twice, no NaN, no bottomless nesting."""

import json
from typing import NoReturn

from notifier.core.errors import Finding, Malformed


class _NotJson(ValueError):
    """What is wrong with a text, as (code, detail)."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotJson("duplicate_key", "an object has the same key twice")
    return found


def _constant(_: str) -> NoReturn:
    raise _NotJson("not_json", "NaN and Infinity are not JSON")


_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def parse(body: bytes) -> object:
    """The value in `body`; a byte-order mark is allowed.

    Raises:
        Malformed: `not-json`, with one finding (`not_utf8`, `not_json`, `duplicate_key` or `too_deep`) that tells the
            position and repeats nothing.
    """
    try:
        return _DECODER.decode(body.removeprefix(_BOM).decode())
    except UnicodeDecodeError as error:
        problem = ("not_utf8", f"byte {error.start + 1} is not UTF-8")
    except json.JSONDecodeError as error:
        problem = ("not_json", f"is not JSON at line {error.lineno}, column {error.colno}")
    except _NotJson as error:
        problem = error.args
    except RecursionError:
        problem = ("too_deep", "is nested too deeply")
    except ValueError:
        problem = ("not_json", "holds a number that is too long")
    raise Malformed("not-json", "the body is not JSON", [Finding("", *problem)])
