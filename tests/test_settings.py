"""Settings: everything wrong is told at once, nothing secret is ever shown."""

from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.errors import SettingsError
from notifier.settings import NAMES, SECRETS, Settings


def public_key(curve: ec.EllipticCurve) -> str:
    key = ec.generate_private_key(curve).public_key()
    return b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


KEY = public_key(ec.SECP256R1())
TWILIO = {
    "TWILIO_BASE_URL": "http://127.0.0.1:9001",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "token-canary",
    "TWILIO_FROM": "+13035550100",
}
SENDGRID = {
    "SENDGRID_BASE_URL": "http://127.0.0.1:9002",
    "SENDGRID_API_KEY": "SG.canary",
    "SENDGRID_FROM": "notices@agency.example",
    "SENDGRID_WEBHOOK_PUBLIC_KEY": KEY,
}
LOB = {
    "LOB_BASE_URL": "http://127.0.0.1:9003/v1",
    "LOB_API_KEY": "lob-canary",
    "LOB_WEBHOOK_SECRET": "hook-canary",
}
PUBLIC = {"PUBLIC_BASE_URL": "http://127.0.0.1:8080/"}
EVERYTHING = {
    **TWILIO,
    **SENDGRID,
    **LOB,
    **PUBLIC,
    "DATABASE_URL": "postgresql://app:pass-canary@db.example:5432/notices?host=/run/pg&password=query-canary",
    "REDIS_URL": "redis://:redis-canary@cache.example:6379/1",
}
NOWHERE = Path("/nowhere/config")


def load(environ: dict[str, str], config_dir: Path = NOWHERE) -> Settings:
    return Settings.load(environ, config_dir)


def problems(environ: dict[str, str], config_dir: Path = NOWHERE) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environ, config_dir)
    return caught.value.problems


def test_with_nothing_set_it_is_letter_only_with_servers_of_our_own() -> None:
    settings = load({})
    assert (settings.twilio, settings.sendgrid, settings.lob) == (None, None, None)
    assert (settings.database_url, settings.redis_url, settings.public_base_url) == (None, None, None)
    assert settings.bind == "127.0.0.1:8080"
    assert settings.surfaces == {"api", "callbacks", "public"}
    assert settings.data_dir == Path("/nowhere/.data")
    assert settings.key_dir == Path("/nowhere/.keys")
    assert settings.log_level == "INFO"
    assert settings.carriers_are_real is False


def test_everything_set_is_read() -> None:
    settings = load(EVERYTHING)
    assert settings.twilio is not None
    assert settings.sendgrid is not None
    assert settings.lob is not None
    assert settings.twilio.sender == "+13035550100"
    assert settings.twilio.messaging_service_sid is None
    assert settings.sendgrid.webhook_public_key == KEY
    assert settings.lob.base_url.endswith("/v1")
    assert settings.public_base_url == "http://127.0.0.1:8080"


def test_every_wrong_setting_is_named_at_once() -> None:
    wrong = {
        "DATABASE_URL": "mysql://u:canary@h/db",
        "REDIS_URL": "http://canary",
        "PUBLIC_BASE_URL": "https://our_canary.example",
        "NOTIFIER_BIND": "canary",
        "NOTIFIER_SURFACES": "api,canary",
        "NOTIFIER_DATA_DIR": "canary",
        "NOTIFIER_KEY_DIR": "canary/keys",
        "NOTIFIER_FONT_DIR": "/nowhere/canary",
        "NOTIFIER_LOG_LEVEL": "CANARY",
        "TWILIO_BASE_URL": "ftp://canary",
        "TWILIO_ACCOUNT_SID": "canary",
        "TWILIO_AUTH_TOKEN": " canary",
        "TWILIO_MESSAGING_SERVICE_SID": "canary",
        "TWILIO_FROM": "canary",
        "SENDGRID_BASE_URL": "https://canary/v3",
        "SENDGRID_API_KEY": "canary\n",
        "SENDGRID_FROM": "canary",
        "SENDGRID_WEBHOOK_PUBLIC_KEY": "canary",
        "LOB_BASE_URL": "https://canary",
        "LOB_API_KEY": "\tcanary",
        "LOB_WEBHOOK_SECRET": "canary\x00",
    }
    assert set(wrong) == set(NAMES)
    told = "\n".join(problems({**wrong, "NOTIFIER_BINDD": "canary", "TWILIO_EDGE": "canary"}))
    for name in (*NAMES, "NOTIFIER_BINDD", "TWILIO_EDGE"):
        assert f"{name} " in told
    assert "canary" not in told.lower()


@given(st.dictionaries(st.sampled_from(NAMES), st.text().map(lambda value: f"§{value}§"), max_size=8))
def test_no_problem_ever_quotes_a_value(environ: dict[str, str]) -> None:
    told = ""
    try:
        load(environ)
    except SettingsError as error:
        told = str(error)
    assert "§" not in told


@pytest.mark.parametrize("carrier", [TWILIO, SENDGRID, LOB])
def test_a_half_configured_carrier_is_refused(carrier: dict[str, str]) -> None:
    for left_out in carrier:
        rest = {name: value for name, value in carrier.items() if name != left_out}
        assert any("half configured" in problem and left_out in problem for problem in problems({**rest, **PUBLIC}))


def test_the_vendors_example_of_a_secret_is_none() -> None:
    assert any(
        "LOB_WEBHOOK_SECRET" in problem for problem in problems({**LOB, **PUBLIC, "LOB_WEBHOOK_SECRET": "Secret"})
    )


