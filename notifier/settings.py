"""What can be set from outside: read once when a process starts, and everything that is wrong is told at once.

A value comes from the environment, else from `config/settings.toml` (no secrets there), else it has a default.
An empty value is as none. No problem that is told quotes a value: it may be a secret in the wrong place.
"""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from notifier import setting_values as may_be
from notifier.core.errors import SettingsError

T = TypeVar("T")

SECRETS = frozenset({"TWILIO_AUTH_TOKEN", "SENDGRID_API_KEY", "LOB_API_KEY", "LOB_WEBHOOK_SECRET"})
ADDRESSES = frozenset({"DATABASE_URL", "REDIS_URL"})  # they may hold a password
NAMES = (
    "DATABASE_URL",
    "REDIS_URL",
    "PUBLIC_BASE_URL",
    "NOTIFIER_BIND",
    "NOTIFIER_SURFACES",
    "NOTIFIER_DATA_DIR",
    "NOTIFIER_KEY_DIR",
    "NOTIFIER_FONT_DIR",
    "NOTIFIER_LOG_LEVEL",
    "TWILIO_BASE_URL",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_MESSAGING_SERVICE_SID",
    "TWILIO_FROM",
    "SENDGRID_BASE_URL",
    "SENDGRID_API_KEY",
    "SENDGRID_FROM",
    "SENDGRID_WEBHOOK_PUBLIC_KEY",
    "LOB_BASE_URL",
    "LOB_API_KEY",
    "LOB_WEBHOOK_SECRET",
)
READ_BY_TESTS = "NOTIFIER_TEST_"
MANGLING = ("TWILIO_EDGE", "TWILIO_REGION")  # the SDK reads them itself and rewrites the base URL's host
ENVIRONMENT, FILE, DEFAULT, NOWHERE = "environment", "config/settings.toml", "default", "not set"
MASK = "********"
WRONG = Path()  # stands for a folder that was given and is wrong


@dataclass(frozen=True, slots=True)
class Twilio:
    """An account for SMS. At least one of the last two is set; the messaging service goes first."""

    base_url: str
    account_sid: str
    auth_token: str = field(repr=False)
    messaging_service_sid: str | None
    sender: str | None


@dataclass(frozen=True, slots=True)
class SendGrid:
    """An account for email."""

    base_url: str  # without /v3
    api_key: str = field(repr=False)
    sender: str
    webhook_public_key: str  # base64 of DER, on P-256


