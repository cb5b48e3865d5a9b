"""A message rendered once for many people: within one matter and language only the code differs.

A form is rendered with a random word in the place of the code and cut at that word. The code is put in afterwards; its
digits and dashes are written the same in plain text, in HTML and in a subject, so the outcome is byte for byte what
rendering each message by itself gives.
"""

import secrets
from dataclasses import dataclass, field, replace

from notifier.core.codes import LENGTH, format_code
from notifier.render.content import NoticeContent
from notifier.render.renderer import Renderer


@dataclass(frozen=True, slots=True)
class Form:
    """A text that is cut wherever a code belongs."""

    pieces: tuple[str, ...] = field(repr=False)

    def filled(self, code: str) -> str:
        """The text with this code in its places.

        Raises:
            ValueError: it is not eleven ASCII digits, which alone need no escaping.
        """
        if len(code) != LENGTH or not (code.isascii() and code.isdigit()):
            raise ValueError(f"a code has {LENGTH} digits")
        return format_code(code).join(self.pieces)


EMPTY = Form(("",))


@dataclass(frozen=True, slots=True)
class MessageForm:
    """The parts of a message; a text message has no subject and no HTML."""

    text: Form
    subject: Form = EMPTY
    html: Form = EMPTY


def sms_form(renderer: Renderer, content: NoticeContent, language: str) -> MessageForm:
    """The text message of everybody in a matter who reads this language; the code in `content` is left out.

    Raises:
        MissingText: there is no valid text.
    """
    mark = _mark()
    return MessageForm(_cut(renderer.sms(replace(content, code=mark), language).text, mark))


def email_form(renderer: Renderer, content: NoticeContent, language: str) -> MessageForm:
    """As `sms_form`, for the email."""
    mark = _mark()
    mail = renderer.email(replace(content, code=mark), language)
    return MessageForm(_cut(mail.text, mark), _cut(mail.subject, mark), _cut(mail.html, mark))


def _mark() -> str:
    """A word that is in no text: 128 random bits, of characters that no format escapes."""
    return secrets.token_hex(16)


def _cut(text: str, mark: str) -> Form:
    return Form(tuple(text.split(format_code(mark))))
