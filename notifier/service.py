"""What the running service is made of, built once at the edge and passed on by keyword."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from redis import Redis

from notifier.carriers.base import ReceiptReader
from notifier.carriers.timetable import Timetable
from notifier.core.model import Channel
from notifier.core.policy import Packs
from notifier.render.renderer import Renderer
from notifier.settings import Settings
from notifier.store.engine import Database
from notifier.store.vault import Vault
from notifier.usecases.waiting import Silence, silence_of


@dataclass(frozen=True, slots=True)
class Service:
    """Every dependency of the HTTP surfaces and the workers. `redis` carries no truth and may be down at any time."""

    settings: Settings
    db: Database
    vault: Vault
    redis: Redis
    packs: Packs
    renderer: Renderer
    carrier_of: Mapping[Channel, str]  # the configured carrier's slug for each channel
    timetables: Mapping[str, Timetable]
    readers: Mapping[str, ReceiptReader]
    ring: Callable[[str], None]  # wakes the workers of a queue; never raises
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def called_carriers(self) -> list[str]:
        """The carriers in use that are called over a wire."""
        return [slug for slug in self.carrier_of.values() if self.timetables[slug].wire is not None]

    @property
    def silence(self) -> Silence:
        """How long each carrier may say nothing."""
        return silence_of(self.timetables)


CHECKOUT = Path(__file__).resolve().parent.parent
CONFIG_DIR = CHECKOUT / "config"
TEMPLATE_DIR = CHECKOUT / "templates"
