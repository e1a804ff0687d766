"""The data set of a student: each row with its own words, answers, labels and rules, read once and found again."""

import json
import os
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save
from small_sets import LABELS, PAIR, RANDOM, TASK, TEXTS, cache_of, feature_set, run, taught, texts_in, transfer_set

from augment import Mask, Ngram, Pos
from augment import _ingest as ingest_module
from students import Reading, Training, load_objective
from students import _prepare as preparing
from students._dataset import open_dataset, rows_to_train
from students._judge import Judge
from students._prepare import describe_sources, prepare
from students._words import SPECIAL
from transferset import Ensemble, LogitCache, Member, Source, StillhouseError, Task, content_keys

pytestmark = pytest.mark.usefixtures("no_sync")
RULES = [Mask(rate=0.2), Pos(rate=0.2, tagger="classes"), Ngram(rate=0.3)]
MANY = [Task("text", ("text",), "label", "multilabel", ("a", "b", "c")), [["a"], None, ["c", "a"], [], ["b"]]]
SCORES = [Task("text", ("text",), "label", "regression"), [0.5, None, -3, 1e6, 0]]


@pytest.fixture
def parts(monkeypatch):
    """Transfer sets have parts of a few rows."""
    monkeypatch.setattr(ingest_module, "PART_ROWS", 40)


@pytest.fixture
def augmented(tmp_path, parts):
    """A transfer set of several parts in which three rules were at work."""
    made = transfer_set(tmp_path / "set", recipe=RULES, copies=4)
    assert len(made.store.parts()) > 2
    return made


def full_cache(folder, transfer, **options):
    return cache_of(folder, list(dict.fromkeys(texts_in(transfer))), **options)


def rows_in(transfer):
    return [row for table in transfer.tables() for row in table.to_pylist()]


def made(folder, transfer, cache, reading=RANDOM, signal="logits", **options):
    return prepare(folder, transfer, cache, reading, signal, **options)


def words_of(data, side=0):
    """The texts as the student reads them, word by word."""
    names, tokens = [*SPECIAL, *data.encoding.words], data.train.inputs.sides[side]
    return [[names[number] for number in tokens.ids[a:b]] for a, b in pairwise(tokens.first)]


def targets_of(data, rows=None):
    rows = np.arange(len(data.train.inputs)) if rows is None else rows
    return [each.numpy() for each in data.train.targets(rows)]


def test_every_row_is_there_in_order_with_its_words_answers_label_source_and_copy(tmp_path, augmented):
    data, rows = made(tmp_path / "D", augmented, full_cache(tmp_path / "L", augmented)), rows_in(augmented)
    mask = augmented.mask_token.lower()
    assert words_of(data) == [row["text"].lower().replace(mask, "<mask>").split() for row in rows]
    teacher, gold, has_gold = targets_of(data)
    np.testing.assert_array_equal(teacher, taught([row["text"] for row in rows]))
    assert teacher.dtype == np.float32
    assert has_gold.tolist() == [row["label"] is not None for row in rows]
    assert [TASK.classes[each] for each in gold[has_gold]] == [row["label"] for row in rows if row["label"]]
    assert data.source.tolist() == [row["source"] for row in rows]
    assert data.copy.tolist() == [row["copy"] for row in rows]


def test_rules_are_those_of_a_slow_loop(tmp_path, augmented):
    data = made(tmp_path / "D", augmented, full_cache(tmp_path / "L", augmented))
    assert sorted(data.rule_names) == ["mask", "ngram", "pos"]
    found = [{name for bit, name in enumerate(data.rule_names) if int(rules) >> bit & 1} for rules in data.rules]
    assert found == [{edit["rule"] for edit in row["edits"]} for row in rows_in(augmented)]
    assert len(set(map(frozenset, found))) > 4


