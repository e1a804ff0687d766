"""Fine-tuning with the Trainer of transformers: quiet, resumable, and without a trace in the global generators."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from tqdm import tqdm

from students.metrics import main_metric, scores
from transferset import StillhouseError, Task
from transferset.pretrained import best_dtype, longest_input

from ._labelled import Examples

if TYPE_CHECKING:
    from .teach import Teaching

#: A run that is killed loses at most so much.
_SECONDS_BETWEEN_CHECKPOINTS = 120.0
_KINDS = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}


def fine_tune(
    folder: Path,
    examples: Examples,
    watched: Examples | None,
    teaching: Teaching,
    seed: int,
    work: Path,
    progress: bool,
) -> tuple[list[dict[str, float]], int]:
    """Fine-tunes the model in ``folder``, from its last checkpoint in ``work`` if there is one, into ``work/whole``.

    Gives the metrics of each epoch on the rows that are watched, and the epoch that was kept.
    """
    with _own_generators():
        torch.manual_seed(seed)
        tokenizer, model = _load(folder, examples.task)
        max_length = _max_length(teaching.max_length, tokenizer, model, examples.task)
        trainer = transformers.Trainer(
            model,
            _arguments(teaching, seed, work, watched, examples.task),
            transformers.DataCollatorWithPadding(tokenizer),
            _encoded(examples, tokenizer, max_length),
            _encoded(watched, tokenizer, max_length) if watched is not None else None,
            compute_metrics=_metrics(examples.task),
            callbacks=[_Watch(len(examples), teaching, progress)],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train(resume_from_checkpoint=_last_checkpoint(work))
    if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
        raise StillhouseError(
            f"teach: weights must stay finite, got others: try a --learning-rate below {teaching.learning_rate:g}"
        )
    shutil.rmtree(work / "whole", ignore_errors=True)
    model.save_pretrained(work / "whole")
    tokenizer.save_pretrained(work / "whole")
    history = [_dev_metrics(each) for each in trainer.state.log_history if "eval_loss" in each]
    steps = -(-len(examples) // teaching.batch_size)
    best = round(trainer.state.best_global_step / steps) if history else teaching.epochs
    return history, best


@contextmanager
def _own_generators() -> Iterator[None]:
    """The Trainer seeds the generators of Python, numpy and torch; afterwards they are as they were."""
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is these that are seeded
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)  # noqa: NPY002


def _load(folder: Path, task: Task) -> tuple[Any, Any]:
    """A tokenizer, and a classifier of the task's classes, whose head is drawn anew unless it has as many outputs."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = {"id2label": dict(enumerate(task.classes)), "label2id": {name: n for n, name in enumerate(task.classes)}}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model, loaded = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=torch.float32,
            num_labels=task.outputs,
            problem_type=_KINDS[task.target],
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **(names if task.classes else {}),
        )
    except Exception as error:  # each architecture has its own
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StillhouseError(
            f"{folder}: must be a pretrained model that can classify texts, and its tokenizer: {reason}"
        ) from None
    if any("embeddings" in name for name in loaded["missing_keys"]):
        raise StillhouseError(f"{folder}: must hold a pretrained model's weights, got none of its embeddings")
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise StillhouseError(f"{folder}: tokenizer must be a fast one with a padding token, got one without")
    model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, model


def _max_length(asked: int | None, tokenizer: Any, model: Any, task: Task) -> int:
    most, pair = longest_input(tokenizer, model), task.kind == "pair"
    fewest = tokenizer.num_special_tokens_to_add(pair=pair) + (2 if pair else 1)
    if asked is not None and not fewest <= asked <= most:
        raise StillhouseError(f"teach: max-length must be between {fewest} and {most}, got {asked}")
    return asked or most


def _encoded(examples: Examples, tokenizer: Any, max_length: int) -> list[dict[str, Any]]:
    """A dict of token ids and label for each row."""
    found = tokenizer(*examples.texts(), truncation=True, max_length=max_length)
    columns = {**found, "labels": list(examples.targets())}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _arguments(teaching: Teaching, seed: int, work: Path, watched: Examples | None, task: Task) -> Any:
    on_gpu = torch.cuda.is_available()
    return transformers.TrainingArguments(
        output_dir=str(work.absolute()),
        num_train_epochs=teaching.epochs,
        per_device_train_batch_size=teaching.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=teaching.learning_rate,
        warmup_steps=teaching.warmup,
        weight_decay=teaching.weight_decay,
        seed=seed,
        bf16=on_gpu and best_dtype() == "bfloat16",
        use_cpu=not on_gpu,
        eval_strategy="epoch" if watched is not None else "no",
        # A checkpoint for each better epoch; the others are made by the clock.
        save_strategy="best" if watched is not None else "no",
        save_total_limit=2,
        load_best_model_at_end=watched is not None,
        metric_for_best_model=main_metric(task) if watched is not None else None,
        greater_is_better=True if watched is not None else None,
        logging_strategy="no",
        log_level="error",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _metrics(task: Task) -> Any:
    """What the Trainer asks about the rows that are watched."""

    def measure(found: Any) -> dict[str, float]:
        logits = found.predictions[0] if isinstance(found.predictions, tuple) else found.predictions
        gold = found.label_ids[:, None] if task.target == "regression" else found.label_ids
        return scores(logits.reshape(len(logits), -1), gold, task)

    return measure


def _dev_metrics(logged: Mapping[str, float]) -> dict[str, float]:
    timing = ("runtime", "samples_per_second", "steps_per_second")
    own = {name.removeprefix("eval_"): value for name, value in logged.items() if name.startswith("eval_")}
    return {f"dev_{name}": value for name, value in own.items() if name not in timing}


def _last_checkpoint(work: Path) -> str | None:
    """The last checkpoint that is whole: its state is written last. Others are removed."""
    found = {}
    for folder in work.glob("checkpoint-*"):
        try:
            found[json.loads((folder / "trainer_state.json").read_bytes())["global_step"]] = folder
        except (OSError, ValueError):
            shutil.rmtree(folder)
    return str(found[max(found)].absolute()) if found else None


class _Watch(transformers.TrainerCallback):  # type: ignore[misc]
    """Shows progress, and asks for a checkpoint when the last one is old."""

    def __init__(self, rows: int, teaching: Teaching, progress: bool) -> None:
        self.rows, self.batch_size = rows, teaching.batch_size
        self.bar = tqdm(desc="fine-tuning", total=rows * teaching.epochs, unit=" texts", disable=not progress)
        self.saved = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(self._seen(state.global_step))
        self.bar.unpause()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(self._seen(state.global_step) - self.bar.n)
        control.should_save = time.monotonic() - self.saved > _SECONDS_BETWEEN_CHECKPOINTS

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **_: Any) -> None:
        self.bar.set_postfix_str(f"dev {metrics[f'eval_{args.metric_for_best_model}']:.4f}", refresh=False)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saved = time.monotonic()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()

    def _seen(self, step: int) -> int:
        """Rows in so many steps; the last of an epoch may be a smaller one."""
        epochs, left = divmod(step, -(-self.rows // self.batch_size))
        return epochs * self.rows + left * self.batch_size
