"""Bugs that trainers of students in public code have, by their numbers in our list of them; ours must not."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from safetensors.torch import load_file
from small_sets import LABELS, RANDOM, SHORT, TASK, TEXTS, cache_of, outputs_of, run, taught, transfer_set

from students import Training, load_architecture
from students._prepare import prepare
from students._run import Run
from students._vectors import starting_table
from students._words import UNKNOWN
from students.objectives.mse import Mse
from transferset import Source, StillhouseError, Task, content_keys

pytestmark = pytest.mark.usefixtures("one_thread", "no_sync")

BAG = load_architecture("bag", {"hidden": 64, "vector_width": 8, "dropout": 0.0})

# 6 and 10, the size of the divergence: tests/test_objectives.py.


def test_public_bug_3_a_student_of_scores_learns_the_teachers_and_not_the_gold_ones(tmp_path):
    task = Task("text", ("text",), "label", "regression")
    said = np.array([3.0 if "good" in text else 1.0 for text in TEXTS])
    # What the labels say is the contrary.
    transfer = transfer_set(tmp_path / "set", labels=(-said).tolist(), task=task)
    cache = cache_of(tmp_path / "L", TEXTS, said[:, None], task)
    training = Training(20, 16, 0.03, monitor="agreement")
    student, metrics = run(transfer, cache, tmp_path / "S", training, dev=source(tmp_path))
    found = outputs_of(student, TEXTS)[:, 0]
    assert np.abs(found - said).max() < 0.5
    assert metrics["history"][-1]["dev_agreement"] > 0.95
    assert metrics["history"][-1]["dev_pearson"] < -0.95
    # The labels change nothing of it but what is said of the dev file.
    other = transfer_set(tmp_path / "other", labels=[None] * 50, task=task)
    same, _ = run(other, cache, tmp_path / "T", Training(20, 16, 0.03))
    best, _ = run(transfer, cache, tmp_path / "U", Training(20, 16, 0.03))
    np.testing.assert_array_equal(outputs_of(same, TEXTS), outputs_of(best, TEXTS))


def source(folder):
    return Source(folder / "set" / "rows.jsonl")


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 31, 33])
def test_public_bug_4_the_last_partial_batch_is_trained_on(tmp_path, rows):
    """The words of each row have moved after one epoch."""
    transfer = transfer_set(tmp_path / "set", TEXTS[:rows], LABELS[:rows])
    # Of a bag each word has a gradient; of a maximum those alone that are the largest somewhere.
    cache, once = cache_of(tmp_path / "L", TEXTS[:rows]), replace(SHORT, epochs=1)
    student, metrics = run(transfer, cache, tmp_path / "S", once, student=BAG)
    assert metrics["rows"] == rows
    words = len(student.encoding)
    first = starting_table(words, np.zeros(0, np.int64), np.zeros((0, 1), np.float32), 8, 0)
    moved = (load_file(tmp_path / "S" / "model.safetensors")["vectors.weight"].numpy() != first).any(1)
    own = [word.startswith("own") for word in student.encoding.words]
    assert sum(own) == rows
    assert moved[3:].all()


def test_public_bug_8_the_vocabulary_is_of_the_transfer_set_alone(tmp_path):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", [*TEXTS, "zebra quagga"])
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\nzebra quagga,pos\nzebra,neg\n")
    student, _ = run(transfer, cache, tmp_path / "S", dev=Source(dev))
    words = json.loads((tmp_path / "S" / "vocabulary.json").read_text())
    assert set(words) == {word for text in TEXTS for word in text.split()}
    (side,) = student.encoding.encode([pa.array(["zebra quagga"])]).sides
    assert side.ids.tolist() == [UNKNOWN, UNKNOWN]


def test_public_bug_8_answers_are_joined_by_what_a_row_says_and_to_the_bit(tmp_path):
    order = np.random.default_rng(0).permutation(50)[:40]
    texts = [TEXTS[n] for n in order]
    # Numbers that five decimals do not hold.
    logits = taught(TEXTS) + np.float32(1e-7) * np.arange(100, dtype=np.float32).reshape(50, 2)
    transfer = transfer_set(tmp_path / "set", texts, [LABELS[n] for n in order])
    data = prepare(tmp_path / "D", transfer, cache_of(tmp_path / "L", TEXTS, logits), RANDOM, "logits")
    np.testing.assert_array_equal(data.train.targets(np.arange(40))[0].numpy(), logits[order])


def test_public_bug_9_a_row_that_was_edited_after_labelling_is_missed_and_not_mislabelled(tmp_path):
    edited = [*TEXTS[:7], "another text", *TEXTS[8:]]
    transfer, cache = transfer_set(tmp_path / "set", edited), cache_of(tmp_path / "L", TEXTS)
    with pytest.raises(StillhouseError, match="1 of 50 are missing: run `stillhouse label`"):
        run(transfer, cache, tmp_path / "S")
    cache.append(content_keys(TASK, pa.table({"text": ["another text"]})), {"logits": np.ones((1, 2), np.float32)})
    data = prepare(tmp_path / "D", transfer, cache, RANDOM, "logits")
    assert data.train.targets(np.array([7]))[0].tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("rows", [64, 60])
def test_public_bug_10_who_is_in_a_batch_together_is_drawn_anew_each_epoch(tmp_path, rows):
    texts = [f"own{n} film" for n in range(rows)]
    transfer = transfer_set(tmp_path / "set", texts, LABELS[:1] * rows)
    data = prepare(tmp_path / "D", transfer, cache_of(tmp_path / "L", texts), RANDOM, "logits")
    model = BAG.build(data.encoding, data.task, 2)
    run_ = Run(model, replace(SHORT, epochs=30), Mse(), 0, data.train, np.arange(rows))
    together = np.zeros((rows, rows), np.int64)
    for run_.epoch in range(30):
        for batch in run_._batches()[0]:
            for pair in combinations(sorted(batch.tolist()), 2):
                together[pair] += 1
    met = together[np.triu_indices(rows, 1)]
    # Frozen batches would put a few pairs together 30 times and the others never.
    assert met.max() < 25
    assert (met > 0).mean() > 0.99