@pytest.mark.parametrize("copies", [None, 0, 1, 3, 99])
@pytest.mark.parametrize("augmenters", [None, "none", "", "mask", "mask,pos", " pos , mask ", "ngram,pos,mask"])
@pytest.mark.parametrize("needs_gold", [False, True])
def test_the_rows_to_train_on_are_those_of_a_slow_loop(tmp_path_factory, copies, augmenters, needs_gold):
    data, rows = shared_set(tmp_path_factory)
    allowed = None if augmenters is None else {name.strip() for name in augmenters.split(",")}
    wanted = [
        place
        for place, row in enumerate(rows)
        if (copies is None or row["copy"] <= copies)
        and (allowed is None or {edit["rule"] for edit in row["edits"]} <= allowed)
        and not (needs_gold and row["label"] is None)
    ]
    assert rows_to_train(data, needs_gold, copies, augmenters).tolist() == wanted


_made = {}


def shared_set(tmp_path_factory):
    """One data set with three rules, and its rows, for tests that only look."""
    if not _made:
        folder = tmp_path_factory.mktemp("shared")
        transfer = transfer_set(folder / "set", recipe=RULES, copies=4)
        _made["set"] = made(folder / "D", transfer, full_cache(folder / "L", transfer)), rows_in(transfer)
    return _made["set"]


def test_a_rule_that_edited_nothing_is_refused(tmp_path_factory):
    data, _ = shared_set(tmp_path_factory)
    with pytest.raises(StillhouseError, match=r"augmenters must be those of the transfer set \(.*mask.*\), got 'mlm'"):
        rows_to_train(data, False, None, "mask,mlm")


def test_no_rows_left_to_train_on_are_refused(tmp_path):
    transfer = transfer_set(tmp_path / "set", labels=[None] * 49 + ["pos"], task=TASK)
    data = made(tmp_path / "D", transfer, cache_of(tmp_path / "L", TEXTS))
    assert rows_to_train(data, True, None, None).tolist() == [49]
    transfer = transfer_set(tmp_path / "other", labels=[None] * 50, task=TASK)
    data = made(tmp_path / "E", transfer, cache_of(tmp_path / "M", TEXTS, classes=("neg", "pos")))
    with pytest.raises(StillhouseError, match="must hold rows to train on, got none with a gold label"):
        rows_to_train(data, True, None, None)


def test_the_order_of_the_cache_its_parts_and_what_else_it_holds_change_nothing(tmp_path, augmented):
    texts = list(dict.fromkeys(texts_in(augmented)))
    plain = made(tmp_path / "D", augmented, cache_of(tmp_path / "L", texts))
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = cache_of(tmp_path / "M", ["another text"])
    for some in np.array_split(order, 4):
        chosen = [texts[n] for n in some]
        shuffled.append(content_keys(TASK, pa.table({"text": chosen})), {"logits": taught(chosen)})
    assert len(shuffled.store.parts()) == 5
    other = made(tmp_path / "E", augmented, LogitCache.open(tmp_path / "M"))
    np.testing.assert_array_equal(targets_of(plain)[0], targets_of(other)[0])
    assert words_of(plain) == words_of(other)


def test_classes_of_the_cache_in_another_order_are_turned_round(tmp_path):
    transfer = transfer_set(tmp_path / "set")
    cache = cache_of(tmp_path / "L", TEXTS, taught(TEXTS)[:, ::-1], classes=("pos", "neg"))
    data = made(tmp_path / "D", transfer, cache)
    np.testing.assert_array_equal(targets_of(data)[0], taught(TEXTS))
    assert data.task.classes == ("neg", "pos")


def test_an_unlabelled_transfer_set_has_the_classes_of_the_cache(tmp_path):
    transfer = transfer_set(tmp_path / "set", task=Task("text", ("text",)))
    data = made(tmp_path / "D", transfer, cache_of(tmp_path / "L", TEXTS, classes=("dull", "great")))
    assert data.task.classes == ("dull", "great")
    assert not targets_of(data)[2].any()


def ensemble(folder, texts=TEXTS):
    """Two teachers, the second of which has its classes in another order, and counts three times as much."""
    cache_of(folder / "member-a", texts)
    cache_of(folder / "member-b", texts, -taught(texts)[:, ::-1], classes=("pos", "neg"))
    members = [Member("member-a", 1.0, "a"), Member("member-b", 3.0, "b")]
    return Ensemble.write(folder, members, "logits", ("neg", "pos"))


