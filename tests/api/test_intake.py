"""A demand and its list come in whole, or not at all."""

from collections.abc import Callable

from tests.api.calling import Caller, new_matter, person

Counts = Callable[[], dict[str, int]]


def test_a_matter_is_opened_with_the_people_that_came_along(machine: Caller) -> None:
    answer = machine.post("/v1/matters", new_matter(people=[person(1), person(2, contacts=[])]))
    assert answer.status_code == 201
    created = answer.get_json()
    assert created["mode"] == "test"
    assert created["packs"] == ["co-agency-default"]
    assert created["people"]["rows"] == created["people"]["persons"] == 2
    assert created["people"]["unreachable"] == 1
    assert created["people"]["contacts"] == {"sms": 1, "email": 1}
