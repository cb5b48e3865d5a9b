"""Looking into the database from beside: whether a run has ended, and whether everything came out right.

One connection of the administrator's, whose own backend is left out of the count.
"""

from collections import Counter
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from notifier.store.engine import Database
from notifier.store.ledger import verify
from tests.sandbox import Sandbox


class WentWrong(Exception):
    """A run did not do what it was to do, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`connection` sees every row; `db` is the application's own, for the ledger's verifier."""

    connection: psycopg.Connection[TupleRow]
    db: Database
    agency_id: UUID

    @property
    def backend(self) -> int:
        """The process that serves this connection."""
        return self.connection.info.backend_pid

    @property
    def server_version(self) -> str:
        """Of PostgreSQL."""
        return self.connection.info.parameter_status("server_version") or "unknown"

    def tidy(self) -> None:
        """Leave nothing of the run before: dead rows, old statistics, dirty pages."""
        self.connection.execute("vacuum analyze")
        self.connection.execute("checkpoint")

    def statuses(self, matter_id: str) -> Counter[str]:
        """How many attempts of a matter stand where."""
        found = self.connection.execute(
            "select status, count(*) from attempt where matter_id = %s group by 1", [matter_id]
        )
        return Counter({str(status): int(count) for status, count in found})

    def handed_over(self, matter_id: str) -> int:
        """How many messages the carriers have and told nothing more of; quick, however large the matter is."""
        return self._attempts(matter_id, ["handed_over", "accepted"])

    def is_sending(self, matter_id: str) -> bool:
        """Whether some message is under way."""
        return self._attempts(matter_id, ["sending"]) > 0

    def _attempts(self, matter_id: str, statuses: list[str]) -> int:
        # Put into the query as words, so that the planner sees that an index over just these is enough.
        query = sql.SQL(
            "select count(*) from attempt where agency_id = {} and matter_id = {} and status in ({})"
        ).format(self.agency_id, UUID(matter_id), sql.SQL(", ").join(map(sql.Literal, statuses)))
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def messages(self, matter_id: str) -> list[tuple[UUID, str]]:
        """The attempts of a matter with the carrier's id of each."""
        found = self.connection.execute("select attempt_id, carrier_ref from attempt where matter_id = %s", [matter_id])
        return [(attempt_id, str(carrier_ref)) for attempt_id, carrier_ref in found]

    def applied(self, matter_id: str) -> int:
        """How many receipts were applied."""
        return self._number("select count(*) from receipt where matter_id = %s and applied_at is not null", matter_id)

    def pages(self, matter_id: str) -> int:
        """How many pages of letters were written."""
        return self._number(
            "select coalesce(sum((convert_from(body, 'utf8')::jsonb->'data'->>'pages')::int), 0) from event"
            " where chain_id = %s and type = 'attempt.composed'",
            matter_id,
        )

    def require_stored(self, matter_id: str, people: int, contacts: int) -> None:
        """Rows stored = rows sent, and the ledger holds.

        Raises:
            WentWrong: not so.
            LedgerError: an event was changed, dropped, added or moved.
        """
        stored = self._number("select count(*) from person where matter_id = %s", matter_id)
        listed = self._number("select sum(rows) from roster where matter_id = %s", matter_id)
        points = self._number(
            "select count(*) from contact_point c join person p using (agency_id, person_id) where p.matter_id = %s",
            matter_id,
        )
        if (stored, listed, points) != (people, people, contacts):
            raise WentWrong(f"{stored} people, {listed} rows, {points} contacts, of {people} and {contacts}")
        with self.db.transaction(self.agency_id) as tx:
            verify(tx, UUID(matter_id))

    def require_one_each(self, matter_id: str, sandbox: Sandbox, *, after: int) -> None:
        """The carrier's own record since line `after` names every attempt of the matter that is not planned any more
        exactly once, and no other.

        Raises:
            WentWrong: something was lost, doubled or made up.
        """
        taken = Counter(str(line["attempt"]) for line in sandbox.record(after=after, kind="taken"))
        found = self.connection.execute(
            "select attempt_id from attempt where matter_id = %s and status <> 'planned'", [matter_id]
        )
        ours = Counter(str(attempt_id) for (attempt_id,) in found)
        if taken != ours:
            raise WentWrong(f"lost: {(ours - taken).total()}, doubled or foreign: {(taken - ours).total()}")

    def _number(self, query: LiteralString, matter_id: str) -> int:
        row = self.connection.execute(query, [matter_id]).fetchone()
        return int(row[0]) if row and row[0] is not None else 0