def test_of_an_ensemble_the_mean_is_learned(tmp_path):
    data = made(tmp_path / "D", transfer_set(tmp_path / "set"), ensemble(tmp_path / "E"))
    np.testing.assert_allclose(targets_of(data)[0], taught(TEXTS) / 4 - taught(TEXTS) * 3 / 4, atol=1e-6)


@pytest.mark.parametrize(("task", "labels"), [MANY, SCORES])
def test_labels_of_every_kind_and_missing_ones(tmp_path, task, labels):
    transfer = transfer_set(tmp_path / "set", TEXTS[:5], labels, task)
    logits = np.arange(5 * task.outputs).reshape(5, -1) / 7
    data = made(tmp_path / "D", transfer, cache_of(tmp_path / "L", TEXTS[:5], logits, task))
    teacher, gold, has_gold = targets_of(data)
    np.testing.assert_array_equal(teacher, logits.astype(np.float32))
    assert has_gold.tolist() == [True, False, True, True, True]
    if task.target == "regression":
        assert (gold[has_gold, 0].tolist(), gold.dtype) == ([0.5, -3.0, 1e6, 0.0], np.float32)
    else:
        wanted = [[name in label for name in task.classes] for label in labels if label is not None]
        assert (gold[has_gold].tolist(), gold.dtype) == (wanted, np.bool_)


def test_pairs_have_two_texts(tmp_path):
    pairs = list(zip(TEXTS, [text.upper() for text in TEXTS[::-1]], strict=True))
    transfer = transfer_set(tmp_path / "set", pairs, LABELS, PAIR)
    data = made(tmp_path / "D", transfer, cache_of(tmp_path / "L", pairs, task=PAIR))
    assert [words_of(data, side) for side in (0, 1)] == [
        [text.split() for text in each] for each in (TEXTS, TEXTS[::-1])
    ]
    np.testing.assert_array_equal(targets_of(data)[0], taught([" ".join(pair) for pair in pairs]))


