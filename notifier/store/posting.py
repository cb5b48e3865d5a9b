"""Written letters of a carrier that is called: what is to be posted, and what may still be taken back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy import text

from notifier.core.model import Channel, Mode, PostService
from notifier.store.attempts import Claimed
from notifier.store.engine import Tx

# As for messages (attempts.py): each matter has an equal share, whoever was served least in front.
_CLAIM: Final = text(
    """
    with work as (
      select w.agency_id, w.matter_id,
        greatest(1, cast(:chunk as int) / count(*) over ()) as share, coalesce(s.served, 0) as served
      from work_to_do w join matter m on m.agency_id = w.agency_id and m.matter_id = w.matter_id
      left join unnest(cast(:matters as uuid[]), cast(:served as int[])) s(matter_id, served)
        on s.matter_id = w.matter_id
      where w.agency_id = :agency and w.channel = :channel and m.mode = any(:modes)
        and exists (select from attempt a where a.agency_id = w.agency_id and a.matter_id = w.matter_id
                    and a.status = 'planned' and a.blob_id is not null and a.carrier = :carrier and a.due_at <= now())
    ), due as (
      select d.attempt_id
      from (select * from work order by served, random()) w
      cross join lateral (
        select a.attempt_id from attempt a
        where a.agency_id = w.agency_id and a.matter_id = w.matter_id and a.channel = :channel
          and a.carrier = :carrier and a.status = 'planned' and a.due_at <= now() and a.blob_id is not null
        order by a.due_at limit w.share for update skip locked
      ) d
      limit :chunk
    )
    update attempt a
    set status = 'sending', tries = least(a.tries, 9999) + 1, lease_until = now() + :lease, updated_at = now()
    from due
    where a.agency_id = :agency and a.attempt_id = due.attempt_id
    returning a.attempt_id, a.matter_id, a.notice_id, a.person_id, a.contact_id, a.tries,
      a.blob_id, a.service, a.withdrawn_ref
    """
)

# Handed over so lately that it may not be in the post yet, and kept back by a stop by now.
_TO_WITHDRAW: Final = """
    from attempt a join matter m on m.agency_id = a.agency_id and m.matter_id = a.matter_id
    where exists (select from stop where agency_id = :agency and lifted_at is null)
      and a.agency_id = :agency and a.channel = :channel and a.carrier = :carrier and a.status = 'handed_over'
      and a.carrier_ref is not null and a.handed_over_at > now() - cast(:within as interval)
      and a.handed_over_at - m.clock_offset > now() - cast(:within as interval)
      and exists (select from stop s where s.agency_id = a.agency_id and s.lifted_at is null
                  and (s.matter_id is null or s.matter_id = a.matter_id)
                  and (s.channel is null or s.channel = a.channel))
"""


@dataclass(frozen=True, slots=True)
class ToPost:
    """A written letter that this worker holds until its lease ends. `withdrawn`: a piece of it that was taken back."""

    claimed: Claimed
    blob_id: UUID
    service: PostService
    withdrawn: str | None


@dataclass(frozen=True, slots=True)
class ToWithdraw:
    """A letter that its carrier has, by the carrier's own id."""

    matter_id: UUID
    attempt_id: UUID
    carrier_ref: str


def claim_letters_to_post(
    tx: Tx,
    carrier: str,
    *,
    chunk: int,
    lease: timedelta,
    served: Mapping[UUID, int] = MappingProxyType({}),
    modes: Collection[Mode] = tuple(Mode),
) -> list[ToPost]:
    """Take up to `chunk` written letters of one carrier that are due, of matters of these modes."""
    rows = tx.conn.execute(
        _CLAIM,
        {
            "agency": tx.agency_id,
            "channel": Channel.LETTER.value,
            "carrier": carrier,
            "chunk": chunk,
            "lease": lease,
            "matters": list(served),
            "served": list(served.values()),
            "modes": [mode.value for mode in modes],
        },
    )
    return [
        ToPost(Claimed(*row[:6]), row.blob_id, PostService(row.service or PostService.FIRST_CLASS), row.withdrawn_ref)
        for row in rows
    ]


def letters_to_withdraw(
    tx: Tx, carrier: str, *, within: timedelta, limit: int, but: Collection[str] = ()
) -> list[ToWithdraw]:
    """Letters that a stop keeps back and that their carrier was given at most so long ago, `but` these references."""
    query = (
        f"select a.matter_id, a.attempt_id, a.carrier_ref {_TO_WITHDRAW}"
        " and a.carrier_ref <> all(:but) order by a.handed_over_at limit :limit"
    )
    values = {"agency": tx.agency_id, "channel": Channel.LETTER.value, "carrier": carrier}
    rows = tx.conn.execute(text(query), {**values, "within": within, "limit": limit, "but": list(but)})
    return [ToWithdraw(*row) for row in rows]
