"""Print batches: what the mailroom prints, and the officer's word that it was mailed."""

from typing import Final

from flask import Response

from notifier.api.auth import principal, v1_blueprint
from notifier.api.mailroom_answers import BatchesOut, BatchOut, MailedOut, VoidedOut
from notifier.api.mailroom_schemas import MailedIn, VoidIn
from notifier.api.reply import body_digest, done_once, raw_schema, shown
from notifier.api.schemas import BatchPath, PartPath
from notifier.core.model import Channel
from notifier.store.engine import Tx
from notifier.surface import service
from notifier.usecases import batches, mailing

MEDIA: Final = {"pdf": "application/pdf", "manifest": "text/csv; charset=utf-8", "totals": "application/pdf"}

blueprint = v1_blueprint("print_batches", "Print batches")


@blueprint.get("/print-batches", responses={200: BatchesOut})
def list_batches() -> Response:
    """The agency's print batches, newest first.

    Scope: mailroom.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        found = batches.list_batches(tx, principal=principal(), now=here.now())
    return shown(BatchesOut(batches=[BatchOut.model_validate(one) for one in found]))


@blueprint.get("/print-batches/<batch_id>/<part>", responses={200: raw_schema("application/pdf")})
def read_part(path: PartPath) -> Response:
    """One file of a batch: the letters (PDF), the manifest (CSV) or the totals (PDF).

    It holds names and addresses: print it and do not keep it. The letters are not given while a stop keeps one of
    them back or when one was withdrawn, and nothing of a voided batch is. Scope: mailroom.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        content = batches.batch_file(tx, path.batch_id, path.part, principal=principal(), vault=here.vault)
    response = Response(content, content_type=MEDIA[path.part])
    ending = "csv" if path.part == "manifest" else "pdf"
    response.headers["Content-Disposition"] = f'attachment; filename="{path.batch_id}-{path.part}.{ending}"'
    return response


@blueprint.post("/print-batches/<batch_id>/mailed", responses={200: MailedOut})
def declare_mailed(path: BatchPath, body: MailedIn) -> Response:
    """Declare that every letter still in a batch was handed to the post on a day, and where.

    Certified letters come with the numbers of their labels, all of them. Needs a personal key. Scope: mailroom.
    """
    here = service()

    def act(tx: Tx) -> MailedOut:
        mailed = mailing.declare_mailed(
            tx,
            path.batch_id,
            mailed_on=body.day(),
            place=body.place,
            articles=body.scans(),
            principal=principal(),
            now=here.now(),
        )
        return MailedOut.model_validate(mailed)

    return done_once(200, act, body_digest=body_digest())


@blueprint.post("/print-batches/<batch_id>/void", responses={200: VoidedOut})
def void_batch(path: BatchPath, body: VoidIn) -> Response:
    """Say that a batch, or some pieces of it, were not mailed and that their paper was destroyed.

    They are printed in a later batch, as soon as no stop keeps them back. Needs a personal key. Scope: mailroom.
    """
    here = service()

    def act(tx: Tx) -> VoidedOut:
        voided = mailing.void_batch(tx, path.batch_id, pieces=body.pieces, principal=principal(), now=here.now())
        return VoidedOut.model_validate(voided)

    return done_once(200, act, body_digest=body_digest(), after=lambda: here.ring(Channel.LETTER.value))
