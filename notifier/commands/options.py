"""Options that several commands share. Keys come best by the environment: a command line can be read by others."""

import click

DEFAULT_URL = "http://127.0.0.1:8080"

url_option = click.option(
    "--url", envvar="API_URL", default=DEFAULT_URL, show_default=True, show_envvar=True, help="Where the API is."
)
key_option = click.option(
    "--key", envvar="MACHINE_KEY", required=True, show_envvar=True, help="An API key; best by the environment."
)
personal_key_option = click.option(
    "--key", envvar="PERSONAL_KEY", required=True, show_envvar=True, help="A personal key; best by the environment."
)