@dataclass(frozen=True, slots=True)
class Lob:
    """An account for letters; without it letters go to the mailroom."""

    base_url: str  # with /v1
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. None means: the embedded server, or no such carrier (letter-only is supported)."""

    database_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)
    public_base_url: str | None  # no slash at its end
    bind: str
    surfaces: frozenset[str]
    data_dir: Path
    key_dir: Path
    font_dir: Path
    log_level: str
    twilio: Twilio | None
    sendgrid: SendGrid | None
    lob: Lob | None
    shown: tuple[tuple[str, str, str], ...] = field(repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str], config_dir: Path) -> Self:
        """Read and check everything; nothing is opened or made.

        Raises:
            SettingsError: with one line for each thing that is wrong.
        """
        problems: list[str] = []
        given = _gather(environ, config_dir, problems)
        read = _Reader(given, problems)
        fonts = may_be.folder if read.source("NOTIFIER_FONT_DIR") == DEFAULT else may_be.existing_folder
        settings = cls(
            database_url=read.one("DATABASE_URL", may_be.database_url),
            redis_url=read.one("REDIS_URL", may_be.redis_url),
            public_base_url=read.one("PUBLIC_BASE_URL", may_be.public_url),
            bind=read.sure("NOTIFIER_BIND", may_be.bind, ""),
            surfaces=read.sure("NOTIFIER_SURFACES", may_be.surfaces, frozenset()),
            data_dir=read.sure("NOTIFIER_DATA_DIR", may_be.folder, WRONG),
            key_dir=read.sure("NOTIFIER_KEY_DIR", may_be.folder, WRONG),
            font_dir=read.sure("NOTIFIER_FONT_DIR", fonts, WRONG),
            log_level=read.sure("NOTIFIER_LOG_LEVEL", may_be.log_level, ""),
            twilio=_twilio(read),
            sendgrid=_sendgrid(read),
            lob=_lob(read),
            shown=() if problems else tuple(_show(name, given.get(name)) for name in NAMES),
        )
        problems += _contradictions(settings, read)
        if problems:
            raise SettingsError(problems)
        return settings

    @property
    def carriers_are_real(self) -> bool:
        """Whether any configured carrier is the carrier itself and no sandbox: then test mode is refused."""
        configured = (self.twilio, self.sendgrid, self.lob)
        return any(may_be.is_carriers_own(carrier.base_url) for carrier in configured if carrier is not None)

    def effective(self) -> list[tuple[str, str, str]]:
        """Name, value and source of every setting: secrets masked, addresses without passwords."""
        return list(self.shown)


class _Given(NamedTuple):
    value: str
    source: str


class _Reader:
    """The given values, and the list that each problem is added to."""

    def __init__(self, given: Mapping[str, _Given], problems: list[str]) -> None:
        self._given = given
        self._problems = problems

    def source(self, name: str) -> str:
        """Where the value comes from; NOWHERE when there is none."""
        return self._given[name].source if name in self._given else NOWHERE

    def one(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The parsed value; None when there is none, or when it is wrong, which is noted."""
        if name not in self._given:
            return None
        try:
            return parse(self._given[name].value)
        except ValueError as error:
            self._problems.append(f"{name} {error}")
            return None

    def sure(self, name: str, parse: Callable[[str], T], otherwise: T) -> T:
        """`one`, or `otherwise`: for what is wrong and noted, so that reading goes on to the next problem."""
        value = self.one(name, parse)
        return otherwise if value is None else value

    def whole(self, carrier: str, needed: tuple[str, ...], others: tuple[str, ...] = ()) -> bool:
        """Whether a carrier has all it needs; noted when it has only some, or only some of the `others`."""
        missing = [name for name in needed if name not in self._given]
        if missing and any(name in self._given for name in (*needed, *others)):
            self._problems.append(f"{carrier} is half configured: {', '.join(missing)} must be set too")
        return not missing

    def note(self, problem: str) -> None:
        """Add a problem."""
        self._problems.append(problem)


def _twilio(read: _Reader) -> Twilio | None:
    senders = ("TWILIO_MESSAGING_SERVICE_SID", "TWILIO_FROM")
    whole = read.whole("Twilio", ("TWILIO_BASE_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"), senders)
    if whole and all(read.source(name) == NOWHERE for name in senders):
        read.note("Twilio is half configured: one of " + " and ".join(senders) + " must be set too")
    account = may_be.matching("AC[0-9a-fA-F]{32}", "AC and 32 hexadecimal digits")
    service = may_be.matching("MG[0-9a-fA-F]{32}", "MG and 32 hexadecimal digits")
    number = may_be.matching(r"\+[1-9][0-9]{6,14}|[0-9]{5,6}", "a number like +13035550100 or a short code")
    twilio = Twilio(
        base_url=read.sure("TWILIO_BASE_URL", may_be.carrier_url(), ""),
        account_sid=read.sure("TWILIO_ACCOUNT_SID", account, ""),
        auth_token=read.sure("TWILIO_AUTH_TOKEN", may_be.text, ""),
        messaging_service_sid=read.one("TWILIO_MESSAGING_SERVICE_SID", service),
        sender=read.one("TWILIO_FROM", number),
    )
    return twilio if whole else None


