"""The leaderboard of many models: bytes by the model, and where the time goes.

    python benchmarks/leaderboard.py [--models 500] [--sessions 26] [--json FILE]

Runs four scripted editors on a small task, submits them, and copies the accepted results until there are as many
as asked for. Then the real `build_site` builds the site twice, once from a tenth of them. Ratios: CPU time per model
of the large board over the small one (1 = linear); shares of it that reading bundles, ranking and pages take;
bytes of the index and of a page by the model, and of the index as a server would compress it.
"""

import argparse
import gzip
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from micebench.engine.evaluate import evaluate
from micebench.leaderboard import site
from micebench.leaderboard.results import read_results
from micebench.submission import submit

TASK = "small"
MODELS = ("oracle", "clumsy", "drifting", "identity")


def accepted(home: Path, sessions: int) -> list[Path]:
    """Accepted results of the scripted editors, without asking the judge again."""
    card = home / "cards" / "tasks" / TASK / "task.yaml"
    card.parent.mkdir(parents=True)
    options = {
        "split": "test",
        "turns": 3,
        "counts": {"plain": sessions // 2, "cm": sessions - sessions // 2},
        "seed": 0,
    }
    fields = {"id": TASK, "description": "small", "domain": "mini", "turns": 3, "judge": "exact"}
    card.write_text(yaml.safe_dump(fields | {"loader": "mini", "options": options}))
    found: list[Path] = []
    for model in MODELS:
        run = evaluate(TASK, model, out=home / "runs" / model, cards=[home / "cards"])
        folder = home / "accepted" / model
        folder.mkdir(parents=True)
        bundle = folder / "bundle.zip"
        submit(run.path, name=model, contact="a@example.org", out=bundle, cards=[home / "cards"])
        (folder / "summary.json").write_text(json.dumps(run.summary()))
        said = {"format": 1, "name": model, "model": model, "task": TASK, "mark": "self-reported"}
        said["bundle_sha256"] = hashlib.sha256(bundle.read_bytes()).hexdigest()
        (folder / "verification.json").write_text(json.dumps(said))
        found.append(folder)
    return found


def copies(of: list[Path], results: Path, count: int) -> None:
    """`count` results under names of their own; bundles are hard links."""
    for number in range(count):
        source = of[number % len(of)]
        slug = f"{source.name}-{number:04d}"
        shutil.copytree(source, results / TASK / slug, copy_function=_link)
        path = results / TASK / slug / "verification.json"
        said = json.loads(path.read_text()) | {"slug": slug, "name": f"{source.name} {number}"}
        path.unlink()
        path.write_text(json.dumps(said))


def _link(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target


@contextmanager
def clock(spent: dict[str, float], name: str, target: str) -> Iterator[None]:
    """Add up the CPU seconds spent in a function of `site`."""
    real = getattr(site, target)

    def timed(*args: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return real(*args, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.process_time() - start

    with patch.object(site, target, timed):
        yield


def build(results: Path, out: Path) -> dict[str, float]:
    spent: dict[str, float] = {}
    start = time.process_time()
    with (
        clock(spent, "bundles", "read_evidence"),
        clock(spent, "ranks", "boards"),
        clock(spent, "pages", "model_page"),
        clock(spent, "pages", "gallery_markup"),
        clock(spent, "pages", "index_page"),
    ):
        site.build_site(read_results(results), out)
    return spent | {"all": time.process_time() - start}


def measure(models: int, sessions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        of = accepted(home, sessions)
        few = max(models // 10, len(of))
        copies(of, home / "few", few)
        copies(of, home / "many", models)
        small, large = build(home / "few", home / "site-few"), build(home / "many", home / "site-many")
        index = (home / "site-many" / "index.html").read_bytes()
        pages = [path.stat().st_size for path in (home / "site-many" / TASK).glob("*.html")]
        return {
            "models": models,
            "sessions": sessions,
            "cpu_seconds": round(large["all"], 1),
            "per_model_over_small": round(large["all"] / models / (small["all"] / few), 2),
            "shares": {name: round(large[name] / large["all"], 3) for name in ("bundles", "ranks", "pages")},
            "index_bytes": len(index),
            "index_bytes_per_model": round(len(index) / models),
            "index_gzip_bytes": len(gzip.compress(index)),
            "index_images": index.count(b"<img"),
            "page_bytes": round(sum(pages) / len(pages)),
            "files": len(pages) + 5,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=26, help="of the small task")
    parser.add_argument("--json")
    options = parser.parse_args()
    line = json.dumps(measure(options.models, options.sessions))
    print(line)
    if options.json:
        Path(options.json).write_text(line + "\n")


if __name__ == "__main__":
    main()
