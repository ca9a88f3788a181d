"""The overview of commands and settings is what the program has, and nothing else."""

import re
from pathlib import Path

import click
from pydantic import BaseModel

from infra.settings import Provider, Providers, Settings
from pocketquant import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
DESK = {"--data-dir", "--config"}
FORMATS = {"--format", "--json", "--output"}


def commands(group=cli.pq, path=("pq",)):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_is_on_the_page_with_its_arguments_words_and_options():
    """A page that differs from --help is worse than none."""
    expected = set()
    for path, command in commands():
        context = click.Context(command)
        arguments = [one.make_metavar(context) for one in command.params if isinstance(one, click.Argument)]
        options = [max(one.opts, key=len) for one in command.params if isinstance(one, click.Option)]
        words = command.help.split("\n\n")[0].strip().replace("\n", " ")
        formats = set(options) >= FORMATS
        hidden = DESK | FORMATS if formats else DESK
        own = " ".join(f"`{option}`" for option in options if option not in hidden)
        expected.add((" ".join([*path, *arguments]), words, own, "yes" if formats else ""))

    rows = re.findall(
        r"^\| `(pq [^`]*)` \| (.*?) \| (.*?) \| ?(yes|) ?\|$", PAGE.partition("## Settings")[0], re.MULTILINE
    )
    assert {tuple(cell.strip() for cell in row) for row in rows} == expected


def test_every_setting_is_on_the_page_with_its_default():
    def settings(model, prefix=""):
        for name, field in model.model_fields.items():
            if isinstance(field.default, Providers):
                # All have the same fields, and one row each serves them all.
                yield from settings(Provider, f"{prefix}{name}.NAME.")
            elif isinstance(field.default, BaseModel):
                yield from settings(type(field.default), f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", field.get_default(call_default_factory=False)

    words = {"None": "none", "True": "true", "False": "false"}
    expected = {name: words.get(str(value), str(value).replace("'", '"')) for name, value in settings(Settings)}
    expected["data_dir"] = "the platform's"

    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \|", PAGE.partition("## Settings")[2], re.MULTILINE)
    assert {name: default.strip("`") for name, default in rows} == expected
