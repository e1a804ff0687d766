"""The model card of a student: ``README.md`` with the front matter that the Hugging Face Hub reads; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

import pyarrow as pa

from ._config import Config

Record = Mapping[str, Any]
#: What the Hub calls the metrics that it knows; the others are given under their own names.
_HUB_METRICS = {"f1": "f1", "f1_micro": "f1", "f1_macro": "f1", "accuracy": "accuracy", "mcc": "matthews_correlation"}
_HUB_METRICS |= {"pearson": "pearsonr", "spearman": "spearmanr", "mse": "mse"}


def card(config: Config, metrics: Record, weights: int | None = None) -> str:
    """The card of a student.

    What ``config.made_from`` or ``metrics`` does not say is left out.

    Args:
        config: the student.
        metrics: ``history``, a dictionary for each epoch, and ``best_epoch``, from 1; ``teacher``, its name; and what
            computed: ``stillhouse``, its version, ``dtype`` and ``threads``.
        weights: how many numbers the network has.
    """
    best = _best(metrics)
    parts = [
        _front_matter(config, best),
        _introduction(config),
        _use(config),
        _origin(config.made_from, metrics.get("teacher")),
        _settings(config, metrics, weights),
        _results(config, metrics, best),
        _limits(config),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _best(metrics: Record) -> Record:
    """What the history says of the epoch that was kept."""
    history, number = metrics.get("history") or [], metrics.get("best_epoch") or 0
    return history[number - 1] if 0 < number <= len(history) else {}


def _front_matter(config: Config, best: Record) -> str:
    tags = [config.student, config.output, config.task.kind, config.task.target]
    if _gold_share(config.made_from) < 1:
        tags = ["knowledge-distillation", *tags]
    lines = ["---", "library_name: stillhouse", f"pipeline_tag: {_pipeline(config)}", "tags:"]
    lines += [f"- {_quoted(tag)}" for tag in tags]
    measured = {name: value for name, value in _dev(best).items() if name in _HUB_METRICS}
    if measured:
        data = _quoted(_dev_name(config.made_from))
        lines += ["model-index:", f"- name: {_quoted(config.student)}", "  results:", "  - task:"]
        lines += [f"      type: {_pipeline(config)}", "    dataset:", f"      name: {data}", f"      type: {data}"]
        lines += ["    metrics:"]
        for name, value in measured.items():
            lines += [f"    - type: {_HUB_METRICS[name]}", f"      name: {name}", f"      value: {value:.6f}"]
    return "\n".join([*lines, "---"])


def _pipeline(config: Config) -> str:
    if config.output == "embedding":
        return "feature-extraction"
    if config.task.kind != "features":
        return "text-classification"
    return "tabular-regression" if config.task.target == "regression" else "tabular-classification"


def _introduction(config: Config) -> str:
    reads = {"text": "texts", "pair": "pairs of texts", "features": "rows of features"}[config.task.kind]
    gives = {
        "classification": f"one of {len(config.task.classes)} classes",
        "multilabel": f"any of {len(config.task.classes)} classes",
        "regression": "a score",
    }[config.task.target]
    if config.output == "embedding":
        gives = f"an embedding of {config.width} numbers"
    classes = f"\n\nClasses: {_listed(config.task.classes)}." if config.task.classes and _decides(config) else ""
    return (
        f"# {config.student}: {gives} for {reads}\n\n{_learned(_gold_share(config.made_from))}\n\n"
        f"Input columns: {_listed(config.task.inputs)}.{classes}"
    )


def _learned(gold: float) -> str:
    if gold == 1:
        return "A small model that was trained with Stillhouse on the gold labels of a data set. No teacher answered."
    return (
        "A small model, the *student*, that learned to answer as a large one, the *teacher*, does. It was trained with"
        " Stillhouse on the teacher's answers to a data set and to augmented copies of its rows"
        f"{', and in part on gold labels' if gold else ''}."
    )


def _gold_share(made_from: Record) -> float:
    """Which share of the loss was that to gold labels."""
    objective = _record(made_from, "objective")
    shares = [_record(objective, name).get("alpha") or 0.0 for name in objective]
    return 1.0 if "gold" in objective else float(max(shares, default=0.0))


def _decides(config: Config) -> bool:
    return config.output == "logits" and config.task.target != "regression"


def _use(config: Config) -> str:
    columns = ", ".join(f"{json.dumps(name)}: [{_example(config, name)}]" for name in config.task.inputs)
    return f"""## Use

With the files of this model in the folder `student`:

```
stillhouse predict student rows.csv
```

```python
import pyarrow as pa

from students import Student, answers

student = Student.load("student")
rows = pa.table({{{columns}}})
print(list(answers(student, rows)))
```

