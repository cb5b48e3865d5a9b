"""The composition root: builds every real dependency once, from settings."""

from collections.abc import Mapping
from functools import cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.carriers import open_carrier, open_reader
from notifier.carriers.base import Carrier, ReceiptReader
from notifier.carriers.timetable import Timetable, Wire
from notifier.carriers.timetable import load as load_timetables
from notifier.core.errors import SettingsError
from notifier.core.model import Channel
from notifier.core.pack_files import load_packs
from notifier.core.policy import Packs
from notifier.doorbell import open_doorbell
from notifier.render.renderer import Renderer, build_renderer
from notifier.service import CONFIG_DIR, TEMPLATE_DIR, Service
from notifier.settings import Settings
from notifier.store.engine import Database, require_safe_role
from notifier.store.keys import open_keyring
from notifier.store.vault import Vault
from notifier.usecases.breaker import Breaker, rules_of
from notifier.usecases.pace import Pace


def build(settings: Settings) -> Service:
    """Everything that web, workers and clock share.

    Raises:
        SettingsError: no database or Redis is named, the keys are not safe, or the database would not keep agencies
            apart.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise SettingsError(["DATABASE_URL and REDIS_URL must be set; `notifier run` starts servers and sets them"])
    db = Database(settings.database_url)
    require_safe_role(db)
    renderer = open_renderer(settings)
    redis = open_redis(settings.redis_url)
    return Service(
        settings=settings,
        db=db,
        vault=Vault(open_keyring(settings.key_dir)),
        redis=redis,
        packs=open_packs(),
        renderer=renderer,
        carrier_of=carriers_in_use(settings),
        timetables=timetables(),
        readers=open_readers(settings),
        ring=open_doorbell(redis),
    )


def open_redis(url: str) -> Redis:
    """A client that gives up soon: Redis carries no truth, so nobody waits for it."""
    return Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1))


def open_renderer(settings: Settings) -> Renderer:
    """The renderer of this checkout's texts and fonts."""
    return build_renderer(config_dir=CONFIG_DIR, template_dir=TEMPLATE_DIR, font_dirs=[settings.font_dir])


@cache
def open_packs() -> Packs:
    """The packs of this checkout."""
    return load_packs({path.name: path.read_bytes() for path in (CONFIG_DIR / "packs").glob("*.toml")})


@cache
def timetables() -> Mapping[str, Timetable]:
    """The carriers' timetables of this checkout."""
    return load_timetables(CONFIG_DIR / "carriers.toml")


def carriers_in_use(settings: Settings) -> dict[Channel, str]:
    """The carrier of each channel; one without an account is not used, and letters are the mailroom's."""
    used = {Channel.LETTER: "mailroom_letter"}
    if settings.twilio is not None:
        used[Channel.SMS] = "twilio_sms"
    if settings.sendgrid is not None:
        used[Channel.EMAIL] = "sendgrid_email"
    if settings.lob is not None:
        used[Channel.LETTER] = "lob_letter"
    return used


def open_readers(settings: Settings) -> dict[str, ReceiptReader]:
    """Who reads the receipts of each carrier in use."""
    readers: dict[str, ReceiptReader] = {}
    if settings.twilio is not None:
        readers["twilio_sms"] = open_reader(
            "twilio_sms", auth_tokens=[settings.twilio.auth_token], codes=wire("twilio_sms").codes
        )
    if settings.sendgrid is not None:
        readers["sendgrid_email"] = open_reader(
            "sendgrid_email",
            public_keys=[settings.sendgrid.webhook_public_key],
            codes=wire("sendgrid_email").codes,
        )
    if settings.lob is not None:
        readers["lob_letter"] = open_reader("lob_letter", secrets=[settings.lob.webhook_secret])
    return readers


def wire(slug: str) -> Wire:
    """How a carrier is called over HTTP.

    Raises:
        SettingsError: its section in config/carriers.toml does not say.
    """
    found = timetables()[slug].wire
    if found is None:
        raise SettingsError([f"carriers.toml: {slug} has no wire section"])
    return found


def sender_name(settings: Settings, slug: str) -> str:
    """Whom a carrier knows as the sender: what its limits are counted by."""
    accounts = {
        "twilio_sms": settings.twilio and (settings.twilio.messaging_service_sid or settings.twilio.sender),
        "sendgrid_email": settings.sendgrid and settings.sendgrid.sender,
    }
    return accounts.get(slug) or slug


def open_pace(settings: Settings, redis: Redis, slug: str) -> Pace:
    """How fast this process may send by a carrier, together with all others."""
    return Pace(redis, carrier=slug, sender=sender_name(settings, slug), rate=wire(slug).rate)


def open_breaker(redis: Redis, slug: str) -> Breaker:
    """Whether a carrier is left alone, as this process and all others know it."""
    return Breaker(redis, carrier=slug, rules=rules_of(wire(slug)))


def build_carrier(settings: Settings, channel: Channel) -> Carrier:
    """The carrier of a channel; call it inside the running loop that will use it.

    Raises:
        SettingsError: the channel has no account.
    """
    if channel is Channel.SMS and settings.twilio is not None:
        return open_carrier(
            "twilio_sms",
            base_url=settings.twilio.base_url,
            account_sid=settings.twilio.account_sid,
            auth_token=settings.twilio.auth_token,
            sender=settings.twilio.messaging_service_sid or settings.twilio.sender,
            public_base_url=settings.public_base_url,
            wire=wire("twilio_sms"),
        )
    if channel is Channel.EMAIL and settings.sendgrid is not None:
        return open_carrier(
            "sendgrid_email",
            base_url=settings.sendgrid.base_url,
            api_key=settings.sendgrid.api_key,
            sender=settings.sendgrid.sender,
            sender_name="",
            wire=wire("sendgrid_email"),
        )
    if channel is Channel.LETTER and settings.lob is not None:
        return open_carrier(
            "lob_letter", base_url=settings.lob.base_url, api_key=settings.lob.api_key, wire=wire("lob_letter")
        )
    raise SettingsError([f"there is no account for {channel.value}"])
