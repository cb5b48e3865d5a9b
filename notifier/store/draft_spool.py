"""The events of a list too long for memory, until the head of their chain is taken.

Written once as they will stand in the chain, but for their place (docs/decisions/0041-how-a-long-list-comes-in.md).
"""

import marshal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from notifier.core.events import EventType
from notifier.core.ledger import Draft, Prepared, prepare

_LENGTH: Final = 8


class DraftSpool:
    """An unlinked file of prepared events; it holds ids, codes, commitments and ciphertexts only."""

    def __init__(self) -> None:
        """The file vanishes with this object, or with the process."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 # closed in close()

    def add(self, drafts: Iterable[Draft | Prepared]) -> None:
        """Put a handful at the end.

        Raises:
            LedgerError: a draft that the registry does not allow.
        """
        prepared = [prepare(event) if isinstance(event, Draft) else event for event in drafts]
        if not prepared:
            return
        packed = marshal.dumps([(e.eid, e.type.value, *e[2:]) for e in prepared])
        self._file.write(len(packed).to_bytes(_LENGTH))
        self._file.write(packed)

    def __iter__(self) -> Iterator[Sequence[Prepared]]:
        """The handfuls, in the order they were added."""
        self._file.seek(0)
        while length := self._file.read(_LENGTH):
            handful = marshal.loads(self._file.read(int.from_bytes(length)))  # noqa: S302 # our own unlinked file
            yield [Prepared(eid, EventType(kind), *rest) for eid, kind, *rest in handful]

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