`Student.from_pretrained("NAME/REPOSITORY")` loads it from the Hugging Face Hub. `stillhouse export student --onnx
student.onnx` makes one file of it, which predicts where PyTorch is not installed."""


def _example(config: Config, column: str) -> str:
    """A value of an input column, as Python writes it."""
    kind = (config.encoding.types or {}).get(column)
    known = {pa.float64(): "0.5", pa.int64(): "1", pa.bool_(): "True"}
    return '"a text"' if kind is None else known.get(kind, '"a name"')


def _origin(made_from: Record, teacher: Any) -> str:
    transfer, cache = _record(made_from, "transfer"), _record(made_from, "cache")
    source, recipe = _record(transfer, "source"), _record(transfer, "recipe")
    rows = [
        *(_teachers(cache, teacher) if _gold_share(made_from) < 1 else ()),
        ("Data", _join(_counted(source.get("rows"), "rows"), _named("fingerprint", source.get("fingerprint")))),
        ("Copies of each row", transfer.get("copies")),
        ("Recipe", _join(_code(recipe.get("name")), *(_step(each) for each in recipe.get("step") or ()))),
        ("Seed of the copies", transfer.get("seed")),
    ]
    return _section("What it was made from", rows)


def _teachers(cache: Record, name: Any) -> Iterator[tuple[str, Any]]:
    members = cache.get("members")
    if isinstance(members, list):
        for each in members:
            yield "Teacher, of an ensemble", _join(_code(each.get("teacher")), _named("weight", each.get("weight")))
        yield "Mean of the teachers", cache.get("mean")
    else:
        known = (_named(what, cache.get(field)) for what, field in (("fingerprint", "teacher"), ("precision", "dtype")))
        yield "Teacher", _join(_code(name), *known)


def _settings(config: Config, metrics: Record, weights: int | None) -> str:
    made_from = config.made_from
    objective = _record(made_from, "objective")
    rows: list[tuple[str, Any]] = [
        ("Architecture", _join(_code(config.student), *_fields(config.parameters))),
        ("Weights", _counted(weights, "numbers")),
        ("Known words, pieces or names", _size(config)),
        ("Objective", ", ".join(_join(_code(name), *_fields(values or {})) for name, values in objective.items())),
        ("Training", _join(*_fields(_record(made_from, "training")))),
        ("Reading", _join(*_fields(_record(made_from, "reading")))),
        ("Seed of the training", made_from.get("seed")),
        ("Computed in", _join(str(metrics.get("dtype", "")), _named("threads", metrics.get("threads")))),
        ("Versions", _join(_named("stillhouse", metrics.get("stillhouse")), _named("torch", made_from.get("torch")))),
    ]
    return _section("What it is and how it was trained", rows)


def _size(config: Config) -> str:
    encoding = config.encoding
    return _counted(len(encoding), encoding.kind) if isinstance(encoding, Sized) else ""


def _results(config: Config, metrics: Record, best: Record) -> str:
    rows: list[tuple[str, Any]] = []
    if best:
        rows.append(("Epoch", f"{metrics['best_epoch']} of {len(metrics['history'])}"))
    if "loss" in best:
        rows.append(("Loss in training", f"{best['loss']:.4f}"))
    measured = _dev(best)
    rows += [(f"dev {name}", f"{value:.4f}") for name, value in measured.items()]
    on = f"Dev is {_plain(_dev_name(config.made_from))}, which also chose the epoch." if measured else ""
    return "\n\n".join(part for part in (_section("Results", rows), on) if part)


def _dev(best: Record) -> dict[str, float]:
    """The dev metrics by their names, without what is no number."""
    found = {name.removeprefix("dev_"): value for name, value in best.items() if name.startswith("dev_")}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _dev_name(made_from: Record) -> str:
    return str(_record(made_from, "dev").get("name") or "rows held out of the transfer set")


def _limits(config: Config) -> str:
    taught = _gold_share(config.made_from) < 1
    said = ["It repeats its teacher's mistakes and adds its own."] if taught else []
    said.append("Texts or rows unlike those it was trained on were not measured.")
    longest = getattr(config.encoding, "max_tokens", None)
    if longest is not None:
        said.append(f"What comes after the first {longest} words or pieces of a text is not read.")
    if config.encoding.kind == "words":
        said.append("Words that it never saw are all alike to it.")
    if config.task.kind == "features":
        said.append("Categories that it never saw are all alike to it, and are what a missing one is.")
    if _decides(config):
        said.append(
            "Its probabilities are as sure as the teacher's were; whether they are calibrated must be measured."
            if taught
            else "Whether its probabilities are calibrated must be measured."
        )
    return "## Limits\n\n" + "\n".join(f"- {each}" for each in said)


def _section(title: str, rows: Sequence[tuple[str, Any]]) -> str:
    """A table of what is known; nothing where nothing is."""
    known = [f"| {name} | {_plain(value)} |" for name, value in rows if value not in (None, "")]
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *known]) if known else ""


def _record(holder: Record, name: str) -> Record:
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _fields(values: Record) -> list[str]:
    return [_named(name, value) for name, value in values.items()]


def _step(step: Any) -> str:
    if not isinstance(step, Mapping):
        return ""
    settings = ", ".join(f"{name} {value}" for name, value in step.items() if name != "use" and value not in (None, ""))
    return _code(step.get("use")) + (f" ({settings})" if settings else "")


def _named(name: str, value: Any) -> str:
    return "" if value in (None, "") else f"{name} {value}"


def _counted(number: Any, what: str) -> str:
    return f"{number:,} {what}" if isinstance(number, int) else ""


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _listed(names: Sequence[str]) -> str:
    shown = [_code(name) for name in names[:50]]
    return ", ".join([*shown, f"and {len(names) - 50:,} more"] if len(names) > 50 else shown)


def _code(value: Any) -> str:
    """A name in the type of code, which nothing in it can end."""
    return "" if value in (None, "") else f"`{_plain(value).replace('`', chr(39))}`"


def _plain(value: Any) -> str:
    """A value on one line of a table."""
    return _visible(str(value)).replace("|", "\\|")


def _quoted(text: str) -> str:
    """A YAML string."""
    return _visible(json.dumps(text, ensure_ascii=False))


def _visible(text: str) -> str:
    return "".join(each if each.isprintable() else _escaped(ord(each)) for each in text)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
