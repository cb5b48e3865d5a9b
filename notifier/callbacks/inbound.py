"""POST /callbacks/twilio_inbound: a text message that somebody sent to our number.

(1) read the body within its limit; (2) prove that the carrier sent it; (3) read it; (4) keep it, and do what a command
says. The answer is an empty document: the carrier itself confirms STOP, START and HELP, and nobody is texted by us
because they wrote.
"""

from typing import Final

from flask import Blueprint, Response, request

from notifier.callbacks.intake import as_received, prove
from notifier.carriers import open_inbound
from notifier.core.errors import NotFound
from notifier.surface import metrics, service
from notifier.usecases.inbound import UNREADABLE, take_in
from notifier.usecases.quarantine import quarantine

NOTHING_TO_SAY: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
CARRIER: Final = "twilio_sms"

blueprint = Blueprint("inbound", __name__, url_prefix="/callbacks")


@blueprint.post("/twilio_inbound")
def receive() -> Response:
    """Take a text message."""
    here, reader = service(), open_inbound(CARRIER)
    receipts = here.readers.get(CARRIER)
    if reader is None or receipts is None:
        raise NotFound("unknown-callback", "No carrier in use calls back here.")
    callback = as_received(request.environ, base_url=here.settings.public_base_url or "", now=here.now())  # (1)
    prove(receipts, callback, metrics=metrics())  # (2)
    message = reader.read(callback)  # (3)
    count = metrics().inbound
    if message is None:
        quarantine(here.db, callback, carrier=CARRIER, reason=UNREADABLE, vault=here.vault)
        count.labels(CARRIER, "unreadable").inc()
    else:
        taken = take_in(here.db, message, callback, carrier=CARRIER, vault=here.vault)  # (4)
        count.labels(CARRIER, "from-nobody" if taken.is_from_nobody else message.kind.value).inc()
    return Response(NOTHING_TO_SAY, content_type="text/xml; charset=utf-8")
