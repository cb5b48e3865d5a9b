"""A text message that somebody sends us is read as what it is, and as nothing more."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.carriers import open_inbound
from notifier.carriers.base import Callback, InboundMessage
from notifier.carriers.twilio_inbound import TwilioInbound, kind_of
from notifier.core.model import InboundKind
from tests.installation import NOW

SID = "SM" + "0" * 32
STOP, START, HELP, TEXT = InboundKind.STOP, InboundKind.START, InboundKind.HELP, InboundKind.TEXT


def read(body: bytes) -> InboundMessage | None:
    return TwilioInbound().read(Callback("https://x.example/callbacks/twilio_inbound", {}, body, NOW))


def form(**fields: str) -> bytes:
    return urlencode({"MessageSid": SID, "From": "+13035550100", "Body": "", **fields}).encode()


@pytest.mark.parametrize("word", ["STOP", "Stop", "stop", " stop \n", "UNSUBSCRIBE", "end", "Quit", "STOPALL"])
def test_a_word_that_stops_is_a_stop(word: str) -> None:
    assert kind_of(word) is STOP


@pytest.mark.parametrize("word", ["REVOKE", "OptOut", "cancel"])
def test_newer_words_that_stop_are_stops_too(word: str) -> None:
    assert kind_of(word) is STOP


@pytest.mark.parametrize(("word", "kind"), [("START", START), ("unstop", START), ("YES", START), ("Info", HELP)])
def test_other_commands_are_themselves(word: str, kind: InboundKind) -> None:
    assert kind_of(word) is kind


@pytest.mark.parametrize("text", ["please stop", "STOP.", "stop it", "", "no", "I object", "alto", "S T O P", "yes!"])
def test_everything_else_is_for_a_human(text: str) -> None:
    assert kind_of(text) is TEXT


@pytest.mark.parametrize(
    ("opt_out_type", "kind"),
    [("STOP", STOP), ("START", START), ("HELP", HELP), ("stop", STOP), ("", TEXT), ("?", TEXT)],
)
def test_what_twilio_made_of_it_goes_first(opt_out_type: str, kind: InboundKind) -> None:
    assert kind_of("Baja por favor", opt_out_type) is kind
    message = read(form(Body="Baja por favor", OptOutType=opt_out_type))
    assert message is not None
    assert message.kind is kind


def test_twilios_word_goes_before_the_text() -> None:
    assert kind_of("STOP", "START") is START


def test_a_message_is_read_with_its_text_and_nothing_of_it_is_shown() -> None:
    message = read(form(Body="¿Qué es esto?", NumMedia="1", To="+12025550199", MediaUrl0="https://x.example/1"))
    assert message is not None
    assert (message.dedupe, message.kind, message.sender, message.text) == (SID, TEXT, "+13035550100", "¿Qué es esto?")
    assert "3035550100" not in repr(message)
    assert "esto" not in repr(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"Body=hello",
        urlencode({"MessageSid": "x", "From": "+13035550100"}).encode(),
        urlencode({"MessageSid": SID, "From": ""}).encode(),
        urlencode([("MessageSid", SID), ("From", "+13035550100"), ("From", "+13035550101")]).encode(),
        b"a=1&" * 500,
    ],
)
def test_what_is_no_message_is_none(body: bytes) -> None:
    assert read(body) is None


@given(st.binary(max_size=200))
def test_no_body_makes_it_fail(body: bytes) -> None:
    read(body)


def test_people_can_write_back_to_twilio_only() -> None:
    assert open_inbound("twilio_sms") is not None
    assert [open_inbound(slug) for slug in ("sendgrid_email", "mailroom_letter", "nobody")] == [None, None, None]