def test_features_are_read_as_their_encoding_has_them(tmp_path):
    transfer, cache = feature_set(tmp_path / "set")
    data = made(tmp_path / "D", transfer, cache)
    table = pa.concat_tables(list(transfer.tables()))
    inputs = data.encoding.encode([table[name] for name in transfer.task.inputs])
    rows = np.arange(50)
    for one, other in zip(data.train.inputs.batch(rows), inputs.batch(rows), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(targets_of(data)[0], cache.logits(content_keys(transfer.task, table), transfer.task))
    # No word is read, so how words are read is nobody's business.
    assert describe_sources(transfer, cache, Reading(max_tokens=3), "logits", None, None) == describe_sources(
        transfer, cache, RANDOM, "logits", None, None
    )
    assert (len(data.known), data.made_from["reading"]) == (0, {})


def test_embeddings_are_learned_as_they_are(tmp_path):
    embedding = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    cache = cache_of(tmp_path / "L", TEXTS, classes=("pos", "neg"), embedding=embedding)
    data = made(tmp_path / "D", transfer_set(tmp_path / "set"), cache, signal="embedding")
    np.testing.assert_array_equal(targets_of(data)[0], embedding)
    assert (data.signal, data.width) == ("embedding", 7)


def test_long_texts_are_cut(tmp_path):
    texts = ["one two three four five", "", "one two", "six seven eight nine"]
    transfer = transfer_set(tmp_path / "set", texts, LABELS[:4])
    data = made(tmp_path / "D", transfer, cache_of(tmp_path / "L", texts), Reading(vectors="random", max_tokens=3))
    assert words_of(data) == [text.split()[:3] for text in texts]


def test_texts_without_any_word_are_read(tmp_path):
    data = made(
        tmp_path / "D", transfer_set(tmp_path / "set", ["", "  "], LABELS[:2]), cache_of(tmp_path / "L", ["", "  "])
    )
    assert data.train.inputs.lengths.tolist() == [0, 0]
    assert [each.tolist() for each in data.train.inputs.batch(np.array([0, 1]))] == [[[0], [0]], [1, 1]]


# Rows to watch.


def judge(data, objective="mse", **training):
    return Judge(data, load_objective(objective), Training(**training))


@pytest.mark.parametrize(
    "settings", [{}, {"copies": 2}, {"augmenters": "mask"}, {"copies": 1, "augmenters": "mask,pos"}]
)
def test_of_a_source_that_is_watched_no_copy_is_trained_on(tmp_path_factory, settings):
    data, rows = shared_set(tmp_path_factory)
    found = judge(data, holdout=0.3, **settings)
    watched = {rows[row]["source"] for row in found.rows}
    trained = {rows[row]["source"] for row in found.rows_left}
    assert not watched & trained
    assert [row for row in found.rows if rows[row]["copy"]] == []
    # What takes part of other sources still does.
    kept = rows_to_train(data, False, settings.get("copies"), settings.get("augmenters"))
    assert found.rows_left.tolist() == [row for row in kept if rows[row]["source"] not in watched]
    assert 5 <= len(watched) <= 26


def test_all_students_of_a_share_are_watched_on_the_same_rows(tmp_path_factory):
    data, _ = shared_set(tmp_path_factory)
    one, same, fewer = judge(data, holdout=0.3), judge(data, "kl", holdout=0.3), judge(data, holdout=0.3, copies=0)
    assert one.rows.tolist() == same.rows.tolist() == fewer.rows.tolist()
    # A smaller share is part of a larger one.
    assert set(judge(data, holdout=0.1).rows) < set(one.rows)


def test_a_holdout_that_leaves_nothing_to_watch_or_to_train_on_is_refused(tmp_path_factory):
    data, _ = shared_set(tmp_path_factory)
    for share in (1e-9, 1 - 1e-9):
        with pytest.raises(StillhouseError, match="holdout must leave rows to watch and rows to train on, got"):
            judge(data, holdout=share)


@pytest.mark.parametrize("settings", [{"patience": 2}, {"monitor": "loss"}])
def test_nothing_to_watch_is_refused_where_something_must_be(tmp_path_factory, settings):
    data, _ = shared_set(tmp_path_factory)
    with pytest.raises(
        StillhouseError, match="patience and monitor must have rows to watch, got none: give --dev FILE"
    ):
        judge(data, **settings)
    assert judge(data, holdout=0.3, **settings).examples is not None


def dev_file(folder, texts=TEXTS[:9], labels=LABELS[:9], name="dev.jsonl", column="label"):
    rows = [json.dumps({"text": text, column: label}) for text, label in zip(texts, labels, strict=True)]
    (folder / name).write_text("\n".join(rows) + "\n")
    return Source(folder / name)


def test_a_dev_file_has_its_labels_and_what_the_teacher_says_of_it(tmp_path):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", [*TEXTS, "quite new"])
    texts = ["quite new", *TEXTS[3:8]]
    data = made(tmp_path / "D", transfer, cache, dev=dev_file(tmp_path, texts, LABELS[:6]))
    teacher, gold, has_gold = data.dev.targets(np.arange(6))
    np.testing.assert_array_equal(teacher, taught(texts))
    assert [TASK.classes[each] for each in gold] == LABELS[:6]
    assert has_gold.all()
    # Its words are read, and not learned.
    assert "quite" not in data.encoding.words
    assert data.dev.inputs.sides[0].ids[:2].tolist() == [1, 1]
    assert judge(data).rows_left.tolist() == list(range(50))


def test_of_a_dev_file_that_the_cache_lacks_a_row_of_no_answer_is_known(tmp_path):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    data = made(tmp_path / "D", transfer, cache, dev=dev_file(tmp_path, ["quite new", *TEXTS[:3]], LABELS[:4]))
    assert data.dev.teacher is None
    assert judge(data).metric == "dev_accuracy"
    for monitor in ("loss", "agreement"):
        with pytest.raises(
            StillhouseError, match=f"monitor must be one of accuracy, f1, mcc, got '{monitor}': .* label"
        ):
            judge(data, monitor=monitor)


def test_a_dev_file_that_is_labelled_later_is_watched_then(tmp_path):
    """The advice that the error gives helps, though the data set is kept."""
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    dev = dev_file(tmp_path, ["quite new", *TEXTS[:3]], LABELS[:4])
    assert made(tmp_path / "D", transfer, cache, dev=dev).dev.teacher is None
    cache.append(content_keys(TASK, pa.table({"text": ["quite new"]})), {"logits": taught(["quite new"])})
    data = made(tmp_path / "D", transfer, cache, dev=dev)
    assert judge(data, monitor="loss").metric == "dev_loss"


def test_the_label_of_a_dev_file_may_have_another_name(tmp_path):
    transfer = transfer_set(tmp_path / "set", task=Task("text", ("text",)))
    cache = cache_of(tmp_path / "L", TEXTS, classes=("neg", "pos"))
    dev = dev_file(tmp_path, column="mood")
    data = made(tmp_path / "D", transfer, cache, dev=dev, dev_label="mood")
    assert [TASK.classes[each] for each in data.dev.targets(np.arange(9))[1]] == LABELS[:9]
    with pytest.raises(StillhouseError, match=r"must have gold labels to measure by: .* say --label COLUMN"):
        made(tmp_path / "E", transfer, cache, dev=dev)


@pytest.mark.parametrize(
    ("task", "labels", "names"),
    [
        (TASK, LABELS[:5], ["loss", "accuracy", "f1", "mcc", "agreement"]),
        (MANY[0], [["a"], ["b"], [], ["c"], ["a", "b"]], ["loss", "accuracy", "f1_micro", "f1_macro", "agreement"]),
        (SCORES[0], [1.0, 2.0, 0.0, 4.0, 5.0], ["loss", "pearson", "spearman", "mse", "agreement"]),
    ],
)
def test_every_metric_that_there_is_can_be_watched(tmp_path, task, labels, names):
    texts = TEXTS[:5]
    transfer = transfer_set(tmp_path / "set", texts, labels, task)
    cache = cache_of(tmp_path / "L", texts, np.zeros((5, task.outputs)), task)
    data = made(tmp_path / "D", transfer, cache, dev=dev_file(tmp_path, texts, labels))
    for name in names:
        found = judge(data, monitor=name)
        assert (found.metric, found.lower) == (f"dev_{name}", name in ("loss", "mse"))
    with pytest.raises(StillhouseError, match=f"monitor must be one of {', '.join(names)}, got 'cosine'"):
        judge(data, monitor="cosine")


def test_a_dev_file_and_a_holdout_exclude_each_other(tmp_path):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    data = made(tmp_path / "D", transfer, cache, dev=dev_file(tmp_path))
    with pytest.raises(StillhouseError, match=r"holdout must be 0 where there is a dev file, got 0\.1"):
        judge(data, holdout=0.1)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (TEXTS[:2], ["pos", "meh"], "row 2, column 'label' must hold one of the classes neg, pos, got 'meh'"),
        (TEXTS[:2], [None, None], "column 'label' must hold labels, got only empty cells"),
    ],
)
def test_a_dev_file_that_does_not_fit_is_refused(tmp_path, texts, labels, message):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    with pytest.raises(StillhouseError, match=message) as refused:
        made(tmp_path / "D", transfer, cache, dev=dev_file(tmp_path, texts, labels))
    assert "\n" not in str(refused.value)


