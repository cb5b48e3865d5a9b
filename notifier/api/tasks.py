"""Tasks: what waits for a caseworker, and an officer's word on what came of it."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field

from notifier.api.answers import Answer, shallow
from notifier.api.auth import principal, v1_blueprint
from notifier.api.cursors import read_time, time_cursor
from notifier.api.reply import body_digest, done_once, shown
from notifier.api.schemas import Document, PageQuery
from notifier.core.model import Resolution, TaskKind
from notifier.core.tasks import RESOLUTION_MEANING, TASK_MEANING
from notifier.store.engine import Tx
from notifier.surface import service
from notifier.usecases import tasks
from notifier.usecases.tasks import TaskRead

blueprint = v1_blueprint("tasks", "Tasks")


class TaskOut(Answer):
    """Something that waits for a caseworker. Its times are on the matter's own clock."""

    task_id: UUID
    kind: TaskKind
    meaning: str
    subject_id: UUID = Field(description="What it is about: an attempt, notice, contact, print batch or matter.")
    matter_id: UUID | None
    person_id: UUID | None
    opened_at: datetime
    due_at: datetime
    done_at: datetime | None
    done_by: UUID | None
    resolution: Resolution | None
    resolution_meaning: str | None

    @classmethod
    def of(cls, task: TaskRead) -> Self:
        """From the use case."""
        words = {
            "meaning": TASK_MEANING[task.kind],
            "resolution_meaning": None if task.resolution is None else RESOLUTION_MEANING[task.resolution],
        }
        return cls.model_validate({**shallow(task), **words})


class TasksPage(Answer):
    """A part of the tasks, the one due first in front."""

    tasks: list[TaskOut]
    next_cursor: str | None = Field(description="Null on the last page.")


class TasksQuery(PageQuery):
    """Which tasks."""

    kind: TaskKind | None = Field(default=None, description="Of this kind only.")
    matter: UUID | None = Field(default=None, description="Of this matter only.")
    open: bool = Field(default=True, description="`false`: also those that are done.")


class TaskPath(BaseModel):
    """The address of a task."""

    task_id: Annotated[UUID, Field(description="Id of the task.")]


class TaskDoneIn(Document):
    """What came of a task. Notes belong into the agency's own file."""

    resolution: Resolution = Field(description="In one word.", examples=["told"])


@blueprint.get("/tasks", responses={200: TasksPage})
def list_tasks(query: TasksQuery) -> Response:
    """What waits for a caseworker, the one due first in front.

    Scope: matter.read.
    """
    with service().db.transaction(principal().agency_id) as tx:
        found = tasks.list_tasks(
            tx,
            principal=principal(),
            kind=query.kind,
            matter_id=query.matter,
            only_open=query.open,
            after=read_time(query.cursor),
            limit=query.limit + 1,
        )
    page = found[: query.limit]
    more = time_cursor(page[-1].due_at, page[-1].task_id) if len(found) > len(page) else None
    return shown(TasksPage(tasks=[TaskOut.of(task) for task in page], next_cursor=more))


@blueprint.post("/tasks/<task_id>/done", responses={200: TaskOut})
def finish_task(path: TaskPath, body: TaskDoneIn) -> Response:
    """Say what came of a task. Saying the same again changes nothing.

    Needs a personal key of an officer with the role caseworker, approver, counsel or admin. Scope: matter.write.
    """
    here = service()

    def act(tx: Tx) -> TaskOut:
        done = tasks.finish_task(tx, path.task_id, resolution=body.resolution, principal=principal(), now=here.now())
        return TaskOut.of(done)

    return done_once(200, act, body_digest=body_digest())
