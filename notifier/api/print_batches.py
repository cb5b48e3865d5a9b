"""Print batches: what the mailroom prints, and the officer's word that it was mailed."""

from typing import Final

from flask import Response

from notifier.api.answers import BatchesOut, BatchOut, MailedOut
from notifier.api.auth import principal, v1_blueprint
from notifier.api.reply import body_digest, done_once, raw_schema, shown
from notifier.api.schemas import BatchPath, MailedIn, PartPath
from notifier.store.engine import Tx
from notifier.surface import service
from notifier.usecases import mailroom

MEDIA: Final = {"pdf": "application/pdf", "manifest": "text/csv; charset=utf-8", "totals": "application/pdf"}

blueprint = v1_blueprint("print_batches", "Print batches")


@blueprint.get("/print-batches", responses={200: BatchesOut})
def list_batches() -> Response:
    """The agency's print batches, newest first.

    Scope: mailroom.
    """
    with service().db.transaction(principal().agency_id) as tx:
        rows = mailroom.list_batches(tx, principal=principal())
    batches = [{name: row[name] for name in BatchOut.model_fields} for row in rows]
    return shown(BatchesOut.model_validate({"batches": batches}))


@blueprint.get("/print-batches/<batch_id>/<part>", responses={200: raw_schema("application/pdf")})
def read_part(path: PartPath) -> Response:
    """One file of a batch: the letters (PDF), the manifest (CSV) or the totals (PDF).

    It holds names and addresses: print it and do not keep it. The letters are not given while a stop keeps one of
    them back. Scope: mailroom.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        content = mailroom.batch_file(tx, path.batch_id, path.part, principal=principal(), vault=here.vault)
    response = Response(content, content_type=MEDIA[path.part])
    ending = "csv" if path.part == "manifest" else "pdf"
    response.headers["Content-Disposition"] = f'attachment; filename="{path.batch_id}-{path.part}.{ending}"'
    return response


@blueprint.post("/print-batches/<batch_id>/mailed", responses={200: MailedOut})
def declare_mailed(path: BatchPath, body: MailedIn) -> Response:
    """Declare that every piece of a batch was handed to the post on a day.

    Needs a personal key. Scope: mailroom.
    """
    here = service()

    def act(tx: Tx) -> MailedOut:
        mailed = mailroom.declare_mailed(tx, path.batch_id, mailed_on=body.day(), principal=principal(), now=here.now())
        return MailedOut.model_validate(mailed)

    return done_once(200, act, body_digest=body_digest())
