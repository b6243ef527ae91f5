"""The command line's half: ``gafferctl letters``."""

import json

import click


@click.command("letters")
@click.pass_obj
def letters(server):
    """Count the letters in the names of all jobs."""
    answer = server.transport.request("GET", "/letters")
    click.echo(json.loads(answer.body)["letters"])


def gaffer_cli(cli):
    cli.add_command(letters)
