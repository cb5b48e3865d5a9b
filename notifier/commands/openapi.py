"""`notifier openapi`: the published description of the API, held against what it really does."""

import sys

import click


@click.command()
@click.option(
    "--check", "act", flag_value="--check", default=True, help="Fail when config/openapi.json is out of date."
)
@click.option("--write", "act", flag_value="--write", help="Write config/openapi.json anew.")
def openapi(act: str) -> None:
    """Hold config/openapi.json against the API, or write it anew."""
    from notifier.api import snapshot  # noqa: PLC0415 # Flask is loaded for this one only

    sys.exit(snapshot.main([act]))
