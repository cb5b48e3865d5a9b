"""What waits for a caseworker is listed, page by page, and an officer says what came of it: once."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from notifier.core.model import Actor, KeyKind, Mode, Resolution, Role, TaskKind
from notifier.core.tasks import RESOLUTION_MEANING, TASK_MEANING
from notifier.service import Service
from notifier.usecases.access import add_officer, create_key
from notifier.usecases.tasks import open_task
from tests.api.calling import Caller, open_matter, person
from tests.installation import NOW, Office, open_office

Open = Callable[..., UUID]


@pytest.fixture
def matter(machine: Caller) -> str:
    return open_matter(machine, people=[person(0)])


@pytest.fixture
def opened(service: Service, office: Office, matter: str) -> Open:
    """Opens a task of the matter, due in some days; returns its id."""

    def make(kind: TaskKind = TaskKind.NOT_REACHED, *, days: int = 1, of: str | None = matter) -> UUID:
        with service.db.transaction(office.agency_id) as tx:
            task_id = open_task(
                tx,
                kind,
                subject_id=uuid4(),
                matter_id=None if of is None else UUID(of),
                person_id=None,
                due_at=NOW + timedelta(days=days),
                actor=Actor.system("test"),
                now=NOW,
            )
        assert task_id is not None
        return task_id

    return make


def listed(caller: Caller, query: str = "") -> list[str]:
    return [task["task_id"] for task in caller.get(f"/v1/tasks{query}").get_json()["tasks"]]


def test_the_task_that_is_due_first_stands_in_front_with_its_sentence(opened: Open, machine: Caller) -> None:
    later, sooner = opened(days=3), opened(TaskKind.CALL, days=1)
    found = machine.get("/v1/tasks").get_json()["tasks"]
    assert [task["task_id"] for task in found] == [str(sooner), str(later)]
    assert found[0]["meaning"] == TASK_MEANING[TaskKind.CALL]
    assert (found[0]["done_at"], found[0]["resolution"], found[0]["resolution_meaning"]) == (None, None, None)


def test_tasks_are_asked_for_by_kind_by_matter_and_with_those_that_are_done(
    opened: Open, machine: Caller, approver: Caller, matter: str
) -> None:
    call, other = opened(TaskKind.CALL), opened()
    elsewhere = opened(of=open_matter(machine, people=[person(1)]))
    assert listed(machine, "?kind=call") == [str(call)]
    assert set(listed(machine, f"?matter={matter}")) == {str(call), str(other)}
    approver.post(f"/v1/tasks/{call}/done", {"resolution": "told"})
    assert set(listed(machine)) == {str(other), str(elsewhere)}
    assert set(listed(machine, "?open=false")) == {str(call), str(other), str(elsewhere)}


def test_pages_of_tasks_leave_nothing_out_and_show_nothing_twice(opened: Open, machine: Caller) -> None:
    made = [str(opened(days=day)) for day in (1, 1, 2, 3, 3)]
    found: list[str] = []
    cursor = ""
    while True:
        page = machine.get(f"/v1/tasks?limit=2{cursor}").get_json()
        found += [task["task_id"] for task in page["tasks"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(found) == sorted(made)


def test_an_officer_says_what_came_of_a_task_and_saying_it_again_changes_nothing(
    opened: Open, approver: Caller, office: Office, count_rows: Callable[[], dict[str, int]]
) -> None:
    task_id = opened()
    done = approver.post(f"/v1/tasks/{task_id}/done", {"resolution": "mended"})
    assert (done.status_code, done.get_json()["resolution"]) == (200, "mended")
    assert done.get_json()["done_by"] == str(office.approver.officer_id)
    assert done.get_json()["resolution_meaning"] == RESOLUTION_MEANING[Resolution.MENDED]
    events = count_rows()["event"]
    assert approver.post(f"/v1/tasks/{task_id}/done", {"resolution": "mended"}).status_code == 200
    other = approver.post(f"/v1/tasks/{task_id}/done", {"resolution": "told"})
    assert (other.status_code, other.get_json()["code"]) == (409, "task-already-done")
    assert count_rows()["event"] == events


def test_a_systems_key_and_a_viewer_cannot_finish_a_task(
    opened: Open, machine: Caller, client: FlaskClient, service: Service, office: Office
) -> None:
    task_id = opened()
    refused = machine.post(f"/v1/tasks/{task_id}/done", {"resolution": "told"})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "personal-key-needed")
    with service.db.transaction(office.agency_id) as tx:
        viewer = add_officer(tx, name="Viewer", roles=[Role.VIEWER], now=NOW)
        key = create_key(tx, officer_id=viewer, kind=KeyKind.PERSONAL, mode=Mode.TEST, vault=service.vault, now=NOW)
    refused = Caller(client, key.token).post(f"/v1/tasks/{task_id}/done", {"resolution": "told"})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "role-missing")


@pytest.mark.parametrize("body", [{}, {"resolution": "gone fishing"}, {"resolution": "told", "note": "call"}])
def test_a_resolution_is_one_of_a_closed_list(body: dict[str, str], opened: Open, approver: Caller) -> None:
    refused = approver.post(f"/v1/tasks/{opened()}/done", body)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "invalid-body")


def test_tasks_of_another_agency_or_of_live_matters_are_not_there(
    opened: Open, client: FlaskClient, service: Service, office: Office, machine: Caller
) -> None:
    task_id, without_matter = opened(), opened(of=None)
    assert listed(machine) == [str(task_id)]  # what belongs to no matter and no batch is the live office's
    stranger = Caller(client, open_office(service.db, service.vault, name="Other Agency").personal_token)
    assert listed(stranger) == []
    refused = stranger.post(f"/v1/tasks/{task_id}/done", {"resolution": "told"})
    assert (refused.status_code, refused.get_json()["code"]) == (404, "unknown-task")
    live = Caller(client, office.live_token(office.approver))
    assert listed(live) == [str(without_matter)]
    refused = live.post(f"/v1/tasks/{task_id}/done", {"resolution": "told"})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "mode-mismatch")


def test_a_task_is_open_once_for_its_subject_and_may_be_opened_again_when_it_is_done(
    service: Service, office: Office, matter: str, approver: Caller
) -> None:
    subject = uuid4()

    def ask() -> UUID | None:
        with service.db.transaction(office.agency_id) as tx:
            return open_task(
                tx,
                TaskKind.MAIL_RETURNED,
                subject_id=subject,
                matter_id=UUID(matter),
                person_id=None,
                due_at=NOW,
                actor=Actor.system("test"),
                now=NOW,
            )

    first = ask()
    assert first is not None
    assert ask() is None
    approver.post(f"/v1/tasks/{first}/done", {"resolution": "mended"})
    assert ask() not in {None, first}


def test_every_kind_and_every_resolution_has_its_sentence() -> None:
    assert set(TASK_MEANING) == set(TaskKind)
    assert set(RESOLUTION_MEANING) == set(Resolution)
