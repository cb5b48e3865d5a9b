"""When something is next due: the one rule behind every `next_at`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from notifier.carriers.timetable import Timetable

Silence = Mapping[str, timedelta]
"""How long each carrier, by slug, may say nothing before it counts as silent."""

# For an attempt `a` of a matter `m`: when it is to be sent, its worker's lease ends, or its carrier counts as silent by
# the matter's clock. Null when nothing is due by itself: it is over, or a human has to look.
NEXT_AT: Final = """
case
  when a.status = 'planned' then a.due_at
  when a.status = 'sending' then a.lease_until
  when a.status in ('handed_over', 'accepted') then a.handed_over_at - m.clock_offset + (
    select w.silence from unnest(cast(:carriers as text[]), cast(:silences as interval[])) w(carrier, silence)
    where w.carrier = a.carrier)
end
"""


def silence_of(timetables: Mapping[str, Timetable]) -> dict[str, timedelta]:
    """The silence of each carrier in its timetable."""
    return {slug: timedelta(hours=timetable.silent_after_hours) for slug, timetable in timetables.items()}


def silence_parameters(silence: Silence) -> dict[str, object]:
    """What `NEXT_AT` asks for."""
    return {"carriers": list(silence), "silences": list(silence.values())}
