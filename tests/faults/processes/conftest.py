"""The house of the workers' tests, here to have its parts killed at chosen moments."""

from tests.workers.conftest import house, running_house, sandbox

__all__ = ["house", "running_house", "sandbox"]
