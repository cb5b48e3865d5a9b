"""The demonstration as it is seen: what happens now, how far the notices are, and the account at the end."""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from notifier.core.model import Channel, PostService
from notifier.demo import story
from notifier.demo.account import Account, attempts_of, next_step, take_account
from notifier.demo.house import House, open_house
from notifier.demo.office import Office, open_office
from notifier.demo.people import MadeUp, made_up_people
from notifier.supervisor import Ended, Stopped
from notifier.terminal import matter_picture, terminal
from notifier.usecases.inspection import read_letter

OWNER_ONLY: Final = 0o600


class Screen:
    """Says what happens, with the seconds since the start; on a terminal a table moves below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._began = time.monotonic()
        self._last = ""

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(f"{time.monotonic() - self._began:5.1f} s  {text}", soft_wrap=True)

    def print(self, shown: Table | str = "") -> None:
        """Something without a time."""
        self._console.print(shown, soft_wrap=isinstance(shown, str))

    def show(self, matter: Mapping[str, Any]) -> None:
        """How far it is: the table again, or where nobody watches a line when something has changed."""
        counts = ", ".join(f"{each['persons']} {each['outcome']}" for each in matter["outcomes"] if each["persons"])
        if self._live is not None:
            self._live.update(matter_picture(matter), refresh=True)
        elif counts != self._last and not self._console.is_terminal:
            self.say(counts)
        self._last = counts

    def watching(self) -> ExitStack:
        """Let the table move for the length of a block."""
        stack = ExitStack()
        if self._console.is_terminal:
            self._live = stack.enter_context(Live(console=self._console, auto_refresh=False))
            stack.callback(setattr, self, "_live", None)
        return stack


def show(*, end: bool) -> int:
    """Run it; returns the exit status.

    Raises:
        SettingsError, CannotStart: see `open_house`.
    """
    screen = Screen(terminal())
    screen.print("A demonstration: every person is made up, and no message leaves this machine.\n")
    try:
        with open_house(os.environ, say=screen.say) as house:
            office = open_office(house)
            people = made_up_people()
            matter_id, account = _play(house, office, people, screen)
            screen.print(_people_table(account, people))
            _print_sums(account, screen)
            letter = _keep_letter(house, office, account)
            if not end:
                with _addresses(house, office, matter_id, letter, screen):
                    house.crew.wait()
            return 1 if account.problems else 0
    except (KeyboardInterrupt, Stopped):
        screen.say("everything is stopped")
        return 1 if end else 0
    except Ended as ended:
        screen.say(f"{ended}; everything is stopped")
        return 1


def _play(house: House, office: Office, people: list[MadeUp], screen: Screen) -> tuple[UUID, Account]:
    embedded = f" (embedded: {', '.join(house.embedded)})" if house.embedded else ""
    screen.say(f"the service answers at {house.api_url}{embedded}")
    matter_id = story.post_matter(office, people)
    screen.say(f"the agency's system has posted a demand that names {len(people)} people: matter {matter_id}")
    attempts = story.approve(office, matter_id)
    planned = ", ".join(f"{count} by {channel}" for channel, count in attempts.items())
    screen.say(f"the second officer has approved: {planned}")
    with screen.watching():
        story.follow_sending(house, office, matter_id, screen.show)
    pieces = story.declare_mailed(office)
    screen.say(f"the mailroom has printed {pieces} letters in postal order; an officer declares them mailed")
    story.move_clock(house, office, matter_id, story.ONCE_MORE)
    screen.say(f"{story.ONCE_MORE.days} days pass on the clock of this test matter: who has not answered is told again")
    with screen.watching():
        story.follow_sending(house, office, matter_id, screen.show)
    pieces = story.declare_mailed(office)
    screen.say(f"{pieces} certified letters are printed; each is declared mailed with the number of its label")
    story.move_clock(house, office, matter_id, story.LONG_ENOUGH)
    screen.say(f"{story.LONG_ENOUGH.days} days pass: a carrier that has said nothing more is silent")
    with screen.watching():
        story.await_silence(house, office, matter_id, screen.show)
    account = take_account(house, office, matter_id, rows=len(people))
    screen.say("the notices have come to their end\n")
    return matter_id, account


def _people_table(account: Account, people: list[MadeUp]) -> Table:
    made = Table(title="Everybody, and what is known", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("person", "language", "what was to be seen", "how they were told", "outcome", "next step"):
        made.add_column(column)
    stories = {person.row["external_id"]: person.story for person in people}
    for person in account.people:
        told = "\n".join([*map(_attempt, attempts_of(person)), *map(_reply, person["messages"])]) or _problems(person)
        number = person["external_id"]
        made.add_row(
            f"{number} {person['name']}",
            person["language"] or "not known",
            stories.get(number, ""),
            told,
            person["outcome"],
            next_step(person, account.tasks),
        )
    return made


def _attempt(attempt: Mapping[str, Any]) -> str:
    why = [attempt["reason"], attempt["carrier_code"]] if not _is_well(attempt) else []
    told = " ".join(str(word) for word in why if word)
    kind = "certified letter" if attempt["service"] == PostService.CERTIFIED else attempt["channel"]
    return f"{kind}: {attempt['status']}" + (f" ({told})" if told else "")


def _reply(message: Mapping[str, Any]) -> str:
    return f"wrote back: {message['kind']}"


def _is_well(attempt: Mapping[str, Any]) -> bool:
    return attempt["status"] not in {"failed", "unknown", "returned"}


def _problems(person: Mapping[str, Any]) -> str:
    found = [f"{each['kind']}: {each['problem']}" for each in person["contacts"] if each["problem"]]
    return "not told; " + (", ".join(found) or "no contact")


def _print_sums(account: Account, screen: Screen) -> None:
    sums = " + ".join(f"{count} {outcome}" for outcome, count in sorted(account.outcomes.items()))
    screen.print(f"\n{sums} = {len(account.people)} people")
    screen.print(
        f"{account.messages} messages in the sandbox's own record, each one attempt of ours;"
        f" {account.receipts} receipts posted and stored; {account.events} events in the ledger, and their chains hold"
    )
    for problem in account.problems:
        screen.print(f"NOT ACCOUNTED FOR: {problem}")
    if not account.problems:
        screen.print("Everybody is accounted for.\n")


def _keep_letter(house: House, office: Office, account: Account) -> Path:
    """The first person's letter, as it was printed."""
    letters = (each for person in account.people for each in attempts_of(person) if each["channel"] == Channel.LETTER)
    with house.db.transaction(office.agency_id) as tx:
        pdf = read_letter(tx, UUID(next(letters)["attempt_id"]), vault=house.vault)
    path = house.folder / "letter.pdf"
    _write(path, pdf)
    return path


def _addresses(house: House, office: Office, matter_id: UUID, letter: Path, screen: Screen) -> ExitStack:
    """Print where everything is, and keep the keys in a file for as long as the block lasts."""
    env = house.folder.parent / "demo.env"
    values = {
        "API_URL": house.api_url,
        "MACHINE_KEY": office.machine.key,
        "PERSONAL_KEY": office.personal.key,
        "MATTER_ID": str(matter_id),
    }
    _write(env, "".join(f"export {name}='{value}'\n" for name, value in values.items()).encode())
    stack = ExitStack()
    stack.callback(env.unlink, missing_ok=True)
    for what, where in (
        ("API", f"{house.api_url}/v1"),
        ("API, documented", f"{house.api_url}/docs"),
        ("public page", f"{house.api_url}/"),
        ("one person's letter", letter),
        ("keys, for curl", env),
    ):
        screen.print(f"{what:<20} {where}")
    screen.print(f"\nNext, in another terminal (README.md goes on from here):\n\n    . {env}")
    screen.print('    .venv/bin/notifier matter show "$MATTER_ID"\n')
    screen.print("Ctrl-C stops everything.")
    return stack


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY), "wb") as file:
        file.write(content)
