"""Errors that carry the decision their catcher needs.

    NotifierError
    ├── Refused        the caller's input or act was refused; nothing was stored
    │   ├── Malformed      the bytes are not what the content type says
    │   ├── Invalid        well-formed, but a rule says no; holds the findings
    │   ├── NotFound       no such thing in this agency
    │   ├── Forbidden      this key or officer may not do that
    │   ├── Conflict       true now, perhaps not later: try again or look first
    │   └── TooLarge       over a stated limit
    ├── MissingText    a language has no usable text for this message
    ├── Sealed         a ciphertext could not be opened (wrong row, wrong key, shredded)
    └── LedgerError    the chain does not hold; everything that opens stays shut

    SettingsError      outside the tree, so that nothing swallows a misconfiguration

No message here may contain a name, an address, a number or any other value that came from a caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where: `pointer` is a JSON Pointer (RFC 6901), `code` is stable."""

    pointer: str
    code: str
    detail: str


class NotifierError(Exception):
    """Root of everything this service raises on purpose."""


class Refused(NotifierError):
    """An input or an act is refused; `code` names the rule and never changes meaning."""

    def __init__(self, code: str, detail: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.findings = tuple(findings)


class Malformed(Refused):
    """The bytes are not what their content type says."""


class Invalid(Refused):
    """Well-formed, but a rule says no."""


class NotFound(Refused):
    """There is no such thing in this agency."""


class Forbidden(Refused):
    """This key or officer may not do that."""


class Conflict(Refused):
    """Refused because of what else is going on; `retry_after` seconds when trying again can help."""

    def __init__(self, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class TooLarge(Refused):
    """Over a stated limit."""


class MissingText(NotifierError):
    """A language has no usable text for a message."""

    def __init__(self, language: str, message: str) -> None:
        super().__init__(f"no text in {language}: {message}")
        self.language = language


class Sealed(NotifierError):
    """A ciphertext could not be opened."""


class LedgerError(NotifierError):
    """The chain of events does not hold."""


class SettingsError(Exception):
    """Everything that is wrong with the configuration, at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
