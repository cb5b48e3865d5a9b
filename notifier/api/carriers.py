"""How the carriers are doing."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from flask import Response
from pydantic import Field

from notifier.api.answers import Answer, Count, shallow
from notifier.api.auth import principal, v1_blueprint
from notifier.api.reply import shown
from notifier.core.model import Channel
from notifier.surface import service
from notifier.usecases.breaker import Standing
from notifier.usecases.carrier_status import CarrierRead, carrier_states

blueprint = v1_blueprint("carriers", "Carriers")


class BreakerOut(Answer):
    """Whether a carrier that does not answer is left alone for a while. It is the whole installation's."""

    state: Literal["closed", "open", "not_known"] = Field(
        description="`open`: nothing is sent until `until`, then a few messages try it. `not_known`: nobody asked yet."
    )
    failures: Count = Field(description="Tries in a row without an answer that says that the carrier works.")
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """From the use case."""
        state: Literal["closed", "open", "not_known"] = "open" if standing.is_open else "closed"
        if standing.is_open is None:
            state = "not_known"
        return cls(state=state, failures=standing.failures, since=standing.since, until=standing.until)


class CarrierOut(Answer):
    """One carrier, as this agency's messages of the key's mode see it."""

    carrier: str
    channel: Channel
    in_use: bool = Field(description="False: configured no more, with messages still to account for.")
    stops: list[UUID] = Field(description="Stops of the whole agency that keep its messages back.")
    breaker: BreakerOut
    due: Count = Field(description="Messages whose time has come, kept back by a stop or not.")
    oldest_due_at: datetime | None
    unknown: Count = Field(description="Messages of which nobody knows whether they were sent.")
    last_heard_at: datetime | None = Field(description="When its last receipt came; null for the mailroom.")

    @classmethod
    def of(cls, carrier: CarrierRead) -> Self:
        """From the use case."""
        return cls.model_validate({**shallow(carrier), "breaker": BreakerOut.of(carrier.breaker)})


class CarriersOut(Answer):
    """The carriers."""

    carriers: list[CarrierOut]


@blueprint.get("/carriers", responses={200: CarriersOut})
def list_carriers() -> Response:
    """Each carrier in use: what keeps it back, what waits for it, and when it was last heard of.

    Scope: matter.read.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        found = carrier_states(tx, carrier_of=here.carrier_of, redis=here.redis, principal=principal())
    return shown(CarriersOut(carriers=[CarrierOut.of(carrier) for carrier in found]))
