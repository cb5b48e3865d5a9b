"""Stopping a channel or a carrier in the whole agency, and going on."""

from flask import Response

from notifier.api.answers import Answer, LiftOut, StopOut, StopPlacedOut
from notifier.api.auth import principal, v1_blueprint
from notifier.api.matters import ring_all
from notifier.api.reply import body_digest, done_once, shown
from notifier.api.schemas import AgencyStopIn, ResumeIn
from notifier.store.engine import Tx
from notifier.surface import service
from notifier.usecases import stops

blueprint = v1_blueprint("stops", "Stops")


class StopsOut(Answer):
    """The stops in force in the whole agency; those of one matter stand with the matter."""

    stops: list[StopOut]


@blueprint.post("/stops", responses={200: StopPlacedOut})
def place_stop(body: AgencyStopIn) -> Response:
    """Stop a channel or a carrier in every matter of the agency at once.

    One person is enough, with any key. What a carrier has already cannot be called back. Scope: sending.stop.
    """
    here = service()

    def act(tx: Tx) -> StopPlacedOut:
        placed = stops.place_stop(
            tx,
            channel=body.channel,
            carrier=body.carrier,
            reason=body.reason.value,
            principal=principal(),
            now=here.now(),
        )
        return StopPlacedOut.model_validate(placed)

    return done_once(200, act, body_digest=body_digest())


@blueprint.get("/stops", responses={200: StopsOut})
def list_stops() -> Response:
    """The stops in force in the whole agency, oldest first.

    Scope: matter.read.
    """
    with service().db.transaction(principal().agency_id) as tx:
        found = stops.agency_stops(tx, principal=principal())
        return shown(StopsOut(stops=[StopOut.model_validate(stop) for stop in found]))


@blueprint.post("/stops/resume", responses={200: LiftOut})
def resume_sending(body: ResumeIn) -> Response:
    """Propose to send again in the whole agency, or confirm what another officer proposed.

    Two officers are needed, the second with a personal key. It sets live matters going, so a test key can do it only
    where there are none. Scope: sending.stop.
    """
    here = service()

    def act(tx: Tx) -> LiftOut:
        lift = stops.lift_stops(tx, None, only=body.stops, principal=principal(), now=here.now())
        return LiftOut(state=lift.state, stops=list(lift.stops))

    return done_once(200, act, body_digest=body_digest(), after=ring_all)