# What the cache must hold.


@pytest.mark.parametrize("held", [range(7, 50), range(43), range(0)])
def test_all_rows_that_the_cache_lacks_are_counted_before_any_work(tmp_path, parts, monkeypatch, held):
    monkeypatch.setattr(preparing, "_learn_encoding", None)
    transfer = transfer_set(tmp_path / "set")
    assert len(transfer.store.parts()) == 2
    cache = cache_of(tmp_path / "L", [TEXTS[n] for n in held])
    with pytest.raises(StillhouseError, match=f"{50 - len(held)} of 50 are missing: run `stillhouse label` with --out"):
        made(tmp_path / "D", transfer, cache)


def test_a_cache_of_nothing_yet_is_refused(tmp_path):
    about = {"teacher": "hand", "inputs": "text", "target": "classification", "classes": ["neg", "pos"]}
    cache = LogitCache.create(tmp_path / "L", {**about, "signals": {"logits": 2}, "storage": "float32"}, {})
    with pytest.raises(StillhouseError, match="50 of 50 are missing: run `stillhouse label`"):
        made(tmp_path / "D", transfer_set(tmp_path / "set"), cache)


def test_a_signal_that_the_cache_lacks_is_refused(tmp_path):
    transfer = transfer_set(tmp_path / "set")
    with pytest.raises(StillhouseError, match="must hold embedding, got logits: run `stillhouse label` with --signals"):
        made(tmp_path / "D", transfer, cache_of(tmp_path / "L", TEXTS), signal="embedding")
    with pytest.raises(StillhouseError, match="must hold embedding, got an ensemble, which has logits alone"):
        made(tmp_path / "D", transfer, ensemble(tmp_path / "E"), signal="embedding")


