"""When something is next due: the rule behind every `next_at`, beside the time at which a plan is next looked at."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

from notifier.carriers.timetable import Timetable
from notifier.core.model import Channel

Silence = Mapping[str, timedelta]
"""How long each carrier, by slug, may say nothing before it counts as silent."""

# For an attempt `a`: whether a stop keeps it back. A closed batch is kept back until it is declared mailed.
IS_HELD: Final = """
(a.channel = any(:stopped) and (a.status = 'planned' or a.status = 'handed_over' and a.carrier = 'mailroom_letter'))
"""

# For an attempt `a` of a matter `m`: when it is to be sent, its worker's lease ends, or its carrier counts as silent by
# the matter's clock. Null when nothing is due by itself: it is over, or a human has to mail it, resume it, or look.
NEXT_AT: Final = f"""
case
  when {IS_HELD} then null
  when a.status = 'planned' then a.due_at
  when a.status = 'sending' then a.lease_until
  when a.status = 'unknown' then a.check_at
  when a.status = 'accepted' or a.status = 'handed_over' and a.carrier <> 'mailroom_letter'
  then a.handed_over_at - m.clock_offset + (
    select w.silence from unnest(cast(:carriers as text[]), cast(:silences as interval[])) w(carrier, silence)
    where w.carrier = a.carrier)
end
"""  # noqa: S608 # our own constants


def silence_of(timetables: Mapping[str, Timetable]) -> dict[str, timedelta]:
    """The silence of each carrier in its timetable."""
    return {slug: timedelta(hours=timetable.silent_after_hours) for slug, timetable in timetables.items()}


def waiting_parameters(silence: Silence, stopped: Collection[Channel]) -> dict[str, object]:
    """What `NEXT_AT` asks for; `stopped` are the channels that a stop in force keeps back."""
    return {"carriers": list(silence), "silences": list(silence.values())} | held_parameters(stopped)


def held_parameters(stopped: Collection[Channel]) -> dict[str, object]:
    """What `IS_HELD` asks for."""
    return {"stopped": [channel.value for channel in stopped]}