def test_a_messaging_service_stands_for_a_number() -> None:
    service = {**TWILIO, **PUBLIC, "TWILIO_FROM": "", "TWILIO_MESSAGING_SERVICE_SID": "MG" + "a" * 32}
    twilio = load(service).twilio
    assert twilio is not None
    assert twilio.messaging_service_sid == "MG" + "a" * 32


def test_an_empty_value_is_as_none() -> None:
    assert load(dict.fromkeys(NAMES, "")) == load({})


def test_a_misspelt_name_is_refused_with_the_nearest_one() -> None:
    assert problems({"NOTIFIER_LOGLEVEL": "x"}) == ("NOTIFIER_LOGLEVEL is no setting; is NOTIFIER_LOG_LEVEL meant?",)
    assert problems({"NOTIFIER_ZZZZZZZZZZZZ": "x"}) == ("NOTIFIER_ZZZZZZZZZZZZ is no setting",)


def test_names_that_only_tests_read_are_let_pass() -> None:
    load({"NOTIFIER_TEST_PG_VERSION": "16", "PATH": "/bin"})


@pytest.mark.parametrize("name", ["TWILIO_EDGE", "TWILIO_REGION"])
def test_a_setting_that_mangles_the_carriers_address_is_refused(name: str) -> None:
    assert problems({name: "sydney"}) == (f"{name} must not be set: the SDK would rewrite TWILIO_BASE_URL",)


def test_a_public_host_with_an_underscore_is_refused() -> None:
    assert "underscore" in problems({"PUBLIC_BASE_URL": "https://our_host.example"})[0]


def test_a_carrier_that_calls_back_needs_our_public_address() -> None:
    assert problems(TWILIO) == ("PUBLIC_BASE_URL must be set: Twilio must reach us with receipts",)


@pytest.mark.parametrize(
    ("url", "real"),
    [
        ("https://api.twilio.com", True),
        ("https://API.Twilio.Com.", True),
        ("https://api.sydney.twilio.com", True),
        ("https://twilio.com", True),
        ("https://nottwilio.com", False),
        ("https://twilio.com.example", False),
        ("http://127.0.0.1:9001", False),
    ],
)
def test_a_carriers_own_host_is_told_from_a_sandbox(url: str, real: bool) -> None:  # noqa: FBT001 - a table
    environ = {**TWILIO, "PUBLIC_BASE_URL": "https://notices.agency.example", "TWILIO_BASE_URL": url}
    assert load(environ).carriers_are_real is real


def test_a_real_carrier_is_reached_and_reaches_us_over_https_alone() -> None:
    told = problems({**TWILIO, **PUBLIC, "TWILIO_BASE_URL": "http://api.twilio.com"})
    assert told[0] == "TWILIO_BASE_URL must be https"
    told = problems({**TWILIO, **PUBLIC, "TWILIO_BASE_URL": "https://api.twilio.com"})
    assert told == ("PUBLIC_BASE_URL must be https and not this machine: a real carrier is configured",)


def test_a_webhook_key_on_another_curve_is_refused() -> None:
    other = {**SENDGRID, **PUBLIC, "SENDGRID_WEBHOOK_PUBLIC_KEY": public_key(ec.SECP384R1())}
    assert "P-256" in problems(other)[0]


def test_keys_lie_apart_from_the_data() -> None:
    assert "must lie apart" in problems({"NOTIFIER_DATA_DIR": "/srv/n", "NOTIFIER_KEY_DIR": "/srv/x/../n/keys"})[0]


def test_no_secret_is_shown() -> None:
    settings = load(EVERYTHING)
    shown = settings.effective()
    assert [name for name, _, _ in shown] == list(NAMES)
    assert "canary" not in str(shown)
    assert "canary" not in repr(settings)
    values = {name: value for name, value, _ in shown}
    assert {values[name] for name in SECRETS} == {"********"}
    assert values["DATABASE_URL"] == "postgresql://app@db.example:5432/notices?host=/run/pg"
    assert values["REDIS_URL"] == "redis://cache.example:6379/1"


def test_where_a_value_comes_from_is_shown(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('NOTIFIER_BIND = "0.0.0.0:80"\nNOTIFIER_LOG_LEVEL = "debug"\n')
    settings = load({"NOTIFIER_BIND": "127.0.0.1:81"}, tmp_path)
    sources = {name: (value, source) for name, value, source in settings.effective()}
    assert sources["NOTIFIER_BIND"] == ("127.0.0.1:81", "environment")
    assert sources["NOTIFIER_LOG_LEVEL"] == ("debug", "config/settings.toml")
    assert sources["NOTIFIER_SURFACES"] == ("api,callbacks,public", "default")
    assert sources["LOB_API_KEY"] == ("", "not set")
    assert (settings.bind, settings.log_level) == ("127.0.0.1:81", "DEBUG")


def test_a_secret_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('LOB_API_KEY = "canary"\nNOTIFIER_BIND = 80\nBIND = "x"\n')
    assert problems({}, tmp_path) == (
        "LOB_API_KEY must not stand in config/settings.toml: give it in the environment",
        "NOTIFIER_BIND in config/settings.toml must be a text in quotes",
        "BIND is no setting",
    )


def test_a_file_that_is_no_toml_is_refused_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("canary\n")
    assert problems({}, tmp_path) == ("config/settings.toml cannot be read as TOML",)
