"""How the language tags of a list are looked up."""

from typing import TypedDict

from notifier.core.roster import Lookup
from notifier.service import Service


class Lookups(TypedDict):
    """The keywords that the readers of lists take."""

    resolve_language: Lookup
    suggest: Lookup


def lookups(service: Service) -> Lookups:
    """The declared languages, as the readers of lists ask for them."""
    languages = service.renderer.languages

    def resolve(tag: str) -> str | None:
        language = languages.resolve(tag)
        return None if language is None else language.tag

    return {"resolve_language": resolve, "suggest": languages.suggest}
