"""Scikit-learn estimators from files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from transferset import StillhouseError, Task

from ._classes import shown
from ._said import said

_ZIP = b"PK\x03\x04"
_TRUST = "if you made the file, pass --trust-pickle (trust_pickle=True)"


def read_estimator(path: Path, trust_pickle: bool) -> tuple[Any, str | None]:
    """A fitted estimator, and with which version of scikit-learn it was fitted if with another.

    Raises:
        StillhouseError: no such file, one that cannot be read or must not be without leave, no fitted estimator.
    """
    if not path.is_file():
        raise StillhouseError(
            f"{path}: must be a file with an estimator, got {'a directory' if path.is_dir() else 'none'}"
        )
    with path.open("rb") as file:
        is_skops = path.suffix == ".skops" or file.read(4) == _ZIP
    if not is_skops and not trust_pickle:
        raise StillhouseError(
            f"{path}: must be a .skops file, got a pickle, which runs code as it is read: {_TRUST},"
            " or save it with skops"
        )
    # Scikit-learn warns of an estimator of another version as it makes it: the version goes into the cache's record.
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        estimator = _skops(path, trust_pickle) if is_skops else _pickle(path)
    versions = {str(getattr(each.message, "original_sklearn_version", "")) for each in warned} - {""}
    _check_fitted(path, estimator)
    return estimator, ", ".join(sorted(versions)) or None


def final_step(estimator: Any) -> Any:
    """The estimator itself: of a search its best, of a pipeline the last step."""
    while True:
        inner = getattr(estimator, "best_estimator_", None)
        if inner is None and getattr(estimator, "steps", None):
            inner = estimator.steps[-1][1]
        if inner is None:
            return estimator
        estimator = inner


def check_role(where: str, estimator: Any, task: Task) -> None:
    """Raises StillhouseError where a classifier is to give scores, or a regressor classes."""
    from sklearn.base import is_regressor

    name = type(final_step(estimator)).__name__
    if task.target == "regression":
        if not is_regressor(estimator):
            raise StillhouseError(f"{where}: must be a regressor for a regression task, got {name}")
    elif is_regressor(estimator) or not hasattr(estimator, "classes_"):
        raise StillhouseError(f"{where}: must be a classifier for a {task.target} task, got {name}")
    elif is_multilabel(estimator) and task.target == "classification":
        raise StillhouseError(f"{where}: must tell classes apart for a classification task, got a multi-label {name}")


def is_multilabel(estimator: Any) -> bool:
    """Whether it says by its attributes that it gives several labels a row; some that do have none to tell by."""
    return isinstance(estimator.classes_, list) or bool(getattr(final_step(estimator), "multilabel_", False))


def _skops(path: Path, trust: bool) -> Any:
    try:
        from skops.io import get_untrusted_types, load
    except ImportError:
        raise StillhouseError(
            f"{path}: skops must be installed to read it: run `pip install 'stillhouse[sklearn]'`"
        ) from None
    try:
        strange = get_untrusted_types(file=path)
        if not strange or trust:
            return load(path, trusted=strange)
    except Exception as error:
        raise _unreadable(path, error) from error
    raise StillhouseError(f"{path}: must have types that skops trusts, got {shown(strange)}: {_TRUST}")


def _pickle(path: Path) -> Any:
    import joblib

    try:
        return joblib.load(path)
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StillhouseError:
    return StillhouseError(f"{path}: must hold an estimator that can be read, got {said(error)}")


def _check_fitted(path: Path, estimator: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise StillhouseError(
            f"{path}: must hold a fitted estimator, got a {type(estimator).__name__} that is not fitted"
        ) from None
    except (TypeError, AttributeError):
        raise StillhouseError(f"{path}: must hold an estimator, got {type(estimator).__name__}") from None
