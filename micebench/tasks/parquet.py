"""Parquet files a few rows at a time, with the images of HF datasets ({"bytes", "path"}) undecoded."""

from collections.abc import Iterator, Sequence
from typing import Any

from micebench.errors import DataError, nearest, one_line
from micebench.sessions import ImageFile
from micebench.tasks.rows import AnnotationFile

_ROWS_AT_ONCE = 8  # rows hold megabytes of image


def open_parquet(file: AnnotationFile, columns: Sequence[str]) -> Any:
    """A `pyarrow.parquet.ParquetFile` that has `columns`. Raises DataError naming file and column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file.path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{file.path}: not a readable parquet file ({one_line(error)})") from error
    known = parquet.schema_arrow.names
    for name in columns:
        if name not in known:
            raise DataError(f"{file.path}: no column {name!r}; {nearest(name, known)}")
    return parquet


def parquet_rows(file: AnnotationFile, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:row", values) for every row; rows are counted from 1."""
    import pyarrow as pa

    number = 0
    try:
        for batch in open_parquet(file, columns).iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(columns)):
            for row in batch.to_pylist():
                number += 1
                yield f"{file.name}:{number}", row
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{file.path}: unreadable after row {number} ({one_line(error)})") from error


def embedded_image(stored: Any, path: str) -> ImageFile:
    """An image of an HF dataset's column; `path` names it where the column does not."""
    if isinstance(stored, bytes):
        return ImageFile(path, data=stored)
    if not isinstance(stored, dict):
        return ImageFile(path)
    return ImageFile(stored.get("path") or path, data=stored.get("bytes"))
