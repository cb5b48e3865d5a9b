"""People: a list comes in, and everybody on it can be looked at."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from flask import Response, request

from notifier.api.answers import ListOut
from notifier.api.auth import JSON, principal, require_media_type, v1_blueprint
from notifier.api.cursors import place_cursor, read_place
from notifier.api.languages import Lookups, lookups
from notifier.api.people_answers import PeoplePage, PersonLineOut, PersonOut
from notifier.api.reply import done_once, shown
from notifier.api.schemas import JSON_LIMIT, LIST_LIMIT, MatterPath, PageQuery, PersonPath
from notifier.api.spool import Spool
from notifier.bodies import body_pieces
from notifier.core.errors import Malformed
from notifier.core.roster import PersonRow, read_csv, read_json_list, read_ndjson
from notifier.store.engine import Tx
from notifier.surface import metrics, service
from notifier.usecases import people, reading_people
from notifier.usecases.access import Scope

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
FORMATS: Final = {JSON: "json", NDJSON: "ndjson", CSV: "csv"}
_ROW: Final = {"$ref": "#/components/schemas/PersonRow"}
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "The list in UTF-8: a JSON array (10 MB at most), one JSON object a line, or CSV with a header"
    " (1 GB at most). The columns of CSV: external_id, name, native_name, language, phone, email, address_line1,"
    " address_line2, city, region, postal_code, country; the first two are required.",
    "content": {
        JSON: {"schema": {"type": "array", "items": _ROW}},
        NDJSON: {"schema": _ROW},
        CSV: {"schema": {"type": "string"}},
    },
}

blueprint = v1_blueprint("people", "People", streams=True)


@blueprint.post("/matters/<matter_id>/people", request_body=_BODY, responses={201: ListOut})
def add_people(path: MatterPath) -> Response:
    """Add a list to a matter. Rows stored = rows sent, or nothing is stored.

    A person without a contact that can be used is kept and counted as unreachable. A fault in the form of any row
    refuses the whole list; `errors` points at each. Answers after everything is stored. Scope: matter.write.
    """
    principal().require(Scope.MATTER_WRITE)
    media = require_media_type(*FORMATS)
    here = service()
    with Spool() as spool:
        spool.fill(body_pieces(request.environ, limit=JSON_LIMIT if media == JSON else LIST_LIMIT))
        if not spool.size:
            raise Malformed("empty-body", "The body is empty.")
        stored: list[int] = []

        def act(tx: Tx) -> ListOut:
            received = people.add_people(
                tx,
                path.matter_id,
                _rows(spool, media, lookups(here)),
                format=FORMATS[media],
                body_digest=spool.digest,
                principal=principal(),
                vault=here.vault,
                now=here.now(),
            )
            stored.append(received.rows)
            return ListOut.of(received)

        count = metrics().intake_rows.labels(FORMATS[media]).inc
        return done_once(201, act, body_digest=spool.digest, after=lambda: count(sum(stored)))


def _rows(pieces: Iterable[bytes], media: str, asked: Lookups) -> Iterator[PersonRow]:
    if media == JSON:
        return read_json_list(b"".join(pieces), **asked)
    return (read_ndjson if media == NDJSON else read_csv)(pieces, **asked)


@blueprint.get("/matters/<matter_id>/people", responses={200: PeoplePage})
def list_people(path: MatterPath, query: PageQuery) -> Response:
    """The people of a matter in the order they came in, each with outcome and contacts.

    Scope: people.read.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        found = reading_people.list_people(
            tx,
            path.matter_id,
            after=read_place(query.cursor),
            limit=query.limit + 1,
            principal=principal(),
            silence=here.silence,
            vault=here.vault,
        )
    page = found[: query.limit]
    more = place_cursor(page[-1].ordinal) if len(found) > len(page) else None
    return shown(PeoplePage(people=[PersonLineOut.of(line) for line in page], next_cursor=more))


@blueprint.get("/people/<person_id>", responses={200: PersonOut})
def read_person(path: PersonPath) -> Response:
    """A person: their notices, and all that happened, each with what it proves.

    Scope: people.read.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        person = reading_people.read_person(
            tx, path.person_id, principal=principal(), silence=here.silence, vault=here.vault
        )
    return shown(PersonOut.read(person))
