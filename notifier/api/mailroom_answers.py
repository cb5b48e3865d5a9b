"""What goes out to the mailroom: batches, certified letters, and what became of mail that came back."""

from datetime import date, datetime
from uuid import UUID

from notifier.api.answers import Answer, Count
from notifier.core.model import Mode, PostService, Signature
from notifier.core.returned_mail import NextStep, UspsReason
from notifier.core.status import AttemptStatus
from notifier.usecases.returned_mail import Result


class BatchOut(Answer):
    """A print batch. `pieces` as closed; `red`: nobody has said anything of it by the end of the next business day."""

    batch_id: UUID
    mode: Mode
    service: PostService
    closed_at: datetime
    pieces: Count
    sheets: Count
    withdrawn: Count
    mailed_on: date | None
    place: str | None
    declared_at: datetime | None
    declared_by: UUID | None
    voided_at: datetime | None
    voided_by: UUID | None
    red_from: datetime
    red: bool


class BatchesOut(Answer):
    """The agency's print batches, newest first."""

    batches: list[BatchOut]


class MailedOut(Answer):
    """A batch that an officer declared mailed; `withdrawn` are the exceptions."""

    batch_id: UUID
    pieces: Count
    mailed_on: date
    service: PostService
    place: str | None
    withdrawn: Count


class VoidedOut(Answer):
    """Letters that were taken out of a batch, to be printed in another one; `left` are still in it."""

    batch_id: UUID
    pieces: Count
    left: Count


class DeliveredOut(Answer):
    """What an officer has entered of a certified letter."""

    attempt_id: UUID
    delivered_on: date
    signature: Signature
    status: AttemptStatus


class ReturnedOut(Answer):
    """What one scan of returned mail came to; only `recorded` changes anything.

    `remailed_as` is the letter that follows at once. `defeats`: whether the notice counts for nothing by this letter;
    null when it only waits.
    """

    result: Result
    attempt_id: UUID | None
    reason: UspsReason | None
    returned_on: date | None
    defeats: bool | None
    next_step: NextStep | None
    forwarded_to: UUID | None
    remailed_as: UUID | None


class ReturnedMailOut(Answer):
    """One result for each scan, in order."""

    pieces: list[ReturnedOut]
