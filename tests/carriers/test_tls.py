"""Both carriers over TLS, through their SDKs, to a sandbox whose certificate SSL_CERT_FILE names."""

import pytest

from tests.bench import floor
from tests.sandbox import Sandbox


def test_text_messages_go_over_tls(tls_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: what it trusts is read when it starts."""
    monkeypatch.setenv("SSL_CERT_FILE", tls_sandbox.ca_file)
    before = tls_sandbox.summary()["counts"].get("twilio.requests", 0)
    floor.measure(20, tls_sandbox.tls_url)
    assert tls_sandbox.summary()["counts"]["twilio.requests"] - before == 20 + floor.WARM_UP
