"""Sessions in an Arrow file, memory-mapped as a `datasets.Dataset`, and back."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from micebench.errors import DataError, one_line, remedy
from micebench.sessions import Session, features, from_row, to_row
from micebench.utils.scratch import scratch_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

_ROWS = 256
_BYTES = 16 * 2**20
"""A batch ends at this many rows or bytes, so that memory stays flat however long a task is."""


def build_dataset(sessions: Iterable[Session]) -> "Dataset":
    """Stream sessions into a fresh Arrow file and map it.

    Nothing is cached between calls or processes: the file lives in a temporary folder that goes with this
    process, so a changed adapter, card or data file can never yield an old dataset.
    """
    from datasets import Dataset, DatasetInfo
    from datasets.table import MemoryMappedTable

    handle, name = tempfile.mkstemp(suffix=".arrow", dir=scratch_folder())
    try:
        with os.fdopen(handle, "wb") as file:
            _write(sessions, file)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            way = f"{remedy(error)}, or set TMPDIR to a folder with room for the sessions"
            raise DataError(f"{name}: {error.strerror}; {way}") from error
        raise
    table = MemoryMappedTable.from_file(name)
    return Dataset(table, info=DatasetInfo(features=features()), fingerprint=_file_hash(Path(name))[:16])


def iter_sessions(dataset: "Dataset") -> Iterator[Session]:
    """Sessions of a dataset of the `features()` schema, in its order (selected and shuffled rows included).

    Streams undecoded rows: memory is bounded by a batch, and no image is opened.
    """
    missing = sorted(set(features()) - set(dataset.column_names))
    if missing:
        raise DataError(
            f"the dataset has no column {', '.join(missing)}; it needs those of micebench.sessions.features()"
        )
    count = len(dataset)
    if not count:
        return
    mean_bytes = max(1, dataset.data.nbytes // max(1, dataset.data.num_rows))
    batch_size = max(1, min(_ROWS, _BYTES // mean_bytes))
    for batch in dataset.with_format("arrow").iter(batch_size=batch_size):
        for row in cast("pa.Table", batch).to_pylist():
            yield from_row(row)


def _write(sessions: Iterable[Session], file: Any) -> None:
    import pyarrow as pa

    schema = features().arrow_schema
    rows: list[dict[str, Any]] = []
    held = 0
    with pa.ipc.new_stream(file, schema) as writer:

        def flush() -> None:
            try:
                table = pa.Table.from_pylist(rows, schema=schema)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                raise _not_storable(rows, schema) from error
            writer.write_table(table)
            rows.clear()

        for session in sessions:
            rows.append(to_row(session))
            held += _weight(session)
            if len(rows) >= _ROWS or held >= _BYTES:
                flush()
                held = 0
        if rows:
            flush()


def _not_storable(rows: list[dict[str, Any]], schema: "pa.Schema") -> DataError:
    """The first of the rows that does not fit the schema, and which value of it."""
    import pyarrow as pa

    for row in rows:
        for name, value in row.items():
            try:
                pa.array([value], type=schema.field(name).type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                where = row["provenance"] or f"session {row['id']!r}"
                return DataError(f"{where}: {name} cannot be stored ({one_line(error, 200)})")
    return DataError("a batch of sessions cannot be stored")


def _weight(session: Session) -> int:
    images = [
        session.image,
        *(image for turn in session.turns for image in (turn.target_image, turn.mask_image)),
    ]
    return sum(len(image.data) for image in images if image is not None and image.data is not None)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
