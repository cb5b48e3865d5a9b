"""The timetable of every carrier, read from config/carriers.toml and refused when it contradicts itself."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from notifier.carriers import CARRIERS
from notifier.core.errors import SettingsError
from notifier.core.status import Reason


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


class Wire(_Table):
    """What a carrier that is called over HTTP needs; the keys are explained in the file."""

    timeout_seconds: float = Field(gt=0, le=120)
    connect_timeout_seconds: float = Field(gt=0)
    concurrency: int = Field(ge=1, le=1000)
    batch: int = Field(ge=1, le=1000)
    validity_seconds: int | None = Field(default=None, ge=6, le=36_000)
    sweep_after_seconds: float = Field(gt=0)
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
    rules = (
        (wire.connect_timeout_seconds >= wire.timeout_seconds, "connecting may take as long as the whole call"),
        (wire.retry.cap_seconds < wire.retry.first_delay_seconds, "the first delay is above its cap"),
        # A sweep that starts while retries still run sends twice.
        (
            wire.sweep_after_seconds <= wire.retry_budget_seconds,
            f"the sweep comes before the last retry ({wire.retry_budget_seconds:.0f} s)",
        ),
        (silent <= wire.sweep_after_seconds, "silence is declared before the sweep"),
        (silent <= (wire.validity_seconds or 0), "silence is declared while the message can still go out"),
    )
    return [text for is_broken, text in rules if is_broken]
