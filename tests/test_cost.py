"""Size and speed: as counted from the files, and as a clock says."""

import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from tiny_students import TEXTS, make_student, rows_of

from students import cost as module
from students.cost import cost

pytestmark = pytest.mark.usefixtures("one_thread")


class Slow:
    """A student that takes a certain time for each call and each row."""

    def __init__(self, of_call: float, of_row: float) -> None:
        self.of_call, self.of_row, self.calls = of_call, of_row, []
        self.config = SimpleNamespace(encoding=SimpleNamespace(files=dict))

    def outputs(self, rows):
        self.calls.append(rows)
        time.sleep(self.of_call + self.of_row * len(rows))
        return np.zeros((len(rows), 2), np.float32)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.2)


def a_file(tmp_path):
    (tmp_path / "S.onnx").write_bytes(bytes(1234))
    return tmp_path / "S.onnx"


@pytest.mark.parametrize("name", ["bag", "bilstm", "cnn"])
def test_the_size_is_that_of_the_network_and_of_the_files_that_predicting_needs(tmp_path, quick, name):
    student = make_student(name)
    student.save(tmp_path, {"history": []})
    (tmp_path / "S.onnx").write_bytes(bytes(1000))
    found = cost(student, tmp_path, rows_of(student.task))
    weights = sum(each.numel() for each in student.model.parameters())
    assert found["parameters"] == weights
    assert found["parameters_without_vectors"] == weights - student.model.vectors.weight.numel()
    needed = ("config.json", "model.safetensors", "vocabulary.json")
    assert found["bytes"] == sum((tmp_path / each).stat().st_size for each in needed)


def test_a_single_file_has_its_own_size(tmp_path, quick):
    student = make_student()
    found = cost(student, a_file(tmp_path), rows_of(student.task))
    assert found["bytes"] == 1234
    assert "parameters" not in found


def test_speed_is_what_the_clock_says(tmp_path, quick):
    rows = pa.table({"text": [str(number) for number in range(40)]})
    found = cost(student := Slow(0.004, 0.001), a_file(tmp_path), rows)
    assert 5 <= found["latency_ms"] < 100
    assert found["latency_ms"] <= found["latency_p99_ms"]
    assert {len(each) for each in student.calls} == {1, 40}
    assert 50 < found["rows_per_second"] <= 40 / 0.044


def test_calls_are_few_where_they_are_slow_and_bounded_where_they_are_quick(tmp_path, quick):
    rows = pa.table({"text": ["a"] * 5})
    slow, fast = Slow(0.02, 0.0), Slow(0.0, 0.0)
    cost(slow, a_file(tmp_path), rows)
    assert 2 <= len([each for each in slow.calls if len(each) == 1]) <= 11
    cost(fast, a_file(tmp_path), rows)
    assert len([each for each in fast.calls if len(each) == 1]) <= 320


def test_single_rows_are_taken_from_all_over_the_file(tmp_path, quick):
    student = Slow(0.0, 0.0)
    cost(student, a_file(tmp_path), pa.table({"text": [str(number) for number in range(10_000)]}))
    places = [int(each["text"][0].as_py()) for each in student.calls if len(each) == 1]
    assert min(places) < 1000
    assert max(places) >= 9000
    assert np.corrcoef(places, np.arange(len(places)))[0, 1] < 0.5


def test_the_result_is_plain_numbers_and_one_row_is_enough(tmp_path, quick):
    student = make_student()
    found = cost(student, a_file(tmp_path), rows_of(student.task, TEXTS[:1]))
    assert {type(value) for value in found.values()} <= {int, float}
    assert all(np.isfinite(value) and value > 0 for value in found.values())
