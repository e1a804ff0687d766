"""What the stages hand to one another: tasks, tables, content keys, crash-safe Parquet."""

from .errors import StillhouseError, unknown
from .keys import Keys, KeySet, content_keys, find_keys, keys_from_arrow, keys_to_arrow, sort_keys
from .logit_cache import LogitCache
from .sources import Source
from .store import Part, Store
from .tables import feature_types, read_rows
from .task import Task
from .transfer_set import TransferSet

__all__ = [
    "KeySet",
    "Keys",
    "LogitCache",
    "Part",
    "Source",
    "StillhouseError",
    "Store",
    "Task",
    "TransferSet",
    "content_keys",
    "feature_types",
    "find_keys",
    "keys_from_arrow",
    "keys_to_arrow",
    "read_rows",
    "sort_keys",
    "unknown",
]
