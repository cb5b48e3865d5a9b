"""The timetable of every carrier, read from config/carriers.toml and refused when it contradicts itself."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from notifier.carriers import CARRIERS
from notifier.core.errors import SettingsError
from notifier.core.status import Reason

MOST_LOST_AT_ONCE: Final = 100  # messages of one call: a lost answer leaves so many unknown
FRESH_SECONDS: Final = 20.0  # of a lease: later no call is begun, so that it ends before the lease does
RECORD_SECONDS: Final = 10.0  # what writing an answer down may take
END_SECONDS: Final = 20.0  # a worker that is asked to end is gone after so many: calls in flight end before that
LAST_WORD_SECONDS: Final = 4.0  # of these, for writing down what became of them


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Retry(_Table):
    """How often something proved not to have been sent is tried, and how long is waited in between."""

    tries: int = Field(ge=1, le=50)
    first_delay_seconds: float = Field(gt=0)
    factor: float = Field(ge=1)
    cap_seconds: float = Field(gt=0)

    def delay_seconds(self, failures: int) -> float:
        """The longest wait after so many failures (1, 2, ...); the caller draws from 0 to this (full jitter)."""
        # The exponent is bounded: a float power overflows long before anybody waits for it.
        return min(self.cap_seconds, self.first_delay_seconds * self.factor ** min(failures - 1, 64))

    @property
    def waits_seconds(self) -> float:
        """All waits together, at their longest."""
        return sum(self.delay_seconds(failures) for failures in range(1, self.tries))


class Rate(_Table):
    """How fast one sender may send: messages a second in the whole installation, and in a process without Redis."""

    per_second: float = Field(gt=0)
    burst: int = Field(ge=1)
    alone_per_second: float = Field(gt=0)


class Breaker(_Table):
    """When a carrier is left alone: after so many calls in a row that it did not answer, and for how long."""

    failures: int = Field(ge=1, le=1000)
    rest_seconds: float = Field(gt=0)
    cap_seconds: float = Field(gt=0)


class Wire(_Table):
    """What a carrier that is called over HTTP needs; the keys are explained in the file."""

    timeout_seconds: float = Field(gt=0, le=120)
    connect_timeout_seconds: float = Field(gt=0)
    concurrency: int = Field(ge=1, le=1000)
    batch: int = Field(ge=1, le=MOST_LOST_AT_ONCE)
    ahead: int = Field(default=0, ge=0, le=MOST_LOST_AT_ONCE)
    validity_seconds: int | None = Field(default=None, ge=6, le=36_000)
    cancel_seconds: float | None = Field(default=None, gt=0)
    lease_seconds: float = Field(default=90, gt=0, le=3600)
    sweep_after_seconds: float = Field(gt=0)
    resend_after_seconds: float = Field(gt=0)
    rate: Rate
    breaker: Breaker
    retry: Retry
    codes: Mapping[str, Annotated[Reason, Strict(strict=False)]]

    @property
    def retry_budget_seconds(self) -> float:
        """From the first try to the last answer, at its longest."""
        return self.retry.waits_seconds + self.retry.tries * self.timeout_seconds


class Timetable(_Table):
    """One carrier's section."""

    silent_after_hours: float = Field(gt=0)
    wire: Wire | None = None


def load(path: Path) -> Mapping[str, Timetable]:
    """Read the file: carrier slug -> its timetable, one for every carrier there is.

    Raises:
        SettingsError: everything that is wrong with it, at once.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError([f"{path.name} cannot be read: {type(error).__name__}"]) from None
    return read(document)


def read(document: Mapping[str, object]) -> Mapping[str, Timetable]:
    """Check a parsed file.

    Raises:
        SettingsError: everything that is wrong with it, at once.
    """
    problems = [f"carriers.toml: no section [{slug}]" for slug in CARRIERS if slug not in document]
    problems += [f"carriers.toml: [{slug}] is no carrier" for slug in document if slug not in CARRIERS]
    timetables: dict[str, Timetable] = {}
    for slug in CARRIERS.keys() & document.keys():
        try:
            timetables[slug] = Timetable.model_validate(document[slug])
        except ValidationError as error:
            problems += [
                f"carriers.toml: {slug}.{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_input=False)
            ]
        else:
            problems += [f"carriers.toml: {slug}: {text}" for text in contradictions(timetables[slug])]
    if problems:
        raise SettingsError(sorted(problems))
    return MappingProxyType(timetables)


def contradictions(timetable: Timetable) -> list[str]:
    """Where one number makes another meaningless."""
    wire = timetable.wire
    if wire is None:
        return []
    silent = timetable.silent_after_hours * 3600
    validity = wire.validity_seconds or 0
    rules = (
        (wire.connect_timeout_seconds >= wire.timeout_seconds, "connecting may take as long as the whole call"),
        (
            wire.timeout_seconds > END_SECONDS - LAST_WORD_SECONDS,
            f"a call may outlast a worker that is asked to end ({END_SECONDS - LAST_WORD_SECONDS:.0f} s)",
        ),
        (
            wire.lease_seconds < FRESH_SECONDS + wire.timeout_seconds + RECORD_SECONDS,
            "the lease may end before the answer of its last call is written down",
        ),
        (wire.retry.cap_seconds < wire.retry.first_delay_seconds, "the first delay is above its cap"),
        (wire.breaker.cap_seconds < wire.breaker.rest_seconds, "the breaker's first rest is above its cap"),
        (wire.rate.alone_per_second > wire.rate.per_second, "one process alone is faster than all together"),
        # A sweep that starts while retries still run sends twice.
        (
            wire.sweep_after_seconds <= wire.retry_budget_seconds,
            f"the sweep comes before the last retry ({wire.retry_budget_seconds:.0f} s)",
        ),
        (wire.resend_after_seconds <= wire.sweep_after_seconds, "a message is sent anew before its carrier was asked"),
        (wire.resend_after_seconds < validity, "a message is sent anew while the first can still go out"),
        (silent <= wire.resend_after_seconds, "silence is declared before a message would be sent anew"),
        (silent <= validity, "silence is declared while the message can still go out"),
    )
    return [text for is_broken, text in rules if is_broken]