def _sendgrid(read: _Reader) -> SendGrid | None:
    whole = read.whole(
        "SendGrid", ("SENDGRID_BASE_URL", "SENDGRID_API_KEY", "SENDGRID_FROM", "SENDGRID_WEBHOOK_PUBLIC_KEY")
    )
    mailbox = may_be.matching(r"[^@\s<>,;]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "a mailbox like notices@agency.example")
    sendgrid = SendGrid(
        base_url=read.sure("SENDGRID_BASE_URL", may_be.carrier_url(ends_without="/v3"), ""),
        api_key=read.sure("SENDGRID_API_KEY", may_be.text, ""),
        sender=read.sure("SENDGRID_FROM", mailbox, ""),
        webhook_public_key=read.sure("SENDGRID_WEBHOOK_PUBLIC_KEY", may_be.p256_public_key, ""),
    )
    return sendgrid if whole else None


def _lob(read: _Reader) -> Lob | None:
    whole = read.whole("Lob", ("LOB_BASE_URL", "LOB_API_KEY", "LOB_WEBHOOK_SECRET"))
    lob = Lob(
        base_url=read.sure("LOB_BASE_URL", may_be.carrier_url(ends_with="/v1"), ""),
        api_key=read.sure("LOB_API_KEY", may_be.text, ""),
        webhook_secret=read.sure("LOB_WEBHOOK_SECRET", may_be.webhook_secret, ""),
    )
    return lob if whole else None


def _gather(environ: Mapping[str, str], config_dir: Path, problems: list[str]) -> dict[str, _Given]:
    """Each name that has a value, with where it comes from; names that are no settings are noted."""
    written = _read_file(config_dir / "settings.toml", problems)
    ours = [name for name in environ if name.startswith("NOTIFIER_") and not name.startswith(READ_BY_TESTS)]
    for name in sorted({*ours, *written} - set(NAMES)):
        near = difflib.get_close_matches(name, NAMES, n=1)
        problems.append(f"{name} is no setting" + (f"; is {near[0]} meant?" if near else ""))
    problems += [
        f"{name} must not be set: the SDK would rewrite TWILIO_BASE_URL" for name in MANGLING if environ.get(name)
    ]
    checkout = config_dir.absolute().parent
    given = {
        "NOTIFIER_BIND": _Given("127.0.0.1:8080", DEFAULT),
        "NOTIFIER_SURFACES": _Given(",".join(may_be.SURFACES), DEFAULT),
        "NOTIFIER_DATA_DIR": _Given(str(checkout / ".data"), DEFAULT),
        "NOTIFIER_KEY_DIR": _Given(str(checkout / ".keys"), DEFAULT),
        "NOTIFIER_FONT_DIR": _Given(str(checkout / "node_modules" / "@expo-google-fonts"), DEFAULT),
        "NOTIFIER_LOG_LEVEL": _Given("INFO", DEFAULT),
    }
    for name in NAMES:
        value, source = (environ[name], ENVIRONMENT) if environ.get(name) else (written.get(name, ""), FILE)
        if value != value.strip() or not value.isprintable():
            problems.append(f"{name} must have no white space at its ends and no control characters")
        elif value:
            given[name] = _Given(value, source)
    return given


def _read_file(path: Path, problems: list[str]) -> dict[str, str]:
    """What `path` sets, when it exists: names and texts, no secret among them."""
    try:
        written = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):  # the library's text would quote the file
        problems.append(f"{FILE} cannot be read as TOML")
        return {}
    for name, value in written.items():
        if name in SECRETS | ADDRESSES:
            problems.append(f"{name} must not stand in {FILE}: give it in the environment")
        elif not isinstance(value, str):
            problems.append(f"{name} in {FILE} must be a text in quotes")
    return {
        name: value for name, value in written.items() if isinstance(value, str) and name not in SECRETS | ADDRESSES
    }


def _contradictions(settings: Settings, read: _Reader) -> list[str]:
    """What is wrong between settings that are each right."""
    problems: list[str] = []
    carriers = [name for name in ("Twilio", "SendGrid", "Lob") if getattr(settings, name.lower()) is not None]
    if carriers and read.source("PUBLIC_BASE_URL") == NOWHERE:
        problems.append(f"PUBLIC_BASE_URL must be set: {' and '.join(carriers)} must reach us with receipts")
    public = settings.public_base_url
    if settings.carriers_are_real and public and (not public.startswith("https:") or may_be.is_loopback(public)):
        problems.append("PUBLIC_BASE_URL must be https and not this machine: a real carrier is configured")
    data, keys = settings.data_dir, settings.key_dir
    if WRONG not in {data, keys} and (data.is_relative_to(keys) or keys.is_relative_to(data)):
        problems.append("NOTIFIER_KEY_DIR and NOTIFIER_DATA_DIR must lie apart: one stolen folder must not open itself")
    return problems


def _show(name: str, given: _Given | None) -> tuple[str, str, str]:
    if given is None:
        return name, "", NOWHERE
    if name in SECRETS:
        return name, MASK, given.source
    if name in ADDRESSES:
        return name, may_be.without_password(given.value), given.source
    return name, given.value, given.source
