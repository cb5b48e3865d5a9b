"""`notifier sample`: a made-up list to try things with."""

import sys

import click

from notifier.demo.sample import comma_separated, ndjson, sample_people


@click.command()
@click.option("--people", type=click.IntRange(min=0), default=1000, show_default=True, help="How many.")
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
def sample(people: int, form: str) -> None:
    """Print a list of made-up people: the same one every time. Nobody on it exists."""
    made = sample_people(people)
    out = sys.stdout.buffer
    for piece in ndjson(made) if form == "ndjson" else comma_separated(made):
        out.write(piece.encode())