def test_a_member_of_an_ensemble_that_lacks_rows_is_named(tmp_path):
    made_of = ensemble(tmp_path / "E", TEXTS[:40])
    with pytest.raises(StillhouseError, match=r"member-a: .* 10 of 50 are missing: run `stillhouse label`"):
        made(tmp_path / "D", transfer_set(tmp_path / "set"), made_of)


def test_a_cache_of_other_classes_is_refused(tmp_path):
    cache = cache_of(tmp_path / "L", TEXTS, classes=("cat", "dog"))
    with pytest.raises(StillhouseError, match=r"classes must be those of the task \(neg, pos\), got cat, dog"):
        made(tmp_path / "D", transfer_set(tmp_path / "set"), cache)


# Made once.


def stamps(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize("with_dev", [False, True])
def test_the_same_folder_is_opened_and_not_made_again(tmp_path, augmented, with_dev, monkeypatch):
    cache = full_cache(tmp_path / "L", augmented)
    dev = {"dev": dev_file(tmp_path)} if with_dev else {}
    first = made(tmp_path / "D", augmented, cache, **dev)
    before = stamps(tmp_path / "D")
    # More rows in the cache make no other data.
    cache.append(content_keys(TASK, pa.table({"text": ["more"]})), {"logits": taught(["more"])})
    monkeypatch.setattr(preparing, "write_arrays", None)
    again = made(tmp_path / "D", augmented, cache, **dev)
    assert stamps(tmp_path / "D") == before
    for data in (again, open_dataset(tmp_path / "D")):
        assert words_of(data) == words_of(first)
        for one, other in zip(targets_of(data), targets_of(first), strict=True):
            np.testing.assert_array_equal(one, other)
        assert (data.task, data.encoding, data.rule_names) == (first.task, first.encoding, first.rule_names)
        assert data.made_from == first.made_from
        assert (data.dev is not None) == with_dev


def glove(path, values):
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in values.items()))


def test_other_sources_are_made_anew(tmp_path):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    file = tmp_path / "glove.txt"
    glove(file, {"good": [1, 2], "bad": [3, 4]})
    words = Reading(vectors=str(file))
    dev = dev_file(tmp_path, name="dev.csv")
    (tmp_path / "dev.csv").write_text("text,label,other\ngood,pos,neg\nbad,neg,pos\n")
    described = {
        json.dumps(describe_sources(transfer, cache, *each), sort_keys=True)
        for each in (
            (RANDOM, "logits", None, None),
            (Reading(vectors="random", max_tokens=2), "logits", None, None),
            (RANDOM, "embedding", None, None),
            (words, "logits", None, None),
            (RANDOM, "logits", dev, None),
            (RANDOM, "logits", dev, "other"),
            (RANDOM, "logits", Source(dev.path, quote=False), None),
            (RANDOM, "logits", Source(dev.path, encoding="latin-1"), None),
        )
    }
    assert len(described) == 8
    made(tmp_path / "D", transfer, cache, words)
    # A file of the same name with other vectors in it is another one.
    glove(file, {"good": [1, 2], "bad": [3, 5]})
    data = made(tmp_path / "D", transfer, cache, words)
    assert sorted(data.vectors.tolist()) == [[1, 2], [3, 5]]
    (tmp_path / "dev.csv").write_text("text,label\ngood,pos\n")
    assert json.dumps(describe_sources(transfer, cache, RANDOM, "logits", dev, None), sort_keys=True) not in described


