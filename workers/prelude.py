"""What every program of this room does first: read the settings, set up logging, build the service."""

import os
import sys

from notifier.bootstrap import build
from notifier.core.errors import SettingsError
from notifier.service import CONFIG_DIR, Service
from notifier.settings import Settings
from notifier.telemetry import configure_logging

WRONG = 2  # exit status of a program that is set up or called wrongly


def open_service() -> Service | None:
    """The service of this process; None when it is set up wrongly, which was then said on standard error."""
    try:
        settings = Settings.load(os.environ, CONFIG_DIR)
        configure_logging(settings.log_level)
        return build(settings)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return None
