"""`notifier sample`: a made-up list to try things with."""

import sys
from typing import IO

import click

from notifier.demo.sample import comma_separated, labels_csv, ndjson, sample_labels, sample_people


@click.command()
@click.option("--people", type=click.IntRange(min=0), default=1000, show_default=True, help="How many.")
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@click.option(
    "--labels",
    "manifest",
    type=click.File(encoding="utf-8-sig"),
    help="Instead: made-up labels for the certified letters of this manifest of a batch. For test matters only.",
)
def sample(people: int, form: str, manifest: IO[str] | None) -> None:
    """Print a list of made-up people: the same one every time. Nobody on it exists."""
    if manifest is not None:
        try:
            labels = "".join(labels_csv(sample_labels(manifest)))
        except (KeyError, UnicodeDecodeError):
            raise click.UsageError("--labels takes the manifest of a print batch.") from None
        click.echo(labels, nl=False)
        return
    made = sample_people(people)
    out = sys.stdout.buffer
    for piece in ndjson(made) if form == "ndjson" else comma_separated(made):
        out.write(piece.encode())
