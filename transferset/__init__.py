"""What the stages hand to one another: tasks, tables, content keys, crash-safe Parquet."""

from .errors import StillhouseError, unknown
from .keys import Keys, KeySet, content_keys, keys_from_arrow, keys_to_arrow
from .sources import Source
from .store import Part, Store
from .tables import feature_types, read_rows
from .task import Task

__all__ = [
    "KeySet",
    "Keys",
    "Part",
    "Source",
    "StillhouseError",
    "Store",
    "Task",
    "content_keys",
    "feature_types",
    "keys_from_arrow",
    "keys_to_arrow",
    "read_rows",
    "unknown",
]
