"""What the post says of letters: those that came back, and certified ones that arrived."""

from flask import Response

from notifier.api.auth import principal, v1_blueprint
from notifier.api.mailroom_answers import DeliveredOut, ReturnedMailOut, ReturnedOut
from notifier.api.mailroom_schemas import DeliveredIn, LetterPath, ReturnedMailIn
from notifier.api.reply import body_digest, done_once
from notifier.core.model import Channel
from notifier.store.engine import Tx
from notifier.surface import service
from notifier.usecases.certified import record_certified_delivery
from notifier.usecases.returned_mail import scan_in

blueprint = v1_blueprint("returned_mail", "Returned mail")


@blueprint.post("/returned-mail", responses={200: ReturnedMailOut})
def take_returned_mail(body: ReturnedMailIn) -> Response:
    """Scan in letters that came back: one result for each. A line that cannot be read refuses them all.

    The address is marked, a letter follows where the post named a new address or did not hand over a certified one,
    and a caseworker is asked otherwise. The same letter again changes nothing. Needs a personal key. Scope: mailroom.
    """
    here = service()

    def act(tx: Tx) -> ReturnedMailOut:
        scans = [one.scanned() for one in body.pieces]
        results = scan_in(tx, scans, principal=principal(), vault=here.vault, now=here.now())
        return ReturnedMailOut(pieces=[ReturnedOut.model_validate(one) for one in results])

    return done_once(200, act, body_digest=body_digest(), after=lambda: here.ring(Channel.LETTER.value))


@blueprint.post("/letters/<attempt_id>/delivered", responses={200: DeliveredOut})
def enter_delivery(path: LetterPath, body: DeliveredIn) -> Response:
    """Enter what the receipt of a certified letter says: when it was delivered, and who signed.

    Needs a personal key. Scope: mailroom.
    """
    here = service()

    def act(tx: Tx) -> DeliveredOut:
        done = record_certified_delivery(
            tx,
            path.attempt_id,
            delivered_on=body.day(),
            signature=body.signature,
            principal=principal(),
            now=here.now(),
        )
        return DeliveredOut.model_validate(done)

    return done_once(200, act, body_digest=body_digest())
