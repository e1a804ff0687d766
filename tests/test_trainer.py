"""Training: every row once an epoch on its own targets, and the same weights after any interruption."""

import json
import random
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_sets import (
    LABELS,
    PAIR,
    SHORT,
    TASK,
    TEXTS,
    cache_of,
    outputs_of,
    run,
    taught,
    texts_in,
    transfer_set,
    untimed,
    weights,
)

from augment import Mask, augment_file
from label.engine import label as label_rows
from label.huggingface import Huggingface
from students import Reading, Student, Training, evaluate, load_objective, objectives, own_names
from students import _run as run_module
from students.bilstm import Bilstm
from students.objectives.mse import Mse
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, keys_from_arrow

pytestmark = pytest.mark.usefixtures("one_thread", "no_sync")
STUDENT_FILES = ("model.safetensors", "vocabulary.json", "config.json")


@pytest.fixture
def transfer(tmp_path):
    return transfer_set(tmp_path / "set")


@pytest.fixture
def cache(tmp_path):
    return cache_of(tmp_path / "L", TEXTS)


class Watched:
    """Stands in for ``Mse.loss``: keeps what each step was given, and does something at one of them.

    The loss of rows that are watched is none of its business.
    """

    def __init__(self, monkeypatch, at=None, action=None):
        self.teacher, self.gold, self.ids, self.at, self.action = [], [], [], at, action
        loss, distinct = Mse.loss, run_module._distinct

        def watched_loss(objective, outputs, teacher, gold, has_gold):
            if not outputs.requires_grad:
                return loss(objective, outputs, teacher, gold, has_gold)
            self.teacher.append(teacher.clone())
            self.gold.append(gold.clone())
            result = loss(objective, outputs, teacher, gold, has_gold)
            return self.action(result) if len(self.teacher) == self.at else result

        def watched_distinct(sides):
            self.ids.append(sides[0].copy())
            return distinct(sides)

        monkeypatch.setattr(Mse, "loss", watched_loss)
        monkeypatch.setattr(run_module, "_distinct", watched_distinct)


def stop(_):
    raise KeyboardInterrupt


def test_every_row_is_trained_on_once_an_epoch_the_last_partial_batch_too(transfer, cache, tmp_path, monkeypatch):
    seen = Watched(monkeypatch)
    run(transfer, cache, tmp_path / "S")
    sizes = [len(each) for each in seen.teacher]
    assert len(sizes) == 8
    assert sorted(sizes[:4]) == sorted(sizes[4:]) == [2, 16, 16, 16]
    expected = sorted(taught(TEXTS).tolist())
    for epoch in (seen.teacher[:4], seen.teacher[4:]):
        assert sorted(torch.cat(epoch).tolist()) == expected


def test_the_epochs_differ_in_their_order(transfer, cache, tmp_path, monkeypatch):
    seen = Watched(monkeypatch)
    run(transfer, cache, tmp_path / "S")
    assert torch.cat(seen.teacher[:4]).tolist() != torch.cat(seen.teacher[4:]).tolist()


def test_each_text_is_trained_to_match_its_own_logits_and_label(transfer, tmp_path, monkeypatch):
    # The cache holds more than the transfer set, in another order.
    texts = [*TEXTS[::-1], "own77 other"]
    seen = Watched(monkeypatch)
    student, _ = run(transfer, cache_of(tmp_path / "L", texts), tmp_path / "S")
    steps = zip(seen.ids, seen.teacher, seen.gold, strict=True)
    rows = [row for step in steps for row in zip(*step, strict=True)]
    assert len(rows) == 100
    own = {3 + place: int(word[3:]) for place, word in enumerate(student.encoding.words) if word.startswith("own")}
    for ids, teacher_logits, gold in rows:
        number = own[int(ids[0])]
        np.testing.assert_array_equal(teacher_logits, taught(TEXTS[number : number + 1])[0])
        assert TASK.classes[int(gold)] == LABELS[number]


def test_shuffling_or_adding_rows_to_the_cache_changes_no_weight(transfer, cache, tmp_path):
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = cache_of(tmp_path / "M", ["own88 more", *(TEXTS[n] for n in order)])
    run(transfer, cache, tmp_path / "one")
    run(transfer, shuffled, tmp_path / "other")
    assert weights(tmp_path / "one") == weights(tmp_path / "other")


