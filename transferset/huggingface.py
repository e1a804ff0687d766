"""Data sets of the library ``datasets``: of the hub, of a folder, saved to disk, in memory, or streaming.

Class numbers become the names of their classes, and -1, which stands for no label, becomes null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128

from .errors import StillhouseError, unknown

#: OWNER/NAME, OWNER/NAME/CONFIGURATION, NAME:SPLIT, ...
_HUB_NAME = re.compile(r"(?=.*[/:])\w[\w.-]*(/\w[\w.-]*){0,2}(:[\w.]+)?")
#: Where the hub has what people call ``glue/TASK``.
_GLUE = "nyu-mll/glue"
#: What ``datasets`` writes beside a data set that is saved to disk.
_SAVED = ("dataset_dict.json", "state.json")
_READABLE = "a data set that can be read to its end"
_SPLITS = {"train", "training", "validation", "valid", "dev", "eval", "test", "testing"}


def is_set(data: Any) -> bool:
    """Whether something is a data set of the library, or a dict of its splits; the library is not loaded for it."""
    return type(data).__module__.partition(".")[0] == "datasets" and hasattr(data, "column_names")


def names_set(path: Path, endings: Sequence[str] = ()) -> bool:
    """Whether a path is one that ``load_set`` reads: a folder of other files than Parquet, or a name of the hub.

    A folder of Parquet files counts as one if their names say that they are different splits. What has one of the
    ``endings`` is a file, be it there or not.

    >>> names_set(Path("glue/sst2")), names_set(Path("imdb:train")), names_set(Path("/no/file")), names_set(Path("x"))
    (True, True, False, False)
    """
    if path.is_dir():
        splits = {file.stem.partition("-")[0] for file in path.glob("*.parquet")}
        return not splits or len(splits & _SPLITS) > 1
    if path.exists() or path.suffix.lower() in endings:
        return False
    return _folder(path) is not None or _HUB_NAME.fullmatch(str(path)) is not None


def load_set(name: str, split: str | None = None) -> Any:
    """One split of a data set: of a folder (of files, or ``save_to_disk``'s), or of the hub.

    ``name`` may end in ``:SPLIT``; where it does not, the split is ``split``, or the only one that there is.

    Raises:
        StillhouseError: there is no such data set or split, several splits and none named, no answer from the hub, or
            the library is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise StillhouseError(
            f"{name}: must be a file, or a data set that the library datasets reads, got no such library:"
            " run `pip install 'stillhouse[hub]'`"
        ) from None
    path = Path(name)
    folder = path if path.is_dir() else _folder(path)
    named = name.rpartition(":")[2] if folder != path and ":" in name else None
    if folder is None:
        with _one_line(
            name, "a file, a folder, or a data set of the Hugging Face hub, got nothing there and of the hub"
        ):
            found = datasets.load_dataset(*hub_name(name))
    else:
        saved = any((folder / file).is_file() for file in _SAVED)
        with _one_line(name, "a folder of Parquet, or of a data set that the library datasets reads, which says"):
            found = datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(str(folder))
    return _without_placeholders(one_split(found, name, named, split), name, named or split)


def hub_name(name: str) -> tuple[str, ...]:
    """The repository, and the configuration if one is named.

    >>> hub_name("glue/sst2:train"), hub_name("stanfordnlp/imdb"), hub_name("cardiffnlp/tweet_eval/irony")
    (('nyu-mll/glue', 'sst2'), ('stanfordnlp/imdb',), ('cardiffnlp/tweet_eval', 'irony'))
    """
    parts = name.partition(":")[0].split("/")
    if parts[0] == "glue" and len(parts) == 2:
        return _GLUE, parts[1]
    return ("/".join(parts[:2]), *parts[2:])


def one_split(data: Any, where: str, named: str | None = None, usual: str | None = None) -> Any:
    """The split that is named, else the usual one, else the only one; a data set without splits as it is.

    Raises:
        StillhouseError: no such split, or several and none named.
    """
    if not isinstance(data, dict):
        if named is not None:
            raise StillhouseError(f"{where}: must have splits to name one, got a data set without")
        return data
    if named is not None and named not in data:
        raise unknown(f"{where}: split", named, map(str, data))
    if named is None and usual not in data and len(data) > 1:
        first = next(iter(data))
        raise StillhouseError(
            f"{where}: must be given with its split, one of {', '.join(map(str, data))}, got none: say {where}:{first}"
        )
    return data[named if named is not None else usual if usual in data else next(iter(data))]


def column_names(data: Any, where: str) -> list[str]:
    """The columns of a data set; of a stream that does not know them, those of its first row."""
    if data.column_names is not None:
        return list(data.column_names)
    with _one_line(where, _READABLE):
        return list(next(iter(data), {}))


def class_names(data: Any, column: str) -> tuple[str, ...]:
    """The names of the classes of a column of class numbers, or of lists of them; none of any other column."""
    feature = (data.features or {}).get(column)
    inner = getattr(feature, "feature", feature)
    return tuple(getattr(inner, "names", None) or ())


def batches_of(data: Any, columns: Sequence[str], rows: int, where: str) -> Iterator[pa.RecordBatch]:
    """The wanted columns, at most ``rows`` rows at a time."""
    named = {column: class_names(data, column) for column in columns}
    with _one_line(where, _READABLE):
        for table in data.select_columns(list(columns)).with_format("arrow").iter(batch_size=rows):
            found = {name: _named(table[name], named[name]) if named[name] else table[name] for name in columns}
            yield from pa.table(found).combine_chunks().to_batches(max_chunksize=rows)


def table_of(data: Any, where: str) -> pa.Table:
    """All rows and columns, held in memory."""
    names = column_names(data, where)
    return pa.Table.from_batches(batches_of(data, names, 8192, where)) if len(names) else pa.table({})


def hash_of(data: Any, where: str) -> str:
    """A hash of all rows."""
    digest = xxh3_128()
    for batch in batches_of(data, column_names(data, where), 1024, where):
        for row in batch.to_pylist():
            digest.update(repr(row).encode())
    return digest.hexdigest()


def _folder(path: Path) -> Path | None:
    """The folder of ``FOLDER:SPLIT``."""
    name, colon, _ = str(path).rpartition(":")
    return Path(name) if colon and Path(name).is_dir() else None


def _named(codes: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    if not pa.types.is_integer(codes.type):
        lists = [None if row is None else [names[code] for code in row] for row in codes.to_pylist()]
        return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
    known = pc.if_else(pc.less(codes, 0), pa.scalar(None, codes.type), codes)
    return pa.chunked_array([pa.array(names, pa.string()).take(known.combine_chunks())])


def _without_placeholders(data: Any, name: str, split: str | None) -> Any:
    """GLUE keeps the labels of its test rows to itself: that column holds -1, which would pass for a score."""
    hidden = hub_name(name)[0] == _GLUE and str(split).startswith("test") and "label" in data.column_names
    return data.remove_columns("label") if hidden else data


@contextmanager
def _one_line(where: str, wanted: str) -> Iterator[None]:
    try:
        yield
    except StillhouseError:
        raise
    except Exception as error:  # the library, and what it reads and downloads with, have no narrower kind in common
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StillhouseError(f"{where}: must be {wanted}: {reason}") from error
