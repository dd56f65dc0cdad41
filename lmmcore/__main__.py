"""The command line: ``lmmcore fit FORMULA DATA`` and ``lmmcore plugins``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from . import datasets
from .api import mixedlm
from .errors import LmmcoreError, LmmcoreWarning
from .fitting.options import DEFAULT_METHOD
from .plugin_host.manager import plugins
from .tables import read_table
from .version import __version__

# What messages call an argument, and how it is spelled here.
_FLAGS = {
    "missing='drop'": "--missing drop",
    "groups='g'": "--groups g",
    "groups=": "--groups",
    "re_formula=": "--re-formula",
    "weights=": "--weights",
    "method=": "--method ",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lmmcore: {message}; see {self.prog} --help\n")


def level(text: str) -> float:
    """Return the level of intervals, a number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if 0.0 < value < 1.0:
        return value
    hint = f", such as {value / 100:g} for {value:g} percent" if 50.0 <= value < 100.0 else ""
    raise argparse.ArgumentTypeError(f"{text!r}; expected a number between 0 and 1{hint}")


def fit(args: argparse.Namespace) -> None:
    """Fit a model and print its summary."""
    missing = {} if args.missing is None else {"missing": args.missing}
    model = mixedlm(
        args.formula, read_table(args.data), weights=args.weights, groups=args.groups,
        re_formula=args.re_formula, **missing,
    )  # fmt: skip
    print(model.fit(reml=not args.ml, method=args.method).summary(alpha=1 - args.level))


def list_plugins(args: argparse.Namespace) -> None:
    """Print the installed plugins."""
    found = plugins()
    wide = max(len(p.name) for p in found)
    for p in found:
        print(f"{p.kind:11} {p.name:{wide}} {p.distribution} {p.version}  {p.help}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = _Parser(prog="lmmcore", description="Linear mixed-effects models.")
    top.add_argument("--version", action="version", version=f"lmmcore {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("fit", help="fit a model and print the summary")
    one.add_argument("formula", help="such as 'Reaction ~ Days + (Days | Subject)'")
    one.add_argument("data", help="a CSV or Parquet file, or " + ", ".join(datasets.names()))
    one.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    one.add_argument(
        "--missing", choices=("drop", "raise"), default="drop",
        help="leave out rows with missing values (default), or stop with an error",
    )  # fmt: skip
    one.add_argument("--weights", metavar="COLUMN", help="column of prior weights")
    one.add_argument(
        "--groups", metavar="COLUMN", help="grouping column, for a formula without bars"
    )
    one.add_argument(
        "--re-formula", metavar="TERMS", help="random-effects terms, for use with --groups"
    )
    one.add_argument("--method", default=DEFAULT_METHOD, help="optimizer (see: lmmcore plugins)")
    one.add_argument("--level", type=level, default=0.95, help="level of the intervals (0.95)")
    one.set_defaults(run=fit)
    listing = commands.add_parser(
        "plugins", help="list optimizers, covariance structures and penalties"
    )
    listing.set_defaults(run=list_plugins)
    return top


def _one_line(message: object) -> str:
    """Return a message in one line, with arguments spelled as on the command line."""
    text = " ".join(str(message).split())
    for argument, flag in _FLAGS.items():
        text = text.replace(argument, flag)
    return text


def _showing(otherwise: Callable[..., None]) -> Callable[..., None]:
    """Return what shows warnings: those of lmmcore as one line."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, LmmcoreWarning):
            print(f"lmmcore: warning: {_one_line(message)}", file=sys.stderr)
        else:
            otherwise(message, category, *place, **more)

    return show


def main(argv: list[str] | None = None) -> int:
    """Run the command line; errors of lmmcore are one line on stderr and exit status 2."""
    args = parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _showing(warnings.showwarning)
            args.run(args)
    except LmmcoreError as exc:
        print(f"lmmcore: {_one_line(exc)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output went away
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
