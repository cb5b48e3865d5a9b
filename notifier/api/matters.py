"""Matters: opening one for a demand, looking at it, approving."""

from flask import Response

from notifier.api.answers import (
    ApprovedOut,
    ListOut,
    ListsOut,
    MatterCreatedOut,
    MatterLineOut,
    MatterOut,
    MattersPage,
)
from notifier.api.auth import principal, v1_blueprint
from notifier.api.cursors import read_time, time_cursor
from notifier.api.languages import lookups
from notifier.api.reply import body_digest, done_once, shown
from notifier.api.schemas import (
    ApproveIn,
    MatterPath,
    NewMatterIn,
    PageQuery,
    require_known_record_types,
)
from notifier.core.model import Channel
from notifier.core.roster import read_objects
from notifier.store.engine import Tx
from notifier.surface import metrics, service
from notifier.usecases import approve as approving
from notifier.usecases import intake, reading
from notifier.usecases.access import Scope
from notifier.usecases.printable import require_printable_demand

blueprint = v1_blueprint("matters", "Matters")


@blueprint.post("/matters", responses={201: MatterCreatedOut})
def create_matter(body: NewMatterIn) -> Response:
    """Open a matter for a demand, with its people where they are known already.

    Answers after everything is stored. Nothing is sent before a second officer approves. Scope: matter.write.
    """
    principal().require(Scope.MATTER_WRITE)
    here = service()
    require_known_record_types(body.demand, here.renderer.words.record_type_known)
    require_printable_demand(body.demand.to_demand(), renderer=here.renderer)
    people = list(read_objects(body.people, **lookups(here))) if body.people else []

    def act(tx: Tx) -> MatterCreatedOut:
        created = intake.create_matter(
            tx,
            body.to_matter(),
            people,
            principal=principal(),
            packs=here.packs,
            edition=here.renderer.edition.id,
            body_digest=body_digest(),
            vault=here.vault,
            now=here.now(),
        )
        return MatterCreatedOut(
            matter_id=created.matter_id,
            demand_id=created.demand_id,
            mode=principal().mode,
            packs=list(created.packs),
            people=ListOut.of(created.people) if created.people else None,
        )

    count = metrics().intake_rows.labels("inline").inc
    return done_once(201, act, body_digest=body_digest(), after=lambda: count(len(people)))


@blueprint.get("/matters", responses={200: MattersPage})
def list_matters(query: PageQuery) -> Response:
    """The agency's matters of this key's mode, newest first.

    Scope: matter.read.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        found = reading.list_matters(
            tx, after=read_time(query.cursor), limit=query.limit + 1, principal=principal(), vault=here.vault
        )
    page = found[: query.limit]
    more = time_cursor(page[-1].created_at, page[-1].matter_id) if len(found) > len(page) else None
    return shown(MattersPage(matters=[MatterLineOut.model_validate(line) for line in page], next_cursor=more))


@blueprint.get("/matters/<matter_id>", responses={200: MatterOut})
def read_matter(path: MatterPath) -> Response:
    """A matter: its demand, and how many people stand where.

    The counts by outcome add up to the rows that came in. Scope: matter.read; who demanded and whom the demand names
    are shown with people.read only.
    """
    here = service()
    with here.db.transaction(principal().agency_id) as tx:
        matter = reading.read_matter(tx, path.matter_id, principal=principal(), silence=here.silence, vault=here.vault)
    return shown(MatterOut.of(matter))


@blueprint.get("/matters/<matter_id>/lists", responses={200: ListsOut})
def read_lists(path: MatterPath) -> Response:
    """The lists that came in for a matter, and who approved sending to them.

    Scope: matter.read.
    """
    with service().db.transaction(principal().agency_id) as tx:
        lists = reading.list_lists(tx, path.matter_id, principal=principal())
        return shown(ListsOut.model_validate({"lists": lists}))


@blueprint.post("/matters/<matter_id>/approve", responses={200: ApprovedOut})
def approve(path: MatterPath, body: ApproveIn) -> Response:
    """Let the notices go out to everybody on lists that somebody else entered.

    Needs a personal key of an officer with the role approver, counsel or admin. Scope: sending.approve.
    """
    here = service()

    def act(tx: Tx) -> ApprovedOut:
        approved = approving.approve_sending(
            tx,
            path.matter_id,
            principal=principal(),
            packs=here.packs,
            carrier_of=here.carrier_of,
            carriers_are_real=here.settings.carriers_are_real,
            vault=here.vault,
            lists=body.lists,
            now=here.now(),
        )
        return ApprovedOut(
            matter_id=path.matter_id,
            lists=list(approved.lists),
            persons=approved.persons,
            unreachable=approved.unreachable,
            attempts=approved.attempts,
        )

    return done_once(200, act, body_digest=body_digest(), after=ring_all)


def ring_all() -> None:
    """Wake the workers of every channel."""
    for channel in Channel:
        service().ring(channel.value)
