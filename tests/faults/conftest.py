"""The desk of the use-case tests, here with faults around it."""

from tests.usecases.conftest import catcher, desk, key_dir, sandbox, service

__all__ = ["catcher", "desk", "key_dir", "sandbox", "service"]
