"""What the stages hand to one another: tasks, tables, content keys, crash-safe Parquet."""

from ._mean import Mean
from ._records import Part
from ._signals import Matrix, Signal
from .ensemble import Ensemble, Member, open_cache
from .errors import StillhouseError, unknown
from .join import Joined, join
from .keys import Keys, KeySet, content_keys, find_keys, keys_from_arrow, keys_to_arrow, sort_keys
from .logit_cache import LogitCache
from .sources import Source
from .store import Store
from .tables import feature_types, read_rows
from .task import Task
from .transfer_set import TransferSet

__all__ = [
    "Ensemble",
    "Joined",
    "KeySet",
    "Keys",
    "LogitCache",
    "Matrix",
    "Mean",
    "Member",
    "Part",
    "Signal",
    "Source",
    "StillhouseError",
    "Store",
    "Task",
    "TransferSet",
    "content_keys",
    "feature_types",
    "find_keys",
    "join",
    "keys_from_arrow",
    "keys_to_arrow",
    "open_cache",
    "read_rows",
    "sort_keys",
    "unknown",
]