def test_one_that_was_killed_while_another_was_made_is_not_taken_for_whole(tmp_path, monkeypatch):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    first = words_of(made(tmp_path / "D", transfer, cache))
    short, columns = Reading(vectors="random", max_tokens=1), preparing.write_arrays

    def dies(folder, of, pieces):
        columns(folder, of, pieces)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "write_arrays", dies)
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "D", transfer, cache, short)
    assert words_of(made(tmp_path / "D", transfer, cache)) == first


def test_its_files_are_synced_before_they_are_described(tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def watched(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    made(tmp_path / "D", transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS))
    names = {str(path) for path in (tmp_path / "D").glob("*.bin")}
    assert len(names) > 5
    assert names <= set(synced)


def test_a_file_of_vectors_that_is_not_there_is_refused_before_the_cache_is_copied(tmp_path, monkeypatch):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    monkeypatch.setattr(LogitCache, "reader", None)
    with pytest.raises(StillhouseError, match=r"none\.txt: must be a GloVe or word2vec file, got nothing there"):
        run(transfer, cache, tmp_path / "S", reading=Reading(vectors=str(tmp_path / "none.txt")))
    assert not (tmp_path / "S").exists()


def test_vectors_of_none_of_the_words_leave_nothing(tmp_path):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    (tmp_path / "other.txt").write_text("nosuchword 1 2 3\n")
    with pytest.raises(StillhouseError, match=r"other\.txt: must have vectors of words of the transfer set, got none"):
        run(transfer, cache, tmp_path / "S", reading=Reading(vectors=str(tmp_path / "other.txt")))
    assert not (tmp_path / "S").exists()


def test_a_damaged_description_is_made_anew(tmp_path):
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    first = words_of(made(tmp_path / "D", transfer, cache))
    for data in (b"", b"{}", b"[]", b"null", b'{"made_from": 1}'):
        (tmp_path / "D" / "dataset.json").write_bytes(data)
        assert words_of(made(tmp_path / "D", transfer, cache)) == first


def test_the_teachers_pieces_and_vectors_are_those_beside_the_cache(tmp_path, tiny_teacher):
    cache = cache_of(tmp_path / "L", TEXTS)
    with pytest.raises(StillhouseError, match="must hold the teacher's embeddings, got none: run `stillhouse label`"):
        made(tmp_path / "D", transfer_set(tmp_path / "set"), cache, Reading(tokens="pieces"))
    pieces = len(json.loads((tiny_teacher / "tokenizer.json").read_text())["model"]["vocab"])
    table = np.random.default_rng(0).normal(size=(pieces, 4)).astype(np.float16)
    tokenizer = (tiny_teacher / "tokenizer.json").read_bytes()
    cache.keep({"tokenizer.json": tokenizer, "embeddings.safetensors": save({"embeddings": table})})
    data = made(tmp_path / "D", transfer_set(tmp_path / "set"), cache, Reading(tokens="pieces"))
    np.testing.assert_array_equal(data.vectors, table.astype(np.float32))
    assert data.known.tolist() == list(range(1, pieces + 1))
    assert data.train.inputs.lengths.min() >= 2
    words = made(tmp_path / "E", transfer_set(tmp_path / "set"), cache, Reading())
    assert (words.vectors.shape[1], len(words.known)) == (4, len(words.encoding.words))
    # Words of the teacher's that no text has are known too.
    assert "awful" in words.encoding.words