def test_a_filtered_transfer_set_trains_on_the_same_targets(cache, tmp_path, monkeypatch):
    kept = slice(0, None, 3)
    seen = Watched(monkeypatch)
    run(transfer_set(tmp_path / "few", TEXTS[kept], LABELS[kept]), cache, tmp_path / "S")
    assert sorted(torch.cat(seen.teacher).tolist()) == sorted(2 * taught(TEXTS[kept]).tolist())


def test_classes_of_the_cache_in_another_order_are_matched_by_name(transfer, cache, tmp_path):
    turned = cache_of(tmp_path / "M", TEXTS, taught(TEXTS)[:, ::-1], classes=("pos", "neg"))
    run(transfer, cache, tmp_path / "one")
    run(transfer, turned, tmp_path / "other")
    assert weights(tmp_path / "one") == weights(tmp_path / "other")


def test_duplicate_rows_are_each_trained_on(tmp_path, cache, monkeypatch):
    seen = Watched(monkeypatch)
    run(transfer_set(tmp_path / "twice", TEXTS[:5] * 2, LABELS[:5] * 2), cache, tmp_path / "S")
    assert sum(map(len, seen.teacher)) == 20


def test_what_is_learned_fits_the_teacher(transfer, cache, tmp_path):
    student, metrics = run(transfer, cache, tmp_path / "S", Training(25, 16, 0.03))
    logits = outputs_of(student, TEXTS)
    assert ((logits[:, 0] > 0) == (taught(TEXTS)[:, 0] > 0)).all()
    losses = [each["loss"] for each in metrics["history"]]
    assert losses[-1] < 0.1 * losses[0]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(transfer, cache, tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        run(transfer, cache, tmp_path / name, seed=seed)
    assert weights(tmp_path / "one") == weights(tmp_path / "same") != weights(tmp_path / "other")
    one, same = (json.loads((tmp_path / name / "metrics.json").read_bytes()) for name in ("one", "same"))
    assert untimed(one) == untimed(same)


def generators():
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global one is the point
    return random.getstate(), str(numpy_state), torch.get_rng_state().tolist()


def test_the_global_generators_are_neither_touched_nor_looked_at(transfer, cache, tmp_path):
    run(transfer, cache, tmp_path / "one")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        before = generators()
        run(transfer, cache, tmp_path / "other")
        assert generators() == before
    assert weights(tmp_path / "one") == weights(tmp_path / "other")


# Four steps an epoch: in the first no checkpoint is there yet, in the others one is.
@pytest.mark.parametrize("step", [2, 5, 8, 12])
@pytest.mark.parametrize("with_dev", [False, True])
def test_a_run_stopped_at_any_step_and_resumed_ends_in_the_same_bits(transfer, cache, tmp_path, step, with_dev):
    training = Training(epochs=3, batch_size=16, learning_rate=0.01)
    dev = Source(tmp_path / "set" / "rows.jsonl") if with_dev else None
    run(transfer, cache, tmp_path / "whole", training, dev=dev)
    with pytest.MonkeyPatch.context() as patch:
        Watched(patch, step, stop)
        with pytest.raises(KeyboardInterrupt):
            run(transfer, cache, tmp_path / "S", training, dev=dev)
    assert not (tmp_path / "S" / "config.json").exists()
    with pytest.MonkeyPatch.context() as patch:
        rest = Watched(patch)
        run(transfer, cache, tmp_path / "S", training, dev=dev)
    assert len(rest.teacher) == 12 - (step - 1) // 4 * 4
    for name in STUDENT_FILES:
        assert (tmp_path / "S" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    one, other = (json.loads((tmp_path / name / "metrics.json").read_bytes()) for name in ("S", "whole"))
    assert untimed(one) == untimed(other)


def test_a_run_killed_at_any_of_its_renames_and_resumed_ends_in_the_same_bits(transfer, cache, tmp_path):
    """A kill runs no clean-up: the temporary file that was to be renamed stays behind."""
    run(transfer, cache, tmp_path / "whole")
    replace, unlink = Path.replace, Path.unlink
    for fatal in count(1):
        out, done = tmp_path / f"S{fatal}", []

        def dies(path, target, fatal=fatal, done=done):
            done.append(target)
            if len(done) >= fatal:
                raise KeyboardInterrupt
            return replace(path, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", dies)
            patch.setattr(
                Path,
                "unlink",
                lambda path, missing_ok=False: None if path.suffix == ".tmp" else unlink(path, missing_ok),
            )
            try:
                run(transfer, cache, out)
            except KeyboardInterrupt:
                pass
            else:
                break
        run(transfer, cache, out)
        assert weights(out) == weights(tmp_path / "whole")
        assert not (out / "_checkpoint").exists()
    assert fatal > 6


def test_a_finished_run_called_again_trains_nothing_and_gives_the_same(transfer, cache, tmp_path, monkeypatch):
    student, metrics = run(transfer, cache, tmp_path / "S")
    monkeypatch.setattr(Mse, "loss", None)
    again, same = run(transfer, cache, tmp_path / "S")
    assert same == metrics
    np.testing.assert_array_equal(outputs_of(student, TEXTS), outputs_of(again, TEXTS))


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"training": Training(epochs=3, batch_size=16, learning_rate=0.01)},
        {"reading": Reading(vectors="random", max_tokens=7)},
        {"objective": load_objective("kl")},
        {"student": Bilstm(width=4, hidden=8, vector_width=8)},
    ],
)
def test_another_run_in_the_same_place_is_refused(transfer, cache, tmp_path, finished, change):
    with pytest.MonkeyPatch.context() as patch:
        Watched(patch, None if finished else 6, stop)
        if finished:
            run(transfer, cache, tmp_path / "S")
        else:
            with pytest.raises(KeyboardInterrupt):
                run(transfer, cache, tmp_path / "S")
    with pytest.raises(StillhouseError, match=r"must be empty or the same training run, got another.* --force"):
        run(transfer, cache, tmp_path / "S", **change)


