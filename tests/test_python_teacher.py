"""Functions as teachers: what they are given, what they may give, and what is said when they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from label.python import Python
from label.teacher import Request
from transferset import StillhouseError, Task

TEXT = Task("text", ("t",), classes=("neg", "pos"))
SCORE = Task("text", ("t",), target="regression")
TEXTS = pa.table({"t": ["good", "bad bad", ""]})


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of a name of its own into the current directory; gives its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(source: str, name: str = f"teacher_{tmp_path.name}".replace("-", "_")) -> str:
        Path(f"{name}.py").write_text(source)
        return name

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def loaded(name: str, task: Task = TEXT, signals=("logits",), **request):
    return Python(f"{name}:teach").load(Request(task, signals, **request))


def logits_of(teacher, rows=TEXTS) -> list[list[float]]:
    logits = teacher.answer(rows).signals["logits"]
    assert logits.dtype == np.float32
    return logits.tolist()


# What it is given


def test_texts_are_a_list_of_strings(module):
    name = module(
        "def teach(texts):\n"
        "    assert type(texts) is list and all(type(text) is str for text in texts)\n"
        "    return [[0, len(text)] for text in texts]"
    )
    assert logits_of(loaded(name, sample=TEXTS)) == [[0, 4], [0, 7], [0, 0]]


def test_pairs_are_tuples_in_the_order_of_the_task(module):
    name = module("def teach(pairs): return [[len(a), len(b)] for a, b in pairs] if type(pairs[0]) is tuple else None")
    rows = pa.table({"first": ["a", "bb"], "second": ["cccc", ""]})
    assert logits_of(loaded(name, Task("pair", ("second", "first"), classes=("0", "1"))), rows) == [[4, 1], [0, 2]]


def test_features_are_dicts_with_none_where_a_value_is_missing(module):
    name = module("seen = []\ndef teach(rows):\n    seen.extend(rows)\n    return [0.0] * len(rows)")
    rows = pa.table({"n": pa.array([1, None]), "kind": ["a", None], "flag": [True, None], "x": [0.5, None]})
    loaded(name, Task("features", ("kind", "n", "flag", "x"), target="regression")).answer(rows)
    assert sys.modules[name].seen == [
        {"kind": "a", "n": 1, "flag": True, "x": 0.5},
        {"kind": None, "n": None, "flag": None, "x": None},
    ]


# What it may give


@pytest.mark.parametrize(
    "given",
    [
        "[[0, 1], [2, 3], [4, 5]]",
        "((0, 1), (2, 3), (4, 5))",
        "np.arange(6).reshape(3, 2)",
        "np.arange(6, dtype=np.float16).reshape(3, 2)",
        "torch.arange(6.).reshape(3, 2)",
        "torch.arange(6., requires_grad=True).reshape(3, 2)",
        "torch.arange(6, dtype=torch.bfloat16).reshape(3, 2)",
        "pd.DataFrame({'a': [0, 2, 4], 'b': [1, 3, 5]})",
        "{'logits': [[0, 1], [2, 3], [4, 5]], 'more': 'ignored'}",
    ],
)
def test_numbers_of_any_make(given, module):
    name = module(f"import numpy as np, pandas as pd, torch\ndef teach(texts): return {given}")
    assert logits_of(loaded(name)) == [[0, 1], [2, 3], [4, 5]]


def test_one_output_may_be_flat(module):
    name = module("def teach(texts): return [len(text) for text in texts]")
    teacher = loaded(name, SCORE, sample=TEXTS)
    assert logits_of(teacher) == [[4], [7], [0]]
    assert teacher.description.classes == ()


def test_other_signals_and_their_widths(module):
    name = module(
        "def teach(texts):\n"
        "    size = len(texts)\n"
        "    return {'logits': [[0, 1]] * size, 'embedding': [[1, 2, 3]] * size, 'hidden': [[9]] * size}"
    )
    teacher = loaded(name, signals=("logits", "embedding"), sample=TEXTS)
    assert teacher.description.widths == {"logits": 2, "embedding": 3}
    answers = teacher.answer(TEXTS).signals
    assert {each: values.shape for each, values in answers.items()} == {"logits": (3, 2), "embedding": (3, 3)}
    # A cache that exists says how wide they are.
    again = loaded(name, signals=("logits", "embedding"), made={"signals": {"logits": 2, "embedding": 3}})
    assert again.description == teacher.description
    alone = loaded(name, signals=("embedding",), sample=TEXTS).description
    assert (alone.widths, alone.classes) == ({"embedding": 3}, ())
    with pytest.raises(StillhouseError, match="must be given some rows to learn the width of embedding"):
        loaded(name, signals=("logits", "embedding"))


@pytest.mark.parametrize(
    ("given", "signals", "said"),
    [
        ("['a'] * len(texts)", ("logits",), "logits must be numbers, got an array of <U1"),
        ("[[1], [1, 2]]", ("logits",), "logits must be rows of as many numbers, got ValueError"),
        ("None", ("logits",), "logits must be numbers, got an array of object"),
        ("[[1j, 0]] * len(texts)", ("logits",), "logits must be numbers, got an array of complex128"),
        ("[[0, 1, 2]] * len(texts)", ("logits",), r"logits must have shape \(2, 2\), got \(2, 3\)"),
        ("[[0, 1]]", ("logits",), r"logits must have shape \(2, 2\), got \(1, 2\)"),
        ("1.5", ("logits",), r"logits must have shape \(2, 2\), got \(\)"),
        ("[[0, 1]] * len(texts)", ("logits", "hidden"), "must give a dict with logits, hidden, got list"),
        ("[[0, 1]] * len(texts)", ("embedding",), "must give a dict with embedding, got list"),
        ("{'logit': [[0, 1]]}", ("logits",), "must give logits among its signals, got logit"),
        ("{'logits': [[0, 1]] * 2, 'hidden': 3}", ("logits", "hidden"), r"hidden must have shape .* got \(\)"),
        ("{'embedding': [[]] * len(texts)}", ("embedding",), "embedding must have at least 1 number a row, got none"),
    ],
)
def test_what_is_no_answer_is_refused_as_it_is_loaded(given, signals, said, module):
    name = module(f"def teach(texts): return {given}")
    with pytest.raises(StillhouseError, match=f"^python:{name}:teach: {said}"):
        loaded(name, signals=signals, sample=TEXTS)


def test_numbers_too_large_are_infinite_and_left_to_the_engine(module):
    name = module("def teach(texts): return [[1e300, 0]] * len(texts)")
    assert logits_of(loaded(name))[0] == [np.inf, 0]


# Classes


def test_its_own_order_of_classes(module):
    name = module("def teach(texts): return [[1, 0]] * len(texts)\nteach.classes = ['pos', 'neg']")
    assert loaded(name).description.classes == ("pos", "neg")
    assert loaded(name, Task("text", ("t",))).description.classes == ("pos", "neg")
    with pytest.raises(StillhouseError, match=r"classes must be those of the task \(a, b\), got pos, neg"):
        loaded(name, Task("text", ("t",), classes=("a", "b")))


def test_the_order_of_the_task_where_it_has_none(module):
    name = module("def teach(texts): return [[1, 0]] * len(texts)")
    assert loaded(name).description.classes == ("neg", "pos")
    with pytest.raises(StillhouseError, match="must have an attribute classes, since the task has none"):
        loaded(name, Task("text", ("t",)))


def test_an_object_that_can_be_called(module):
    name = module(
        "class Model:\n"
        "    classes, version = ('pos', 'neg'), 3\n"
        "    def __call__(self, texts): return [[1, 0]] * len(texts)\n"
        "teach = Model()"
    )
    description = loaded(name).description
    assert (description.classes, description.identity["version"]) == (("pos", "neg"), "3")


# What is said when it fails


def test_an_exception_says_which_and_where(module):
    name = module(
        "import json\n"
        "def teach(texts):\n"
        "    return [inner(text) for text in texts]\n"
        "def inner(text):\n"
        "    return json.loads(text)\n"
    )
    with pytest.raises(StillhouseError) as caught:
        loaded(name).answer(TEXTS)
    file = sys.modules[name].__file__
    assert str(caught.value) == (
        f"python:{name}:teach: must answer 3 rows, got JSONDecodeError:"
        f" Expecting value: line 1 column 1 (char 0) ({file}:5)"
    )
    assert type(caught.value.__cause__).__name__ == "JSONDecodeError"


def test_an_exception_of_many_lines_or_none_is_one_line(module):
    name = module("def teach(texts): raise ValueError('one\\ntwo')")
    with pytest.raises(StillhouseError, match=r"got ValueError: one \(.*:1\)$"):
        loaded(name, sample=TEXTS)
    name = module("def teach(texts): raise KeyError", "another_teacher")
    with pytest.raises(StillhouseError, match=r"got KeyError \(.*:1\)$"):
        loaded(name, sample=TEXTS)
    # What ends a process is an error too, or the run would end without a word.
    name = module("def teach(texts): raise SystemExit(3)", "third_teacher")
    with pytest.raises(StillhouseError, match=r"got SystemExit: 3 \(.*:1\)$"):
        loaded(name, sample=TEXTS)


@pytest.mark.parametrize("function", ["teach", ":teach", "a:", "a:b:c", "a b:c", "a:b.c", ""])
def test_a_name_that_is_none(function):
    with pytest.raises(StillhouseError, match="must be of the form MODULE:FUNCTION, got"):
        Python(function)


def test_no_such_module_or_function(module, tmp_path):
    with pytest.raises(
        StillhouseError, match=f"must be a module in {tmp_path} or an installed one, got no module 'nowhere'"
    ):
        loaded("nowhere")
    with pytest.raises(StillhouseError, match=r"got no module 'nowhere'"):
        loaded("nowhere.inside")
    name = module("teach = 3")
    with pytest.raises(StillhouseError, match=r"teach must be a function of .*\.py, got int"):
        loaded(name)
    with pytest.raises(StillhouseError, match=r"other must be a function of .*\.py, got none"):
        Python(f"{name}:other").load(Request(TEXT))
    with pytest.raises(StillhouseError, match="must be a module with a file, got one without"):
        Python("sys:exit").load(Request(TEXT))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import surely_not_there", r"ModuleNotFoundError: No module named 'surely_not_there' \(.*:1\)"),
        ("x = 1\nx.y", r"AttributeError: 'int' object has no attribute 'y' \(.*:2\)"),
        ("\n\ndef teach(:", r"SyntaxError: .* \(.*:3\)"),
        ("raise SystemExit(0)", r"SystemExit: 0 \(.*:1\)"),
    ],
)
def test_a_module_that_fails_as_it_is_imported(source, said, module):
    name = module(source)
    with pytest.raises(StillhouseError, match=rf"must be a module that can be imported, got {said}$") as caught:
        loaded(name)
    assert "\n" not in str(caught.value)


# Where it is looked for, and what it is


def test_the_path_is_as_it_was_but_the_module_finds_its_neighbours(module):
    module("OFFSET = 5", "its_neighbour")
    module("SCALE = 2", "late_neighbour")
    name = module(
        "from its_neighbour import OFFSET\n"
        "def teach(texts):\n"
        "    from late_neighbour import SCALE\n"
        "    return [len(text) * SCALE + OFFSET for text in texts]"
    )
    before = list(sys.path)
    teacher = loaded(name, SCORE)
    assert logits_of(teacher) == [[13], [19], [5]]
    with pytest.raises(StillhouseError):
        loaded("nowhere")
    assert sys.path == before


def test_the_identity_is_of_the_file_the_name_and_the_version(module):
    source = "def teach(texts): return [0.0] * len(texts)\nlearn = teach\n"
    name = module(source)
    first = loaded(name, SCORE).description.identity
    assert loaded(name, SCORE, sample=TEXTS).description.identity == first
    assert Python(f"{name}:learn").load(Request(SCORE)).description.identity != first
    module(source + "teach.version = 2\n")
    second = loaded(name, SCORE).description.identity
    assert second["version"] == "2"
    assert second["teacher"] != first["teacher"]


def test_a_module_that_was_edited_is_read_anew(module):
    name = module("def teach(texts): return [1.0] * len(texts)")
    assert logits_of(loaded(name, SCORE))[0] == [1]
    module("def teach(texts): return [2.0] * len(texts)")
    assert logits_of(loaded(name, SCORE))[0] == [2]


def test_how_it_wants_to_be_asked(module):
    name = module("def teach(texts): return [1.0] * len(texts)")
    description = Python(f"{name}:teach", batch_rows=7).load(Request(SCORE)).description
    assert (description.chunk_rows, description.chunk_bytes, description.workers) == (7, None, 1)
    assert loaded(name, SCORE).kept() == {}
    with pytest.raises(StillhouseError, match="batch_rows must be at least 1, got 0"):
        Python(f"{name}:teach", batch_rows=0)


def test_a_signal_that_the_cache_was_made_without_is_said(module):
    name = module("def teach(texts): return {'logits': [1.0] * len(texts), 'embedding': [[1.0]] * len(texts)}")
    request = Request(SCORE, ("logits", "embedding"), made={"signals": {"logits": 1}})
    with pytest.raises(StillhouseError, match=r"signals must be those .* made with \(logits\), got embedding too: use"):
        Python(f"{name}:teach").load(request)
