"""Things that must turn up nowhere, and every way in which they could be written there."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus


def spellings(canary: str) -> set[bytes]:
    """How a text could stand in a log, a table or on a wire; small letters only, see `found`."""
    raw = canary.encode()
    plain = {raw, canary.encode("utf-16-le"), canary.encode("utf-16-be"), canary.encode("latin-1", "replace")}
    escaped = {
        quote(canary, safe="").encode(),
        quote_plus(canary, safe="").encode(),
        canary.encode("ascii", "backslashreplace"),
        canary.encode("unicode_escape"),
        canary.encode("ascii", "xmlcharrefreplace"),
        repr(raw)[2:-1].encode(),
        raw.hex().encode(),
    }
    inside = {piece for encode in (b64encode, urlsafe_b64encode) for piece in _inside_base64(raw, encode)}
    return {spelling.lower() for spelling in plain | escaped | inside if len(spelling) >= 6}  # not by chance


def _inside_base64(raw: bytes, encode: object) -> Iterable[bytes]:
    """The part of a base64 text that a value alone decides, wherever in the encoded whole it begins."""
    assert callable(encode)
    for before, cut in ((0, 0), (1, 2), (2, 3)):
        yield encode(bytes(before) + raw)[cut : (before + len(raw)) * 8 // 6]


def found(canaries: Mapping[str, str], places: Mapping[str, bytes]) -> list[str]:
    """Each canary that is to be seen, with the place; places are named, and never shown."""
    known = {name: spellings(canary) for name, canary in canaries.items()}
    return sorted(
        f"{name} in {place}"
        for place, content in ((place, content.lower()) for place, content in places.items())
        for name, written in known.items()
        if any(spelling in content for spelling in written)
    )
