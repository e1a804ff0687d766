"""The network for tables: its size, company that changes nothing, categories, and what it can learn."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from students import Student, load_architecture
from students._config import Config
from students._features import learn_features
from students._words import Vocabulary
from students.export import to_onnx
from students.mlp import Mlp
from students.onnx_student import OnnxStudent
from transferset import StillhouseError, Task

TASK = Task("features", ("size", "count", "colour", "shape"), "label", classes=("no", "yes", "so so"))
TABLE = pa.table(
    {
        "size": [0.5, None, 2.5, 1.0, 8.0, 3.0],
        "count": [1, 2, 3, 4, 5, 6],
        "colour": ["red", "blue", "red", None, "green", "red"],
        "shape": ["round", "square", "round", "square", "round", "round"],
    }
)
FEATURES = learn_features([TABLE], TASK)
cells = st.tuples(
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.sampled_from(["red", "blue", "green", "unheard of"]),
    st.none() | st.sampled_from(["round", "square", ""]),
)


def build(size=None, features=FEATURES, task=TASK, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return (size or Mlp(width=8)).build(features, task, task.outputs).eval()


def student(model=None, features=FEATURES, task=TASK, sizes=None):
    sizes = sizes or {"width": 8}
    model = model or build(Mlp(**sizes), features, task)
    return Student(Config(task, features, "mlp", sizes, "logits", task.outputs, {}), model)


def of(column):
    """The task and the features of one column."""
    task = Task("features", ("a",), classes=("no", "yes"))
    return task, learn_features([pa.table({"a": column})], task)


@settings(deadline=None, max_examples=50)
@given(st.lists(cells, min_size=2, max_size=12), st.integers(0, 2**32))
def test_a_row_has_the_same_finite_logits_alone_and_in_any_batch_at_any_place(rows, seed):
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=TABLE.schema)
    order = np.random.default_rng(seed).permutation(len(rows))
    ours = student()
    together = ours.outputs(table.take(order))
    assert together.shape == (len(rows), 3)
    assert np.isfinite(together).all()
    alone = np.concatenate([ours.outputs(table.slice(place, 1)) for place in order.tolist()])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_every_column_matters():
    ours, row = student(), TABLE.slice(0, 1)
    plain = ours.outputs(row)
    for place, value in enumerate([9.0, 6, "blue", "square"]):
        other = row.set_column(place, TABLE.schema.field(place), [pa.array([value], TABLE.schema.field(place).type)])
        assert np.abs(ours.outputs(other) - plain).max() > 1e-4


def test_a_table_like_letter_takes_some_22_000_numbers():
    names = tuple(f"x{number}" for number in range(16))
    task = Task("features", names, classes=tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    features = learn_features([pa.table({name: [1, 2, 3] for name in names})], task)
    model = load_architecture("mlp", {}).build(features, task, 26)
    assert sum(each.numel() for each in model.parameters()) == 16 * 128 + 128 + 128 * 128 + 128 + 128 * 26 + 26


def test_sizes_say_how_wide_and_how_deep():
    model = build(Mlp(width=5, layers=3, dropout=0.5))
    linear = [each for each in model.modules() if isinstance(each, nn.Linear)]
    # Two scaled numbers and whether the first is missing; vectors of widths 3 and 3 for 4 and 3 codes.
    assert [each.in_features for each in linear] == [3 + 3 + 3, 5, 5, 5]
    assert [each.num_embeddings for each in model.modules() if isinstance(each, nn.Embedding)] == [4, 3]
    assert sum(isinstance(each, nn.Dropout) and each.p == 0.5 for each in model.modules()) == 3
    numbers, codes = (torch.from_numpy(each) for each in FEATURES.encode(TABLE.columns).batch(np.arange(6)))
    assert not torch.equal(model.train()(numbers, codes), model(numbers, codes))


def test_vectors_of_many_categories_are_at_most_50_wide():
    task, features = of([str(number) for number in range(500)])
    assert build(features=features, task=task).categories[0].weight.shape == (501, 50)


def test_a_category_that_was_never_seen_counts_for_nothing():
    ours = student()
    unknown = ours.outputs(TABLE.set_column(2, "colour", pa.array(["new"] * 6)))
    missing = ours.outputs(TABLE.set_column(2, "colour", pa.array([None] * 6, pa.string())))
    np.testing.assert_array_equal(unknown, missing)
    assert (ours.model.categories[0].weight[0] == 0).all()


@pytest.mark.parametrize("column", [[1.5, 2.5, None], ["a", "b", "a"], [True, False, True]])
def test_numbers_alone_or_categories_alone_are_enough(column):
    task, features = of(column)
    assert student(features=features, task=task).outputs(pa.table({"a": column})).shape == (3, 2)


@pytest.mark.parametrize("column", [None, [1.5, 2.5, None], ["a", "b", "a"]])
def test_onnx_says_what_torch_says_of_any_number_of_rows(column):
    pytest.importorskip("onnxruntime")
    task, features, table = (TASK, FEATURES, TABLE) if column is None else (*of(column), pa.table({"a": column}))
    ours = student(features=features, task=task)
    exported = OnnxStudent.of(to_onnx(ours), threads=1)
    for rows in (table, table.slice(0, 1), pa.concat_tables([table] * 50)):
        np.testing.assert_allclose(exported.outputs(rows), ours.outputs(rows), atol=1e-5)


def test_it_learns_what_is_no_sum_of_its_columns():
    """Whether x > 0 is asked of half the categories the other way round."""
    random = np.random.default_rng(0)
    x, kind = random.normal(0, 5, 2000), random.choice(list("abcdef"), 2000)
    task = Task("features", ("x", "kind"), classes=("no", "yes"))
    table = pa.table({"x": x, "kind": kind})
    features = learn_features([table], task)
    gold = torch.from_numpy(((x > 0) ^ np.isin(kind, list("abc"))).astype(np.int64))
    model = build(Mlp(width=16), features, task)
    rows = [torch.from_numpy(each) for each in features.encode(table.columns).batch(np.arange(2000))]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(*rows), gold).backward()
        optimizer.step()
    assert (model(*rows).argmax(1) == gold).float().mean() > 0.95


def test_it_is_saved_and_loaded(tmp_path):
    ours = student()
    ours.save(tmp_path / "S", {})
    np.testing.assert_array_equal(Student.load(tmp_path / "S").outputs(TABLE), ours.outputs(TABLE))
    assert (tmp_path / "S" / "features.json").is_file()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 0}, "mlp: width must be at least 1, got 0"),
        ({"layers": 0}, "mlp: layers must be at least 1, got 0"),
        ({"dropout": 1.5}, "mlp: dropout must be between 0 and 1, got 1.5"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(StillhouseError, match=message):
        Mlp(**sizes)


def test_texts_are_refused():
    with pytest.raises(StillhouseError, match="mlp: must be given features, got texts: use --student bilstm"):
        Mlp().build(Vocabulary(("a",)), Task("text", ("text",)), 2)
