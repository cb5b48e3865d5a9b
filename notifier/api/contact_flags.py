"""What is learned of a contact point, by report, and an officer's word that it no longer holds."""

from collections.abc import Sequence
from uuid import UUID

from flask import Response
from pydantic import Field

from notifier.api.answers import Answer
from notifier.api.auth import principal, v1_blueprint
from notifier.api.people_answers import FlagOut
from notifier.api.reply import body_digest, done_once
from notifier.api.schemas import ContactPath, FlagIn
from notifier.store.engine import Tx
from notifier.surface import service
from notifier.usecases.contact_flags import Flagged
from notifier.usecases.contact_reports import report_flag, withdraw_flag

blueprint = v1_blueprint("contact_flags", "People")


class ContactFlagsOut(Answer):
    """The flags of a contact point that are in force now."""

    contact_id: UUID
    flags: list[FlagOut] = Field(description="While there is one, nothing is sent to this contact point.")

    @classmethod
    def of(cls, contact_id: UUID, flags: Sequence[Flagged]) -> "ContactFlagsOut":
        """From the use case."""
        return cls(contact_id=contact_id, flags=[FlagOut.of(flagged) for flagged in flags])


@blueprint.post("/people/<person_id>/contacts/<contact_id>/flags", responses={200: ContactFlagsOut})
def flag_contact(path: ContactPath, body: FlagIn) -> Response:
    """Report that nothing more should go to a contact point: that one only.

    What was planned to it fails; other ways to reach the person go on. Scope: matter.write.
    """
    here = service()

    def act(tx: Tx) -> ContactFlagsOut:
        flags = report_flag(tx, path.person_id, path.contact_id, body.flag, principal=principal(), now=here.now())
        return ContactFlagsOut.of(path.contact_id, flags)

    return done_once(200, act, body_digest=body_digest())


@blueprint.post("/people/<person_id>/contacts/<contact_id>/flags/lift", responses={200: ContactFlagsOut})
def lift_flag(path: ContactPath, body: FlagIn) -> Response:
    """Say that a flag does not hold any more. Nothing that failed meanwhile is sent by this.

    What is true of a number or mailbox itself is lifted wherever it stands. A carrier may still refuse a number that
    sent STOP until it sends START. Needs a personal key. Scope: matter.write.
    """
    here = service()

    def act(tx: Tx) -> ContactFlagsOut:
        flags = withdraw_flag(tx, path.person_id, path.contact_id, body.flag, principal=principal(), now=here.now())
        return ContactFlagsOut.of(path.contact_id, flags)

    return done_once(200, act, body_digest=body_digest())
