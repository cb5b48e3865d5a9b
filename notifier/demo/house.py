"""The whole service on this machine's loopback, with the sandbox in the carriers' place; gone when the block ends.

It has a database of its own, because made-up carriers must never take a real notice: the embedded one lies apart from
the installation's, and a database that is named and holds a live matter is refused before anything starts.
"""

import fcntl
import http.client
import json
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy.exc import DataError, ProgrammingError

from notifier.carriers.sandbox.outbox import make_key
from notifier.carriers.twilio_receipts import OVERRIDE
from notifier.core.errors import SettingsError
from notifier.programs import environment, parts, sandbox, servers
from notifier.servers.errors import CannotStart
from notifier.service import CHECKOUT, CONFIG_DIR
from notifier.settings import NAMES, Settings
from notifier.store.engine import Database, require_safe_role
from notifier.store.keys import open_keyring
from notifier.store.migrate import migrate
from notifier.store.vault import Vault
from notifier.supervisor import Crew, running
from notifier.usecases.office import has_live_matters

LOOPBACK: Final = "127.0.0.1"
VENDORS: Final = ("TWILIO_", "SENDGRID_", "LOB_")  # their SDKs read settings of their own
SENDER: Final = "+13035550199"
MAILBOX: Final = "notices@agency.example.org"
STEP_MS: Final = 600  # between a message's receipts, so that they can be watched
START_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1
LAST_WORDS: Final = 20  # lines


@dataclass(frozen=True, slots=True)
class House:
    """What runs. `folder` is the demo's own; `wait` sleeps and raises Ended when a part of the service has ended."""

    folder: Path
    api_url: str
    sandbox_url: str
    db: Database = field(repr=False)
    vault: Vault = field(repr=False)
    crew: Crew = field(repr=False)
    embedded: tuple[str, ...] = ()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        self.crew.wait(seconds)

    def sandbox_lines(self) -> list[dict[str, Any]]:
        """The sandbox's own record of what it took and what it posted."""
        return [json.loads(line) for line in _get(self.sandbox_url, "/record").splitlines()]

    def sandbox_waits(self) -> bool:
        """Whether the sandbox has anything still to post."""
        return bool(json.loads(_get(self.sandbox_url, "/record/summary"))["waiting"])


@contextmanager
def open_house(environ: Mapping[str, str], *, say: Callable[[str], None]) -> Iterator[House]:
    """Start everything on free ports; use it in the main thread.

    Raises:
        SettingsError: the settings of the environment are wrong, or its database is not one for a demonstration.
        CannotStart: a server could not be started, a part did not answer in time, or a demo runs here already.
    """
    with ExitStack() as stack:
        given = Settings.load(_without_carriers(environ), CONFIG_DIR)
        folder = given.data_dir / "demo"
        given.key_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)  # root's servers run as somebody else, and pass through
        stack.enter_context(_only_one(folder))
        say("starting servers")
        found = stack.enter_context(servers(folder, database_url=given.database_url, redis_url=given.redis_url))
        with suppress(ProgrammingError, DataError):  # no tables or no role yet
            _refuse_live_matters(found.database_url)
        key_dir = given.key_dir if given.database_url else given.key_dir / "demo"
        migrate(found.database_url, key_dir)
        _refuse_live_matters(found.database_url)
        settings, options = _accounts()
        web, carriers = _free_ports(2)
        api_url, sandbox_url = f"http://{LOOPBACK}:{web}", f"http://{LOOPBACK}:{carriers}"
        env = environment(
            _without_carriers(environ),
            **settings,
            DATABASE_URL=found.database_url,
            REDIS_URL=found.redis_url,
            NOTIFIER_DATA_DIR=str(folder),
            NOTIFIER_KEY_DIR=str(key_dir),
            NOTIFIER_BIND=f"{LOOPBACK}:{web}",
            NOTIFIER_SURFACES="api,callbacks,public",
            PUBLIC_BASE_URL=api_url,
            TWILIO_BASE_URL=sandbox_url,
            SENDGRID_BASE_URL=sandbox_url,
        )
        Settings.load(env, CONFIG_DIR)
        options |= {
            "webhook_url": f"{api_url}/callbacks/sendgrid_email",
            "inbound_url": f"{api_url}/callbacks/twilio_inbound#{OVERRIDE}",
            "delay_ms": STEP_MS,
        }
        stand_in = sandbox(json.dumps({"host": LOOPBACK, "port": carriers, "options": options}))
        db = Database(found.database_url, pool_size=2)
        stack.callback(db.close)
        require_safe_role(db)
        log = stack.enter_context(_Log.open(folder / "log"))
        say("starting sandbox, web, workers and clock")
        crew = stack.enter_context(running([stand_in, *parts(env)], folder=CHECKOUT, say=log.write))
        house = House(folder, api_url, sandbox_url, db, Vault(open_keyring(key_dir)), crew, found.embedded)
        try:
            _await_answers(house)
            yield house
        except Exception as error:
            for line in log.last:
                say(line)
            if not isinstance(error, CannotStart):
                say(f"everything that the parts said is in {log.path}")
            raise


def _without_carriers(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a demonstration sets itself; no real account may reach it."""
    dropped = set(NAMES) - {"DATABASE_URL", "REDIS_URL", "NOTIFIER_DATA_DIR", "NOTIFIER_KEY_DIR", "NOTIFIER_FONT_DIR"}
    return {name: value for name, value in environ.items() if name not in dropped and not name.startswith(VENDORS)}


def _accounts() -> tuple[dict[str, str], dict[str, Any]]:
    """Made-up accounts: as the service's settings, and as the sandbox's options."""
    private, public = make_key()
    account, service = f"AC{secrets.token_hex(16)}", f"MG{secrets.token_hex(16)}"
    token, api_key = secrets.token_hex(16), f"SG.{secrets.token_urlsafe(24)}"
    settings = {
        "TWILIO_ACCOUNT_SID": account,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_MESSAGING_SERVICE_SID": service,
        "SENDGRID_API_KEY": api_key,
        "SENDGRID_FROM": MAILBOX,
        "SENDGRID_WEBHOOK_PUBLIC_KEY": public,
    }
    options: dict[str, Any] = {
        "account_sid": account,
        "auth_token": token,
        "senders": [SENDER, service],
        "api_key": api_key,
        "mailboxes": [MAILBOX],
        "webhook_key": private,
    }
    return settings, options


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotStart("A demo runs in this checkout already.") from None
    finally:
        os.close(handle)


def _refuse_live_matters(url: str) -> None:
    db = Database(url, pool_size=1)
    try:
        if has_live_matters(db):
            raise SettingsError(["DATABASE_URL holds live matters: a demo needs a database of its own"])
    finally:
        db.close()


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in held]


@dataclass(slots=True)
class _Log:
    """What the parts say: all of it in a file, the last words at hand."""

    path: Path
    file: IO[str]
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["_Log"]:
        handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield cls(path, file)

    def write(self, line: str) -> None:
        self.last.append(line)
        self.file.write(line + "\n")
        self.file.flush()


def _await_answers(house: House) -> None:
    for _ in range(round(START_SECONDS / POLL_SECONDS)):
        if _answers(house.sandbox_url, "/healthz") and _answers(house.api_url, "/readyz"):
            return
        house.wait(POLL_SECONDS)
    raise CannotStart("The service did not answer in time.")


def _answers(url: str, path: str) -> bool:
    try:
        _get(url, path)
    except (OSError, http.client.HTTPException):
        return False
    return True


def _get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:  # noqa: PLR2004 # HTTP's own number
        raise http.client.HTTPException(response.status)
    return body
