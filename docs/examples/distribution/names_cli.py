"""The command line's half: ``gafferctl letters``."""

import click


@click.command("letters")
@click.pass_obj
def letters(server):
    """Count the letters in the names of all jobs."""
    click.echo(server.transport.request("GET", "/letters").json["letters"])


def gaffer_cli(cli):
    cli.add_command(letters)
