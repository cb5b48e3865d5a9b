"""Events, chains of them, and any value that an event may hold."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from notifier.core.events import EventType
from notifier.core.ledger import MAX_INTEGER, Chained, Draft, Json, extend
from notifier.core.model import Actor

MATTER = UUID("00000000-0000-4000-8000-00000000aaaa")
OFFICER = Actor.officer(UUID("00000000-0000-4000-8000-00000000bbbb"))
NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(max_codepoint=127), max_size=10)
integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
values: st.SearchStrategy[Json] = st.recursive(
    st.booleans() | integers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


def draft(number: int) -> Draft:
    committed = {"text": hashlib.sha256(b"%d" % number).digest()}
    return Draft(
        UUID(int=(4 << 76) | (number + 1)),
        EventType.ATTEMPT_HANDED_OVER if number % 2 else EventType.ATTEMPT_CANCELLED,
        OFFICER,
        {"attempt": str(UUID(int=number)), "status": "planned"},
        person=UUID(int=number + 1),
        commits=committed if number % 2 else {},
    )


def chained(length: int) -> list[Chained]:
    drafts = [draft(number) for number in range(length)]
    return extend(drafts, chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)
