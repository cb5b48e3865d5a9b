"""Notices: the duty to tell one recipient one thing, and every try to do it."""

from flask import Response

from notifier.api.auth import principal, v1_blueprint
from notifier.api.people_answers import NoticeOut
from notifier.api.reply import shown
from notifier.api.schemas import NoticePath
from notifier.surface import service
from notifier.usecases import reading_people

blueprint = v1_blueprint("notices", "Notices")


@blueprint.get("/notices/<notice_id>", responses={200: NoticeOut})
def read_notice(path: NoticePath) -> Response:
    """A notice with its attempts: status, what that means, whether it is final, and what it proves.

    Scope: matter.read.
    """
    with service().db.transaction(principal().agency_id) as tx:
        return shown(NoticeOut.of(reading_people.read_notice(tx, path.notice_id, principal=principal())))
