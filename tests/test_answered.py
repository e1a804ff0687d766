"""What is said of each row: the labelled ones, with their places in the file, in the order of the task's classes."""

import numpy as np
import pyarrow as pa
import pytest
from tiny_students import make_student

from students.answered import answered
from students.evaluate import evaluate
from transferset import LogitCache, Source, StillhouseError, Task, content_keys

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["good film", "a bad plot", "dull", "fine film"]


@pytest.fixture
def file(tmp_path):
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(
        TEXTS, ["pos", "", "neg", "pos"], strict=True
    )))  # fmt: skip
    return Source(tmp_path / "test.csv")


def cache_of(folder, **signals):
    widths = {name: each.shape[1] for name, each in signals.items()}
    classes = ["pos", "neg"] if "logits" in widths else []
    cache = LogitCache.create(folder, {"classes": classes, "signals": widths, "storage": "float32"}, {})
    cache.append(content_keys(Task("text", ("text",)), pa.table({"text": TEXTS})), signals)
    return cache


def test_labelled_rows_are_answered_and_keep_their_places(file, tmp_path):
    student = make_student(classes=("neg", "pos"))
    logits = np.arange(8, dtype=np.float32).reshape(4, 2)
    found = answered(student, file, cache_of(tmp_path / "L", logits=logits))
    assert found.numbers.tolist() == [1, 3, 4]
    assert found.gold.tolist() == [1, 0, 1]
    assert (found.decides, found.embeds) == (True, False)
    texts = pa.table({"text": [TEXTS[place - 1] for place in found.numbers]})
    np.testing.assert_array_equal(found.student, student.outputs(texts))
    # The cache has the classes the other way round.
    np.testing.assert_array_equal(found.teacher, logits[[0, 2, 3], ::-1])
    assert (found.student.argmax(1) == found.gold).mean() == evaluate(student, file, resamples=0)["accuracy"]


def test_embeddings_are_of_all_rows_and_need_no_label(file, tmp_path):
    embedding = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    found = answered(make_student(output="embedding"), file, cache_of(tmp_path / "L", embedding=embedding))
    assert (found.decides, found.embeds) == (False, True)
    assert found.numbers.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found.teacher, embedding)


def test_without_a_cache_there_is_no_teacher_and_a_bad_file_is_refused(file, tmp_path):
    student = make_student(classes=("neg", "pos"))
    assert answered(student, file).teacher is None
    (tmp_path / "bare.csv").write_text("text,label\ngood film,\n")
    with pytest.raises(StillhouseError, match="must hold labels"):
        answered(student, Source(tmp_path / "bare.csv"))