@pytest.mark.parametrize("file", ["state.json", "*.safetensors"])
def test_a_damaged_checkpoint_is_refused_in_one_line(transfer, cache, tmp_path, file):
    with pytest.MonkeyPatch.context() as patch:
        Watched(patch, 6, stop)
        with pytest.raises(KeyboardInterrupt):
            run(transfer, cache, tmp_path / "S")
    (damaged,) = (tmp_path / "S" / "_checkpoint").glob(file)
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(StillhouseError, match=r"_checkpoint: must be a checkpoint: .* delete it to start again"):
        run(transfer, cache, tmp_path / "S")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(transfer, cache, tmp_path, value):
    with pytest.MonkeyPatch.context() as patch:
        Watched(patch, 7, lambda loss: loss * value)
        with pytest.raises(StillhouseError, match=f"loss must be finite, got {value} in epoch 2, batch 3: "):
            run(transfer, cache, tmp_path / "S")
    assert json.loads((tmp_path / "S" / "_checkpoint" / "state.json").read_text())["epoch"] == 1
    # What was kept is sound: the run goes on from it and ends as if nothing had been.
    run(transfer, cache, tmp_path / "S")
    run(transfer, cache, tmp_path / "whole")
    assert weights(tmp_path / "S") == weights(tmp_path / "whole")


def test_of_the_epochs_the_one_best_on_the_dev_file_is_kept(transfer, cache, tmp_path):
    dev = Source(tmp_path / "set" / "rows.jsonl")
    student, metrics = run(transfer, cache, tmp_path / "S", Training(5, 16, 0.05), load_objective("gold"), dev=dev)
    history = [each["dev_accuracy"] for each in metrics["history"]]
    assert metrics["best_epoch"] == 1 + int(np.argmax(history))
    for each in (student, Student.load(tmp_path / "S")):
        assert evaluate(each, dev)["accuracy"] == max(history)


def test_without_a_dev_file_the_last_epoch_is_kept(transfer, cache, tmp_path):
    _, metrics = run(transfer, cache, tmp_path / "S")
    assert metrics["best_epoch"] == 2
    assert [each["epoch"] for each in metrics["history"]] == [1, 2]


