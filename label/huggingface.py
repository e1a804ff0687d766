"""A Hugging Face sequence classifier as the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from transferset import Signal, StillhouseError, Task

from ._classes import match_classes
from ._options import check_options
from .teacher import Request

if TYPE_CHECKING:
    from ._loaded import LoadedTransformer, Reading


@dataclass(frozen=True)
class Huggingface:
    """A fine-tuned model of any architecture and its tokenizer, for texts or pairs; always in eval mode.

    Gives logits for one label, several, or a score, and in the same pass ``embedding``, the mean of the last hidden
    states over the tokens (or that of [CLS]), and ``hidden``, the [CLS] vectors of some layers (BERT-PKD, arXiv
    1908.09355, section 3.2).

    Raises:
        StillhouseError: a value out of range.
    """

    gives: ClassVar[tuple[Signal, ...]] = ("logits", "embedding", "hidden")

    name: Annotated[str, "directory or hub name"]
    max_length: Annotated[int | None, "most tokens of a row; by default as many as the teacher takes"] = None
    dtype: Annotated[str, "precision: auto, float32, bfloat16, onnx (float32 in ONNX Runtime) or int8"] = "auto"
    batch_tokens: Annotated[int | None, "tokens in a forward pass, by default 1024, on a GPU 32768"] = None
    pooling: Annotated[str, "what makes the embedding of a text: mean of its tokens, or cls"] = "mean"
    hidden_layers: Annotated[str, "layers whose [CLS] vectors hidden holds: all, or numbers such as 2,4,6"] = "all"

    def __post_init__(self) -> None:
        check_options(self)

    def load(self, request: Request) -> LoadedTransformer:
        """The model; classes are matched by name, or by order where it has only default names (``LABEL_0``)."""
        from ._loaded import Kind, load_transformer

        kind = Kind("AutoModelForSequenceClassification", "a sequence-classification model", self._read)
        return load_transformer(self, request, kind)

    def _read(self, tokenizer: Any, model: Any, request: Request) -> Reading:
        from ._loaded import reading

        classes = _classes(self.name, model.config, request.task)
        return reading(model, request, classes, self.pooling, layers=self.hidden_layers)


def _classes(name: str, config: Any, task: Task) -> tuple[str, ...]:
    """The task's classes in the order of a model's logits; empty for a score."""
    count = config.num_labels
    names = [str(config.id2label[number]) for number in range(count)]
    if task.target == "regression":
        if count != 1:
            raise StillhouseError(f"{name}: must give 1 score for regression, got {count} classes")
        return ()
    default = names == [f"LABEL_{number}" for number in range(count)]
    return task.classes if default and count == len(task.classes) else match_classes(name, names, task.classes)
