"""The command line: one file per verb; heavy imports live inside the verbs."""

import sys

import typer


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
    """Entry point: an error a user can mend is one line on stderr, never a traceback."""
    from micebench.errors import MicebenchError, printable

    sys.unraisablehook = _interrupt_again
    try:
        build_app()()
    except MicebenchError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(130)