def test_a_dev_file_changes_no_weight_while_training(transfer, cache, tmp_path, monkeypatch):
    plain = Watched(monkeypatch)
    run(transfer, cache, tmp_path / "one")
    steps = torch.cat(plain.teacher).tolist()
    monkeypatch.undo()
    watched = Watched(monkeypatch)
    _, metrics = run(transfer, cache, tmp_path / "other", dev=Source(tmp_path / "set" / "rows.jsonl"))
    assert torch.cat(watched.teacher).tolist() == steps
    one = json.loads((tmp_path / "one" / "metrics.json").read_text())["history"]
    assert [each["loss"] for each in metrics["history"]] == [each["loss"] for each in one]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\ngood film,pos\nbad film,meh\n", r"row 2, column 'label' must hold one of .*neg, pos.* got 'meh'"),
        ("text,stars\ngood film,pos\n", r"column: must be one of text, stars, got 'label'"),
        ("review,label\ngood film,pos\n", r"column: must be one of review, label, got 'text'"),
        ("text,label\n", "must hold at least one row, got none"),
        ("", "got an empty file"),
        ("text,label\ngood film,\n", "column 'label' must hold labels, got only empty cells"),
    ],
)
def test_a_dev_file_that_does_not_fit_is_refused_before_any_work(transfer, cache, tmp_path, content, message):
    (tmp_path / "dev.csv").write_text(content)
    with pytest.raises(StillhouseError, match=message):
        run(transfer, cache, tmp_path / "S", dev=Source(tmp_path / "dev.csv"))
    assert not (tmp_path / "S").exists()


def test_rows_without_gold_take_no_part_in_training_on_gold(tmp_path):
    augmented = transfer_set(tmp_path / "more", recipe=[Mask(rate=0.5)], copies=3)
    texts = texts_in(augmented)
    assert len(texts) > 2 * len(TEXTS)
    cache = cache_of(tmp_path / "L", list(dict.fromkeys(texts)))
    gold, originals = load_objective("gold"), replace(SHORT, augmenters="none")
    _, metrics = run(augmented, cache, tmp_path / "one", objective=gold)
    assert metrics["rows"] == len(TEXTS)
    # So training on gold is training on the originals.
    run(augmented, cache, tmp_path / "other", originals, gold)
    assert weights(tmp_path / "one") == weights(tmp_path / "other")
    # And with the teacher's logits the others do take part.
    _, metrics = run(augmented, cache, tmp_path / "three")
    assert metrics["rows"] == len(texts)
    run(augmented, cache, tmp_path / "four", originals)
    assert weights(tmp_path / "three") != weights(tmp_path / "four")


def test_training_on_gold_without_gold_is_refused(tmp_path, cache):
    unlabelled = transfer_set(tmp_path / "a", task=Task("text", ("text",), classes=("neg", "pos")))
    with pytest.raises(StillhouseError, match="must have gold labels, got a transfer set without a label column"):
        run(unlabelled, cache, tmp_path / "S", objective=load_objective("gold"))


def test_an_unlabelled_transfer_set_takes_the_teachers_classes(tmp_path):
    transfer = transfer_set(tmp_path / "a", task=Task("text", ("text",)))
    cache = cache_of(tmp_path / "L", TEXTS, classes=("dull", "great"), task=TASK)
    student, _ = run(transfer, cache, tmp_path / "S")
    assert student.task.classes == ("dull", "great")


def test_a_cache_without_some_rows_is_refused_and_what_to_run_is_named(transfer, tmp_path):
    cache = cache_of(tmp_path / "L", TEXTS[7:])
    with pytest.raises(StillhouseError, match="7 of 50 are missing: run `stillhouse label`"):
        run(transfer, cache, tmp_path / "S")
    assert not (tmp_path / "S").exists()


def test_a_cache_of_other_classes_is_refused(transfer, tmp_path):
    cache = cache_of(tmp_path / "L", TEXTS, classes=("cat", "dog"))
    with pytest.raises(StillhouseError, match=r"classes must be those of the task \(neg, pos\), got cat, dog"):
        run(transfer, cache, tmp_path / "S")


def test_a_loss_between_embeddings_of_pairs_is_refused(tmp_path):
    pairs = [("x", "y"), ("y", "z")]
    transfer = transfer_set(tmp_path / "set", pairs, ["neg", "pos"], PAIR)
    with pytest.raises(StillhouseError, match="loss cosine: must be given single texts or features, got pairs"):
        run(transfer, cache_of(tmp_path / "L", pairs, task=PAIR), tmp_path / "S", objective=load_objective("cosine"))
    assert not (tmp_path / "S").exists()


def test_a_student_of_texts_is_refused_for_features(tmp_path, cache):
    (tmp_path / "rows.csv").write_text("a,b,label\n1,2,x\n3,4,y\n5,6,x\n")
    task = Task("features", ("a", "b"), "label", classes=("x", "y"))
    augment_file(Source(tmp_path / "rows.csv"), task, tmp_path / "T", "munge", copies=1)
    with pytest.raises(StillhouseError, match="student bilstm: must be given text or pair, got 'features'"):
        run(TransferSet.open(tmp_path / "T"), cache, tmp_path / "S")


