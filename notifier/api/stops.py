"""Stopping a matter, or a channel or a carrier in the whole agency, and going on."""

from collections.abc import Collection
from uuid import UUID

from flask import Response

from notifier.api.answers import Answer, LiftOut, StopOut, StopPlacedOut
from notifier.api.auth import principal, v1_blueprint
from notifier.api.matters import ring_all
from notifier.api.reply import body_digest, done_once, shown
from notifier.api.schemas import AgencyStopIn, MatterPath, Nothing, ResumeIn, StopIn
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
    return _placed(None, body)


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
    return _lifted(None, only=body.stops)


@blueprint.post("/matters/<matter_id>/stop", responses={200: StopPlacedOut})
def stop(path: MatterPath, body: StopIn) -> Response:
    """Stop sending at once: the whole matter, one channel of it, or one carrier.

    One person is enough. What a carrier has already cannot be called back. Scope: sending.stop.
    """
    return _placed(path.matter_id, body)


@blueprint.post("/matters/<matter_id>/resume", responses={200: LiftOut})
def resume(path: MatterPath, body: Nothing) -> Response:  # noqa: ARG001 # the body is checked to be empty
    """Propose to send again, or confirm what another officer proposed.

    Two officers are needed, the second with a personal key. Scope: sending.stop.
    """
    return _lifted(path.matter_id)


def _placed(matter_id: UUID | None, body: StopIn) -> Response:
    here = service()

    def act(tx: Tx) -> StopPlacedOut:
        placed = stops.place_stop(
            tx,
            matter_id=matter_id,
            channel=body.channel,
            carrier=body.carrier,
            reason=body.reason.value,
            principal=principal(),
            now=here.now(),
        )
        return StopPlacedOut.model_validate(placed)

    return done_once(200, act, body_digest=body_digest())


def _lifted(matter_id: UUID | None, *, only: Collection[UUID] | None = None) -> Response:
    here = service()

    def act(tx: Tx) -> LiftOut:
        lift = stops.lift_stops(tx, matter_id, only=only, principal=principal(), now=here.now())
        return LiftOut(state=lift.state, stops=list(lift.stops))

    return done_once(200, act, body_digest=body_digest(), after=ring_all)
