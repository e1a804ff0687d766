"""A whole chain from one TOML file, of which only what changed is made again."""

from ._work import Step
from .chain import Pipeline, load_pipeline, plan, run

__all__ = ["Pipeline", "Step", "load_pipeline", "plan", "run"]