def test_a_loss_that_is_not_for_the_target_is_refused(tmp_path, cache):
    task = Task("text", ("text",), "label", "regression")
    transfer = transfer_set(tmp_path / "a", labels=[n / 7 for n in range(50)], task=task)
    with pytest.raises(StillhouseError, match="loss kl: must be given classification or multilabel, got regression"):
        run(transfer, cache, tmp_path / "S", objective=load_objective("kl"))


def test_a_place_that_holds_something_else_is_left_alone(transfer, cache, tmp_path):
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "thesis.txt").write_text("years of work")
    with pytest.raises(StillhouseError, match=r"must be empty or a student's directory, got 'thesis.txt' in it"):
        run(transfer, cache, tmp_path / "S")
    (tmp_path / "file").write_text("")
    with pytest.raises(StillhouseError, match="must be a directory, got a file"):
        run(transfer, cache, tmp_path / "file")
    assert [path.name for path in (tmp_path / "S").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "names", [["README.md"], ["metrics.json", "tokenizer.json"], ["config.json", "model.safetensors"]]
)
def test_files_that_only_have_the_names_of_a_students_are_left_alone(transfer, cache, tmp_path, names):
    """As those of a project that begins, or of a teacher."""
    (tmp_path / "S").mkdir()
    for name in names:
        (tmp_path / "S" / name).write_text('{"architectures": []}')
    with pytest.raises(StillhouseError, match=f"must be empty or a student's directory, got '{names[0]}' in it"):
        run(transfer, cache, tmp_path / "S")
    assert sorted(path.name for path in (tmp_path / "S").iterdir()) == names
    assert own_names(tmp_path / "S") == frozenset()


