"""Time to `micebench --help` over the time to import typer, which it cannot do without.

    python benchmarks/startup.py [--rounds 15]

The two commands alternate; medians are compared. Also checks that no heavy library was imported.
Prints one JSON line; `ratio` is the number to watch (goal: <= 1.5).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

HELP = "from micebench.cli import main; import sys; sys.argv = ['micebench', '--help']; main()"
TYPER = "import typer"
HEAVY = ("torch", "datasets", "pandas", "scipy", "numpy", "pyarrow", "PIL", "matplotlib", "yaml")
LIST = f"""
import sys
sys.argv = ["micebench", "--help"]
from micebench.cli import main
try:
    main()
except SystemExit:
    pass
print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


def seconds(code: str) -> float:
    """Wall time of a fresh interpreter that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    seconds(HELP), seconds(TYPER)  # warm the file cache
    helps, typers = [], []
    for _ in range(options.rounds):
        helps.append(seconds(HELP))
        typers.append(seconds(TYPER))
    listed = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True)
    heavy = listed.stderr.split()
    result = {
        "benchmark": "startup",
        "ratio": round(statistics.median(helps) / statistics.median(typers), 3),
        "help_ms": round(1000 * statistics.median(helps), 1),
        "import_typer_ms": round(1000 * statistics.median(typers), 1),
        "rounds": options.rounds,
        "heavy_imports": heavy,
    }
    print(json.dumps(result))
    if heavy:
        sys.exit(f"`micebench --help` imports {', '.join(heavy)}")


if __name__ == "__main__":
    main()
