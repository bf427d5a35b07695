"""``micebench leaderboard``: accepted results as a site, as a table, and on the hub."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    SPACE = "space"
    DATASET = "dataset"


Folder = Annotated[Path, typer.Argument(help="Folder with TASK/SLUG/verification.json.", metavar="RESULTS")]
leaderboard = typer.Typer(
    help="Publish accepted results: a static site, a table, a repository on the hub.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@leaderboard.command("build")
def build(
    results: Folder = Path("results"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")] = Path("site"),
) -> None:
    """Build the static site: a table per task, a page per model.

    Accepted results come from `micebench verify BUNDLE --accept RESULTS`, reported ones from
    RESULTS/TASK/reported.yaml. Equal results give equal bytes.

    Examples:

      micebench leaderboard build results/ --out site/

      python -m http.server --directory site/
    """
    from micebench.leaderboard.results import read_results
    from micebench.leaderboard.site import build_site

    found = read_results(results)
    built = build_site(found, out)
    for folder in found.left_out:
        typer.echo(f"left out: {folder} has no verification.json", err=True)
    typer.echo(f"{out / 'index.html'}: {built.models} submitted, {built.reported} reported")


@leaderboard.command("table")
def table(
    results: Folder = Path("results"),
    task: Annotated[str, typer.Option("--task", "-t", help="Task of the table.")] = "mice-mini",
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Put it between the markers in this file.")
    ] = None,
) -> None:
    """Print the table of a task as Markdown, or write it into a README.

    The markers are <!-- leaderboard:TASK --> and <!-- /leaderboard:TASK -->, on lines of their own.

    Examples:

      micebench leaderboard table --task mice-mini

      micebench leaderboard table --task mice-mini --write README.md
    """
    from micebench.errors import DataError
    from micebench.leaderboard.markdown import markdown, write_into
    from micebench.leaderboard.results import read_results
    from micebench.leaderboard.site import ranked

    text = markdown(task, ranked(read_results(results, task)))
    if not text:
        raise DataError(f"{results}: no accepted result on task {task!r}; accept one with `micebench verify`")
    if write is None:
        typer.echo(text)
    else:
        typer.echo(f"{write}: {'updated' if write_into(write, task, text) else 'up to date'}")


@leaderboard.command("push")
def push(
    site: Annotated[Path, typer.Argument(help="Site made by `micebench leaderboard build`.", metavar="SITE")],
    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="Repository; made if need be.")],
    kind: Annotated[Kind, typer.Option("--type", help="Static Space, or plain files.")] = Kind.SPACE,
    private: Annotated[bool, typer.Option("--private", help="If it is made, only for you to see.")] = False,
) -> None:
    """Publish a built site on the Hugging Face hub, in one commit.

    The token is the one of `hf auth login`, or HF_TOKEN; it needs the right to write.

    Examples:

      micebench leaderboard push site/ --repo OWNER/leaderboard

      micebench leaderboard push site/ --repo OWNER/leaderboard --type dataset --private
    """
    from micebench.leaderboard.push import push as upload

    typer.echo(upload(site, repo, kind=kind.value, private=private))
