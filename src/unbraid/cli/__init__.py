"""The `unbraid` command: runs the command that the first word names. One file per command.

Only the standard library is imported before that, so `unbraid --help` answers at once.
"""

import importlib
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout

from unbraid import __version__
from unbraid.remarks import plain_remarks
from unbraid.streams import unbroken

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "demo": "train, score and picture a small model on built-in data: about five minutes",
    "train": "train a model from a recipe, or on your own data, and score it",
    "resume": "go on with a training that was stopped",
    "evaluate": "score a trained model, and write its pictures and its report again",
    "record": "append a scored run to the ledger of results, and write the pages of results",
    "encode": "write the static and dynamic codes of sequences to a file",
    "swap": "combine the static code of one sequence with the dynamics of another",
    "sample": "draw new sequences",
    "interpolate": "go from one sequence's static code to another's",
    "export": "write a model's encoder and decoder as files for other programs (ONNX, torch.export)",
    "push": "publish a model on the Hugging Face Hub",
    "report": "write reports again, or the pictures of several runs side by side",
    "page": "try trained models in the browser, with your own files too",
    "table": "train what a table of a paper needs, and print it beside the published scores",
    "search": "try settings of a recipe and keep those with the best validation score",
    "speed": "measure training and encoding beside what the machine can do",
    "data": "list, describe, fetch or prepare the data sets",
}

_ERROR = 2


def _help() -> str:
    lines = [f"  {name:<13}{text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unbraid COMMAND ...",
            "",
            "Split sequences into what stays and what changes.",
            "",
            "commands:",
            *lines,
            "",
            "`unbraid COMMAND --help` lists its options; `unbraid --version` prints the version.",
        ]
    )


def _run(arguments: list[str]) -> int:
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        from unbraid.words import nearest

        raise ValueError(f"no command is called {command!r}{nearest(command, COMMANDS)}")
    return importlib.import_module(f"unbraid.cli.{command}").main(rest) or 0


def _in_process() -> str:
    """Which of several processes this is, for messages of all but the first."""
    rank = os.environ.get("RANK", "0")
    return "" if rank == "0" else f" in process {rank}"


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 2 after a user's mistake; 130 after Ctrl-C, 143, 129 and 138 after SIGTERM, SIGHUP and SIGUSR1 (a training is saved first). When
    nobody reads the output any more, as after `| head`, the command goes on without output. A user's mistake is reported in one line; `UNBRAID_DEBUG=1` shows where it was raised.

    Args:
        argv: the words after `unbraid`; by default those of the process.
    """
    with redirect_stdout(unbroken(sys.stdout)), redirect_stderr(unbroken(sys.stderr)), plain_remarks():
        code = _run_and_report(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    return code


def _run_and_report(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"unbraid {__version__}")
        return 0
    try:
        return _run(arguments)
    except (ValueError, OSError, ImportError) as error:  # ImportError: an extra that is not installed
        if os.environ.get("UNBRAID_DEBUG"):
            raise
        print(f"unbraid: error{_in_process()}: {error}", file=sys.stderr)
        return _ERROR
    except KeyboardInterrupt as stop:
        print("unbraid: stopped", file=sys.stderr)
        return 128 + getattr(stop, "signal_number", signal.SIGINT)
