"""The command line: one file per verb; heavy imports live inside the verbs."""

import errno
import os
import sys
from contextlib import suppress

import typer

_UNWRITABLE = {errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.ECONNRESET}
_PATH_ERRORS = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
"""Of a path that the user gave; other failures of the system are ours to explain."""


def build_app() -> typer.Typer:
    """The typer app with every verb."""
    from micebench.cli.calibrate import calibrate
    from micebench.cli.check import check
    from micebench.cli.compare import compare
    from micebench.cli.golden import golden
    from micebench.cli.judge import judge
    from micebench.cli.leaderboard import leaderboard
    from micebench.cli.list import list_cards
    from micebench.cli.plan import plan
    from micebench.cli.publish import publish
    from micebench.cli.report import report
    from micebench.cli.review import review
    from micebench.cli.run import run
    from micebench.cli.submit import submit
    from micebench.cli.train import train
    from micebench.cli.verify import verify
    from micebench.cli.watch import watch

    app = typer.Typer(
        name="micebench",
        help="Evaluate multi-turn image editing: sessions in, trustworthy numbers out.",
        epilog="Start with: micebench run --model oracle",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # importing rich would more than double the time to the first line of help
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_version)
    app.command("run")(run)
    app.command("judge")(judge)
    app.command("plan")(plan)
    app.command("report")(report)
    app.command("compare")(compare)
    app.command("calibrate")(calibrate)
    app.command("review")(review)
    app.command("golden")(golden)
    app.command("check")(check)
    app.command("list")(list_cards)
    app.command("train")(train)
    app.command("watch")(watch)
    app.command("publish")(publish)
    app.command("submit")(submit)
    app.command("verify")(verify)
    app.add_typer(leaderboard, name="leaderboard")
    return app


def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from micebench import __version__

        typer.echo(f"micebench {__version__}")
        raise typer.Exit


def _interrupt_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Ctrl-C that hits a destructor or a weak reference's callback is ignored by Python: deliver it once more."""
    if unraisable.exc_type is KeyboardInterrupt:
        import _thread
        from threading import Timer

        Timer(0.05, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def main() -> None:
    """Entry point: an error that a user can fix is one line on stderr, never a traceback."""
    sys.unraisablehook = _interrupt_again
    with suppress(AttributeError):  # a stream that is no text file
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(_written(_run()))


def _run() -> int | str | None:
    """Run the command; its exit code."""
    from micebench.errors import MicebenchError

    try:
        build_app()()
    except SystemExit as end:
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):  # typer ends without a word
            return _interrupted()
        return end.code
    except MicebenchError as error:
        return _failed(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _interrupted()
    except OSError as error:
        if error.filename is not None and error.errno in _PATH_ERRORS:
            return _failed(f"{error.filename}: {error.strerror}")
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        return _lost(error)
    return 0


def _written(code: int | str | None) -> int | str | None:
    """The exit code, once standard output has been written to its end; 1 if it cannot be."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        return _lost(error)
    return code


def _lost(error: OSError) -> int:
    """Standard output takes no more. A reader that has gone (``| head``) needs no words."""
    from micebench.errors import remedy

    if error.errno != errno.EPIPE:
        _complain(f"error: standard output cannot be written: {error.strerror or error}; {remedy(error)}")
    for stream in (sys.stdout, sys.stderr):
        try:  # what is still buffered would raise again when Python ends
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return 1


def _failed(reason: str, code: int = 1) -> int:
    from micebench.errors import printable

    _complain(f"error: {printable(reason)}")
    return code


def _interrupted() -> int:
    _complain("interrupted; run the same command again to resume")
    return 130


def _complain(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