def test_another_runs_checkpoint_is_refused_before_its_data_is_touched(transfer, cache, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        Watched(patch, 6, stop)
        with pytest.raises(KeyboardInterrupt):
            run(transfer, cache, tmp_path / "S")
    data = {path: path.read_bytes() for path in (tmp_path / "S").rglob("*.bin")}
    assert data
    with pytest.raises(StillhouseError, match="got another's checkpoint"):
        run(transfer, cache, tmp_path / "S", reading=Reading(vectors="random", max_tokens=1))
    assert {path: path.read_bytes() for path in (tmp_path / "S").rglob("*.bin")} == data


def test_a_checkpoint_that_lost_its_tensors_is_refused(transfer, cache, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        Watched(patch, 6, stop)
        with pytest.raises(KeyboardInterrupt):
            run(transfer, cache, tmp_path / "S")
    next((tmp_path / "S" / "_checkpoint").glob("epoch-*")).unlink()
    with pytest.raises(StillhouseError, match=r"_checkpoint: must be a checkpoint: .* delete it to start again"):
        run(transfer, cache, tmp_path / "S")


def test_only_the_most_frequent_words_get_vectors(transfer, cache, tmp_path):
    student, _ = run(transfer, cache, tmp_path / "S", reading=Reading(vectors="random", most_words=3))
    assert len(student.encoding.words) == 3
    assert not [word for word in student.encoding.words if word.startswith("own")]
    assert load_file(tmp_path / "S" / "model.safetensors")["vectors.weight"].shape == (6, 8)


def test_the_padding_keeps_its_zero_vector(transfer, cache, tmp_path):
    student, _ = run(transfer, cache, tmp_path / "S")
    assert not student.model.vectors.weight[0].any()


def test_the_student_says_what_made_it_and_holds_no_pickle(transfer, cache, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        Watched(patch, 6, stop)
        with pytest.raises(KeyboardInterrupt):
            run(transfer, cache, tmp_path / "S", seed=3)
    # What the data set keeps between runs are plain arrays, which no bytes can be a pickle of.
    files = [path for path in (tmp_path / "S").rglob("*") if path.is_file() and path.suffix != ".bin"]
    run(transfer, cache, tmp_path / "T")
    files += [path for path in (tmp_path / "T").rglob("*") if path.is_file()]
    assert len(files) >= 6
    for path in files:
        if path.name == "lock":
            assert path.read_bytes() == b""
            continue
        assert path.suffix in (".json", ".safetensors", ".md")
        # A pickle of protocol 2 and later begins with this byte; torch's own files are zip archives of pickles.
        assert path.read_bytes()[:1] != b"\x80"
        assert path.read_bytes()[:2] != b"PK"
    made_from = Student.load(tmp_path / "T").config.made_from
    assert made_from["cache"]["teacher"] == "hand"
    assert made_from["transfer"]["source"]["rows"] == 50
    assert (made_from["seed"], made_from["objective"]) == (0, {"mse": {"alpha": 0.0}})
    assert (made_from["torch"], made_from["reading"]["vectors"]) == (torch.__version__, "random")


TASKS = {
    "classification": (TASK, LABELS),
    "multilabel": (
        Task("text", ("text",), "label", "multilabel", ("a", "b", "c")),
        [[], ["a"], ["a", "c"], None, ["b"]] * 10,
    ),
    "regression": (Task("text", ("text",), "label", "regression"), [n / 7 for n in range(49)] + [None]),
}


FITTING = [(name, target) for name, each in objectives().items() for target in TASKS if target in each.targets]


@pytest.mark.parametrize(("name", "target"), FITTING)
def test_every_objective_trains_on_every_kind_of_target_it_is_for(tmp_path, name, target):
    task, labels = TASKS[target]
    transfer = transfer_set(tmp_path / "set", labels=labels, task=task)
    embedding = np.random.default_rng(0).normal(size=(len(TEXTS), 3)).astype(np.float32)
    logits = taught(TEXTS, 1 if target == "regression" else task.outputs)
    cache = cache_of(tmp_path / "L", TEXTS, logits, task, embedding=embedding)
    dev = Source(tmp_path / "set" / "rows.jsonl")
    objective = load_objective(name)
    student, metrics = run(transfer, cache, tmp_path / "S", Training(4, 16, 0.01), objective, dev=dev)
    history = metrics["history"]
    assert history[-1]["loss"] < history[0]["loss"]
    main = {"multilabel": "dev_f1_macro", "classification": "dev_mcc", "regression": "dev_spearman"}[target]
    watched = ("dev_cosine",) if objective.signal == "embedding" else (main, "dev_agreement")
    assert {*watched, "dev_loss"} <= {*history[0]}
    assert (student.config.output, student.config.width) == (objective.signal, cache.widths[objective.signal])
    np.testing.assert_array_equal(outputs_of(student, TEXTS), outputs_of(Student.load(tmp_path / "S"), TEXTS))


def test_a_single_label_that_is_there_or_not_is_learned_from_gold_as_a_yes_or_no(tmp_path):
    # A squared error would pull the rows without it to 0, which is where the decision is made.
    task = Task("text", ("text",), "label", "multilabel", ("a",))
    has = np.array(["good" in text for text in TEXTS])
    transfer = transfer_set(tmp_path / "set", labels=[["a"] if each else [] for each in has], task=task)
    cache = cache_of(tmp_path / "L", TEXTS, taught(TEXTS, 1), task)
    gold = load_objective("gold")
    student, _ = run(transfer, cache, tmp_path / "S", Training(25, 16, 0.03), gold)
    logits = outputs_of(student, TEXTS)[:, 0]
    assert logits[has].min() > 2
    assert logits[~has].max() < -2


@pytest.mark.parametrize("reading", [Reading(), Reading(tokens="pieces")])
def test_a_student_of_a_real_teacher_agrees_with_it(tiny_teacher, labelled_file, tmp_path, reading):
    augment_file(Source(labelled_file), TASK, tmp_path / "T", [Mask(rate=0.2)], copies=2)
    transfer = TransferSet.open(tmp_path / "T")
    label_rows(transfer, Huggingface(str(tiny_teacher), dtype="float32"), tmp_path / "L", name="my-bert")
    cache = LogitCache.open(tmp_path / "L")
    student, metrics = run(transfer, cache, tmp_path / "S", Training(10, 32, 0.02), reading=reading)
    assert metrics["teacher"] == "my-bert"
    assert "| Teacher | `my-bert`, fingerprint " in (tmp_path / "S" / "README.md").read_text()
    tables = list(transfer.tables(["text", "key"]))
    logits = np.concatenate([student.outputs(table) for table in tables])
    teacher = np.concatenate([cache.logits(keys_from_arrow(table["key"]), TASK) for table in tables])
    assert ((logits - teacher) ** 2).mean() < 0.5 * teacher.var()


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_any_warm_up_trains(transfer, cache, tmp_path, warmup):
    _, metrics = run(transfer, cache, tmp_path / "S", Training(2, 16, 0.01, warmup=warmup))
    assert np.isfinite([each["loss"] for each in metrics["history"]]).all()
