"""``verdicts.parquet``: the verdicts in canonical order, for pandas, duckdb and the hub viewer. Derived."""

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from micebench.store.journal import write_error

_ROW_GROUP = 8192
_REASON = 6


def write_parquet(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write the verdict lines, streamed, atomically. Equal lines give equal bytes.

    Raises:
        RunError: the disk is full or fails.
    """
    import pyarrow  # pyright: ignore[reportMissingTypeStubs]
    import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]

    pa: Any = pyarrow
    pq: Any = pyarrow.parquet
    text = pa.string()
    schema = pa.schema(
        {
            "session": text,
            "repeat": pa.int32(),
            "turn": pa.int32(),
            "metric": text,
            "status": text,
            "value": pa.float64(),
            "reason": text,
            "votes": pa.list_(pa.float64()),
            "edit": text,
            "key": text,
        }
    )
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    stream = iter(lines)
    try:
        try:
            with pq.ParquetWriter(beside, schema, compression="zstd") as writer:
                while rows := list(islice(stream, _ROW_GROUP)):
                    columns = [[row.get(name) for row in rows] for name in schema.names]
                    columns[_REASON] = [_printable(text or "") for text in columns[_REASON]]
                    arrays = [pa.array(cells, field.type) for cells, field in zip(columns, schema, strict=True)]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            os.replace(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise write_error(path, error) from error


def _printable(text: str) -> str:
    """A judge's words without lone surrogates, which no Arrow string can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
