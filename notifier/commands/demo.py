"""`notifier demo`: everything at once, with made-up people."""

import sys

import click


@click.command()
@click.option("--exit", "end", is_flag=True, help="End by itself; status 0 only if everybody is accounted for.")
def demo(end: bool) -> None:  # noqa: FBT001 # click passes it by name
    """Start everything with made-up people and show it work.

    PostgreSQL, Redis, web, workers, clock and a stand-in for the carriers run on this machine only, on free ports. No
    message leaves it. Ctrl-C stops all of it.
    """
    from notifier.demo.show import show  # noqa: PLC0415 # the help text needs nothing of it

    sys.exit(show(end=end))
