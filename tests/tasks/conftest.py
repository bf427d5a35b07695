from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.hand_made import write_lines


@pytest.fixture
def mice_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write cu/test_metadata.jsonl from rows (dicts, or raw lines)."""

    def make(*rows: Any, track: str = "cu") -> Path:
        write_lines(tmp_path / track / "test_metadata.jsonl", list(rows))
        return tmp_path

    return make
