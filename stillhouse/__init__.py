"""The face of Stillhouse: its command line, the quickstart, and students as estimators of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .estimator import StudentClassifier, StudentRegressor

__version__ = "0.1.0"
__all__ = ["StudentClassifier", "StudentRegressor", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'stillhouse' has no attribute {name!r}")
    # Loaded when it is asked for: `stillhouse --help` must not wait for torch.
    from . import estimator

    return getattr(estimator, name)
