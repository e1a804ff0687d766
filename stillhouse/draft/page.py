"""A commented pipeline for a file of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transferset import Source, Task

from ._facts import DEV, TEST, Facts
from ._text import column_line, comment, folder_name, key_line, section
from .columns import Look, look_at, spoken
from .roles import Roles, guess_roles, without_header

#: A pretrained encoder that is small and reads English; the page says that there are others.
MODEL = "distilbert/distilroberta-base"
#: Above so many rows fewer copies of each are enough.
_MANY = 10_000
_TABLE_TEACHER = """\
A teacher for this table, if there is none yet (pip install 'stillhouse[sklearn]'):

  import pandas, skops.io
  from sklearn.compose import make_column_transformer
  from sklearn.ensemble import {estimator}
  from sklearn.pipeline import make_pipeline
  from sklearn.preprocessing import OrdinalEncoder

  data = pandas.{read}.dropna(subset=[{label!r}])
  inputs = data.drop(columns={left})
  words = inputs.select_dtypes(exclude="number").columns.tolist()
  codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
  columns = make_column_transformer((codes, words), remainder="passthrough")
  model = make_pipeline(columns, {estimator}())
  skops.io.dump(model.fit(inputs, data[{label!r}]), "teacher.skops")
"""


@dataclass(frozen=True)
class Draft:
    """A pipeline's file as it is proposed.

    Attributes:
        text: the file.
        roles: what was taken for what, and why.
        teacher: that still has to be had before the pipeline can run; None where it says where it comes from.
    """

    text: str
    roles: Roles
    teacher: str | None


def draft(source: Source, out: Path | str, teacher: str | None = None) -> Draft:
    """A commented pipeline for a file, guessed from its columns; ``out`` is where it will lie.

    A dev and a test file beside one whose name has ``train`` in it are found. ``teacher`` is what `stillhouse label`
    takes; without one a text is given a teacher of its labels by `stillhouse teach`.

    Raises:
        StillhouseError: a file that cannot be read, holds no rows, or has no column to learn from.
    """
    look = look_at(source)
    roles = without_header(look, guess_roles(look))
    return _Page(Facts(look, roles, Path(out)), teacher).draft()


@dataclass(frozen=True)
class _Page:
    facts: Facts
    teacher: str | None

    def draft(self) -> Draft:
        missing = None
        if self.teacher is None and not self._can_teach:
            missing = "sklearn:teacher.skops" if self.task.kind == "features" else "./my-teacher"
        parts = [
            self._head(),
            *([self._teach()] if self.teacher is None and self._can_teach else []),
            self._augment(),
            self._label(missing),
            self._train(),
            self._others(),
            self._evaluate(),
        ]
        return Draft("\n".join(parts), self.facts.roles, missing)

    @property
    def task(self) -> Task:
        """As it was guessed."""
        return self.facts.roles.task

    @property
    def look(self) -> Look:
        """What the columns hold."""
        return self.facts.look

    @property
    def _can_teach(self) -> bool:
        return self.task.kind != "features" and self.task.label is not None

    def _head(self) -> str:
        rows = f"{self.look.rows:,} rows" if self.look.is_all else f"the first {self.look.rows:,} rows"
        lines = [
            f"`stillhouse run {self.facts.out.name}` is for {self.look.source.path.name}. Guessed from {rows}:",
            *(f"- {each}." for each in self.facts.roles.why),
        ]
        columns = [f"  {column_line(each)}" for each in self.look.columns[:40]]
        more = len(self.look.columns) - len(columns)
        note = "What was guessed wrong is put right below; `stillhouse run --dry-run` says what would be done."
        hint = "The keys of a section are the options of that command: see `stillhouse augment --help` and so on."
        told = [*lines, "", "The columns:", *columns, *([f"  and {more} more"] if more > 0 else []), "", note, hint]
        return f"{comment(told)}\n{key_line('out', folder_name(self.facts.out))}  # everything that is made\n"

    def _teach(self) -> str:
        lines = [
            f"The teacher: a pretrained model, fine-tuned on the labels (pip install 'stillhouse[teach]'). {MODEL}",
            "reads English and comes from the hub; a directory does as well. A larger model is a better teacher.",
            "With a teacher of your own leave this section out, and name it in [label].",
        ]
        values = {"data": self.facts.path(), **self.facts.columns(), "model": MODEL}
        dev = self.facts.beside(DEV)
        values |= {"dev": self.facts.path(dev)} if dev else {}
        return section("teach", values, lines)

    def _augment(self) -> str:
        task = self.task
        values: dict[str, Any] = {"source": self.facts.path(), **self.facts.columns()}
        options = []
        if task.kind == "features":
            values |= {"features": self.facts.features(), "copies": 10 if self.look.rows <= _MANY else 3}
            options = [
                'categorical = "a,b"  # columns of numbers that are names, such as codes',
                'recipe = "random"  # each cell from its column, the control that munge has to beat',
            ]
        else:
            self._text_options(values, options)
        above = [f"The transfer set: every row, and {values['copies']} changed copies of each."]
        if self.facts.roles.left:
            above.append(f"Not read: {spoken(self.facts.roles.left, 12)}.")
        return section("augment", values, above, [*options, *self._label_options()]) + self._test_rows()

    def _text_options(self, values: dict[str, Any], options: list[str]) -> None:
        few = 10 if self.task.kind == "pair" else 20
        values |= {"copies": few if self.look.rows <= _MANY else 5, "pos-tagger": "classes"}
        if self.task.kind == "text":
            others = [each.name for each in self.look.columns if each.is_prose and each.name in self.facts.roles.left]
            options += [f"{key_line('text-pair', others[0])}  # if two texts belong together"] if others else []
        options += [
            'protect = ["not", "never"]  # words that must stay',
            'recipe = "tinybert"  # words that a language model proposes: slower, mostly better; without pos-tagger',
            'mlm-model = "distilbert/distilroberta-base"',
            'vectors-source = "glove.6B.300d.txt"',
        ]

    def _label_options(self) -> list[str]:
        task = self.task
        if task.label is None:
            return ['label = "COLUMN"  # where some rows have a label']
        label = self.look.column(task.label)
        if task.target == "classification":
            is_scale = label.is_number and label.distinct > 2
            return ['task = "regression"  # if the labels are points on a scale'] if is_scale else []
        return ["without `task` the labels are classes"]

    def _test_rows(self) -> str:
        test = self.facts.beside(TEST)
        if test is None:
            return ""
        features = {"features": self.facts.features()} if self.task.kind == "features" else {}
        values = {"name": "T-test", "source": self.facts.path(test), **self.facts.columns(), **features, "copies": 0}
        return "\n" + section("augment", values, ["The rows of the test file, so that the teacher labels them too."])

    def _label(self, missing: str | None) -> str:
        task, lines = self.task, ["The logit cache: the teacher labels each distinct row once."]
        options: list[str] = []
        if task.kind == "features":
            options = ["floor = 0.001  # least probability of a class, which a forest's would be 0"]
            if missing is not None:
                lines += ["", *self._table_teacher().splitlines(), ""]
                lines.append("skops takes trees from trusted files alone, as one of your own is.")
        else:
            options = ['signals = "logits,embedding"', "max-length = 128  # tokens of a text"]
            if missing is not None:
                lines += [
                    "Put your teacher here: a Hugging Face directory or name, sklearn:FILE, python:MODULE:FUNCTION.",
                    "`stillhouse teach DATA --model NAME --out DIR` makes one where there are labels.",
                ]
        teacher = self.teacher or missing
        values: dict[str, Any] = {"teacher": self.facts.spec(teacher)} if teacher is not None else {}
        values |= {"trust-pickle": True} if task.kind == "features" and missing is not None else {}
        if teacher is None:
            options = ['teacher = "./my-teacher"  # instead of [teach]', *options]
        return section("label", values, lines, options)

    def _train(self) -> str:
        task = self.task
        dev, values = self.facts.beside(DEV), dict[str, Any](student="mlp" if task.kind == "features" else "bilstm")
        if dev is not None:
            values |= {"dev": self.facts.path(dev), **self.facts.reading()}
            lines = [f"A student; the epoch that does best on {dev.name} is kept."]
        elif self.look.rows >= 200:
            values |= {"holdout": 0.1}
            lines = ["A student; a tenth of the rows is held out to say which epoch is best."]
        else:
            lines = ["A student, trained to the last epoch."]
        options = ["epochs = 10"]
        if task.target != "regression":
            gold = ["alpha = 0.1  # of gold labels mixed in"] if task.label is not None else []
            options += ['loss = "kl"', "temperature = 3.0", *gold]
        return section("train", values, lines, options, many=True)

    def _others(self) -> str:
        is_table = self.task.kind == "features"
        other = ['name = "wide"', 'student = "mlp"', "width = 512"] if is_table else ['student = "bag"  # far faster']
        grid = '{ student = "mlp", width = [128, 512] }' if is_table else '{ student = ["bag", "cnn"] }'
        lines = ["Another student of the same cache costs little:", "", "[[train]]", *other, ""]
        lines += ["or many at once:", "", "[sweep]", f"grid = {grid}", ""]
        lines += ["As one file that predicts without torch (pip install 'stillhouse[onnx]'):", "", "[export]"]
        return comment(lines)

    def _evaluate(self) -> str:
        test = self.facts.beside(TEST)
        if test is not None and self.task.label is not None:
            evaluate = {"file": self.facts.path(test), "cache": "L", **self.facts.reading()}
            report = {"test": self.facts.path(test), "cache": "L", "transfer": "T", **self.facts.reading()}
            return "\n".join(
                [
                    section("evaluate", evaluate, ["Every student on the test file, beside the teacher."]),
                    section("report", report, ["A page with all of it."]),
                ]
            )
        lines = ["With a labelled file that nothing was trained on:", "", "[evaluate]", 'file = "test.csv"']
        return comment(lines) + "\n" + section("report", {"transfer": "T"}, ["A page with all of it."])

    def _table_teacher(self) -> str:
        task, path = self.task, self.facts.path()
        read = {".csv": f"read_csv({path!r}, na_values='?')", ".tsv": f"read_csv({path!r}, sep='\\t', na_values='?')"}
        read |= {".jsonl": f"read_json({path!r}, lines=True)", ".parquet": f"read_parquet({path!r})"}
        estimator = "HistGradientBoosting" + ("Regressor" if task.target == "regression" else "Classifier")
        return _TABLE_TEACHER.format(
            estimator=estimator,
            read=read.get(self.look.source.format, f"read_csv({path!r})"),
            left=[task.label or "COLUMN", *self.facts.roles.left],
            label=task.label or "COLUMN",
        )
