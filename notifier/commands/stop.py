"""`notifier stop`: stop sending at once, and go on, over the HTTP API."""

import json
from typing import Final
from uuid import UUID, uuid4

import click

from notifier.calling import Api
from notifier.commands.options import personal_key_option, url_option
from notifier.core.model import Channel
from notifier.terminal import table, terminal

REASONS: Final = (
    "mistake_in_list",
    "mistake_in_text",
    "wrong_recipients",
    "court_order",
    "demand_withdrawn",
    "safety",
    "carrier_trouble",
    "other",
)
matter_option = click.option("--matter", "matter_id", type=click.UUID, help="In this matter only.")


@click.group()
def stop() -> None:
    """Stop sending at once; two officers let it go on."""


@stop.command("place")
@matter_option
@click.option("--channel", type=click.Choice([channel.value for channel in Channel]), help="This channel only.")
@click.option("--carrier", help="This carrier only: twilio_sms, sendgrid_email, lob_letter or mailroom_letter.")
@click.option("--reason", type=click.Choice(REASONS), default="other", show_default=True, help="Why.")
@url_option
@personal_key_option
def place(matter_id: UUID | None, channel: str | None, carrier: str | None, reason: str, url: str, key: str) -> None:
    """Stop a matter, or a channel or carrier of one matter or of the whole agency. One person is enough."""
    if matter_id is None and channel is None and carrier is None:
        raise click.UsageError("Give --matter, --channel or --carrier.")
    asked = {"reason": reason, "channel": channel, "carrier": carrier}
    body = json.dumps({name: value for name, value in asked.items() if value is not None}).encode()
    where = "/v1/stops" if matter_id is None else f"/v1/matters/{matter_id}/stop"
    placed = Api(url, key).post(where, body, once=str(uuid4()))
    click.echo(f"stopped: {placed.document['stop_id']}")


@stop.command("list")
@url_option
@personal_key_option
def show(url: str, key: str) -> None:
    """List the stops of the whole agency, oldest first; those of one matter stand with the matter."""
    stops = Api(url, key).get("/v1/stops")["stops"]
    rows = [
        (
            each["stop_id"],
            each["carrier"] or each["channel"],
            each["reason"],
            each["placed_at"][:16],
            "proposed" if each["lift_proposed_by"] else "no",
        )
        for each in stops
    ]
    terminal().print(table(["stop", "holds", "reason", "since (UTC)", "going on"], rows))


@stop.command("resume")
@matter_option
@click.option("--stop", "stops", type=click.UUID, multiple=True, help="Only this stop of the whole agency; repeatable.")
@url_option
@personal_key_option
def resume(matter_id: UUID | None, stops: tuple[UUID, ...], url: str, key: str) -> None:
    """Propose to send again, or confirm what another officer proposed."""
    if matter_id is not None and stops:
        raise click.UsageError("Give --matter or --stop.")
    where = "/v1/stops/resume" if matter_id is None else f"/v1/matters/{matter_id}/resume"
    body = json.dumps({"stops": [str(each) for each in stops]} if stops else {}).encode()
    click.echo(Api(url, key).post(where, body, once=str(uuid4())).document["state"])
