"""The `pq` command: its subcommands are imported when they are called, so that it answers quickly."""

import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final

import click

from market.errors import DeskError

COMMANDS: Final = {
    "up": "running",
    "down": "running",
    "status": "status",
    "subscribe": "symbols",
    "unsubscribe": "symbols",
    "symbols": "registry",
    "quotes": "quotes",
    "bars": "bars",
    "chart": "chart",
    "ticks": "ticks",
    "replay": "replay",
    "verify": "verify",
    "rebuild": "verify",
    "gaps": "ledger",
    "rejects": "ledger",
    "heal": "heal",
    "reconcile": "reconcile",
    "export": "export",
    "import": "importing",
    "sync": "sync",
    "backfill": "backfill",
    "coverage": "coverage",
    "archive": "archive",
    "providers": "providers",
    "quota": "providers",
    "actions": "actions",
    "backup": "backup",
    "backups": "backup",
    "restore": "backup",
    "drill": "backup",
    "strategies": "strategies",
    "backtest": "backtest",
    "sweep": "sweep",
    "report": "backtest",
    "paper": "paper",
    "parity": "parity",
    "alert": "alert",
}
"""Module under `pocketquant.commands` by command, in the order of the help."""

DONE: Final = 0
TROUBLE: Final = 1
WRONG_USE: Final = 2


class Desk(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # Click's signature.
        """Names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        # `import` is a word of Python's own, and cannot be the name of a function.
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        found: click.Command = getattr(importlib.import_module(f"pocketquant.commands.{module}"), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which is close."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the commands are {' '.join(COMMANDS)}"
            msg = f"no command {args[0]!r}: {hint}"
            raise click.UsageError(msg, ctx) from error


@click.group(cls=Desk, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pocketquant", prog_name="pq")
def pq() -> None:
    """PocketQuant: live ticks become bars that a trader can trust.

    \b
    Examples:
      pq up                                   start the desk and watch it
      pq bars SIM:BTCUSD 1m                   the newest bars
      pq replay ticks.csv --symbol KRAKEN:BTCUSD --data-dir hour
    """  # noqa: D301  # \b is Click's sign for lines to be left as they are.


def main() -> None:
    """Run `pq` as a process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever goes wrong is one line on standard error."""
    meta: dict[str, Any] = {}
    try:
        with pq.make_context("pq", list(arguments)) as context:
            meta = context.meta
            code = pq.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as wanted:
        click.echo(wanted.format_message(), err=True)
        return WRONG_USE
    except click.ClickException as error:
        return _complain(error)
    except DeskError as error:
        return _fail(f"pq: {_one_line(error)}", TROUBLE)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader of our output has seen enough; Python must not find the pipe broken again at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # noqa: BLE001  # The last resort: a user gets one line, the log the traceback.
        where = _write_traceback(meta.get("pocketquant.data_dir"), arguments)
        text = f"pq: unexpected {type(error).__name__}: {_one_line(error)}; {where}"
        return _fail(text, TROUBLE)
    return code if isinstance(code, int) else DONE


def _complain(error: click.ClickException) -> int:
    """One line for wrong use."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "pq"
    return _fail(f"{path}: {_one_line(error.format_message())} (see `{path} --help`)", WRONG_USE)


def _fail(text: str, code: int) -> int:
    click.echo(_redacted(text), err=True)
    return code


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _redacted(text: str) -> str:
    """Addresses with passwords may stand in errors of drivers; a screen is a log too."""
    if "://" not in text and "=" not in text:
        return text
    from infra.logs import Redaction

    return Redaction().text(text)


def _write_traceback(data_dir: Path | None, arguments: Sequence[str]) -> str:
    """Append the traceback in hand to the log; the words that say where it went."""
    from infra.folders import Folders
    from infra.logs import configure, logger

    logs = Folders(data_dir).logs if data_dir is not None else None
    folder = logs if logs is not None and logs.is_dir() else Path(tempfile.gettempdir())
    path = folder / "pq.log"
    try:
        configure("pq", path)
        logger().exception("unexpected", arguments=list(arguments))
    except (DeskError, OSError):
        return f"its traceback ends with {traceback.format_exc().strip().splitlines()[-2].strip()}"
    return f"the traceback is in {path}"
