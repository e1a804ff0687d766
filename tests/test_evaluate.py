"""Evaluating: the figures of the file's labelled rows, beside those of the teacher and of another student."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import stillhouse
from scipy import stats
from tiny_students import make_student

from stillhouse.commands._evaluation_lines import evaluation_lines
from stillhouse.commands.evaluate import command
from students._gold import gold_targets
from students.calibration import calibration, divergence
from students.evaluate import evaluate, read_labelled
from students.export import export
from students.metrics import agreement, scores
from students.onnx_student import OnnxStudent
from transferset import Ensemble, LogitCache, Member, Source, StillhouseError, Task, content_keys

pytestmark = pytest.mark.usefixtures("one_thread")
TWO = ("neg", "pos")
TASK = Task("text", ("text",), "label", classes=TWO)
SEVERAL = Task("text", ("text",), "label", "multilabel", ("a", "b", "c"))
SCORE = Task("text", ("text",), "label", "regression")
TEXTS = ["good film", "a bad plot", "", "dull", "fine film", "bad bad bad", "the plot", "fine x"]
GOLD = ["pos", "neg", "neg", "", "pos", "pos", "neg", "pos"]
LABELLED = [place for place, label in enumerate(GOLD) if label]


def csv(path, *columns):
    """A file of columns, each a name and its cells."""
    names, cells = [name for name, _ in columns], [each for _, each in columns]
    path.write_text("\n".join([",".join(names), *map(",".join, zip(*cells, strict=True))]) + "\n")
    return Source(path)


@pytest.fixture
def file(tmp_path):
    return csv(tmp_path / "dev.csv", ("text", TEXTS), ("label", GOLD))


def cache_of(folder, texts, classes=(), **signals):
    """A cache of single texts, with the logits in the order of the classes given."""
    widths = {name: each.shape[1] for name, each in signals.items()}
    about = {"classes": list(classes), "signals": widths, "storage": "float32"}
    cache = LogitCache.create(folder, about, {})
    keys = content_keys(TASK, pa.table({"text": texts}))
    cache.append(keys, {name: each.astype(np.float32) for name, each in signals.items()})
    return cache


def outputs(student, texts):
    return student.outputs(pa.table({"text": pa.array(texts, pa.string())}))


def plain(found):
    """The figures of the student alone."""
    return {name: value for name, value in found.items() if isinstance(value, float)}


# Beside gold labels.


def test_the_figures_are_those_of_the_rows_with_a_label(file):
    student = make_student(classes=TWO)
    logits = outputs(student, [TEXTS[place] for place in LABELLED])
    gold = np.array([TWO.index(GOLD[place]) for place in LABELLED])
    found = evaluate(student, file)
    assert found["rows"] == len(LABELLED)
    assert plain(found) == scores(logits, gold, TASK) | calibration(logits, gold, TASK)
    assert set(found["intervals"]) == {"accuracy", "f1", "mcc"}
    assert all(low <= found[name] <= high for name, (low, high) in found["intervals"].items())


@pytest.mark.parametrize(
    ("target", "labels", "gold"),
    [
        ("multilabel", ["a|c", "", "b"], np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.bool_)),
        ("regression", ["2.5", "-1", ""], np.array([[2.5], [-1]], np.float32)),
    ],
)
def test_several_labels_and_scores_are_measured(tmp_path, target, labels, gold):
    source = csv(tmp_path / "dev.csv", ("text", TEXTS[:3]), ("label", labels))
    student = make_student(target=target)
    task, logits = student.task, outputs(student, TEXTS[: len(gold)])
    found = evaluate(student, source)
    assert found["rows"] == len(gold)
    assert plain(found) == pytest.approx(scores(logits, gold, task) | calibration(logits, gold, task))


def test_pairs_are_measured_on_both_texts(tmp_path):
    others = [*TEXTS[1:], TEXTS[0]]
    source = csv(tmp_path / "dev.csv", ("one", TEXTS), ("other", others), ("label", GOLD))
    student = make_student("bilstm", "pair", classes=TWO)
    rows = pa.table({"one": TEXTS, "other": others}).take(LABELLED)
    gold = np.array([TWO.index(GOLD[place]) for place in LABELLED])
    assert evaluate(student, source)["accuracy"] == (student.outputs(rows).argmax(1) == gold).mean()


def test_the_label_may_have_another_name_than_in_training(tmp_path):
    source = csv(tmp_path / "dev.csv", ("text", TEXTS), ("stars", GOLD))
    assert evaluate(make_student(classes=TWO), source, label="stars")["rows"] == len(LABELLED)


def test_features_are_read_as_the_student_knows_them(tmp_path):
    source = csv(tmp_path / "dev.csv", ("size", ["1.5", "?"]), ("colour", ["red", "7"]), ("label", ["x", "y"]))
    task = Task("features", ("size", "colour"), "label", classes=("x", "y"))
    table = read_labelled(source, task, {"size": pa.float64(), "colour": pa.string()})
    assert table.to_pylist() == [
        {"size": 1.5, "colour": "red", "label": "x"},
        {"size": None, "colour": "7", "label": "y"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\ngood film,pos\nbad film,meh\n", r"row 2, column 'label' must hold one of .*neg, pos.* got 'meh'"),
        ("text,stars\ngood film,pos\n", r"column: must be one of text, stars, got 'label'"),
        ("text,label\n", "must hold at least one row, got none"),
        ("", "got an empty file"),
        ("text,label\ngood film,\n", "column 'label' must hold labels, got only empty cells"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, content, message):
    (tmp_path / "dev.csv").write_text(content)
    with pytest.raises(StillhouseError, match=message):
        evaluate(make_student(classes=TWO), Source(tmp_path / "dev.csv"))


def test_a_student_that_never_had_labels_cannot_be_measured(file):
    student = make_student(classes=TWO)
    object.__setattr__(student.config, "task", Task("text", ("text",), classes=TWO))
    with pytest.raises(StillhouseError, match="must have gold labels to measure by"):
        evaluate(student, file)


def test_gold_targets_are_numbers_flags_or_scores():
    codes, there = gold_targets(pa.chunked_array([["pos", None], ["neg"]]), TASK)
    assert (codes.tolist(), codes.dtype, there.tolist()) == ([1, 0, 0], np.int64, [True, False, True])
    lists = pa.chunked_array([[["c", "a"], []], [None, ["b"]]], pa.list_(pa.string()))
    flags, there = gold_targets(lists, SEVERAL)
    assert flags.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert (flags.dtype, there.tolist()) == (np.bool_, [True, True, False, True])
    values, there = gold_targets(pa.chunked_array([[1.5, None]], pa.float64()), SCORE)
    assert (values.tolist(), values.dtype, there.tolist()) == ([[1.5], [0.0]], np.float32, [True, False])


# Beside the teacher.


def test_with_a_cache_teacher_and_student_stand_side_by_side(file, tmp_path):
    student = make_student(classes=TWO)
    teacher = np.random.default_rng(0).normal(size=(len(TEXTS), 2)).astype(np.float32)
    # The cache has the classes in another order than the student.
    cache = cache_of(tmp_path / "L", TEXTS, ("pos", "neg"), logits=teacher[:, ::-1])
    found = evaluate(student, file, cache)
    logits, teacher = outputs(student, TEXTS)[LABELLED], teacher[LABELLED]
    gold = np.array([TWO.index(GOLD[place]) for place in LABELLED])
    beside = {"agreement": agreement(logits, teacher, TASK), **divergence(teacher, logits, TASK)}
    assert plain(found) == scores(logits, gold, TASK) | calibration(logits, gold, TASK) | beside
    assert plain(found["teacher"]) == scores(teacher, gold, TASK) | calibration(teacher, gold, TASK)
    assert set(found["intervals"]) == {"accuracy", "f1", "mcc", "agreement"}
    assert set(found["teacher"]["intervals"]) == {"accuracy", "f1", "mcc"}
    assert "agreement" not in evaluate(student, file)


def test_a_student_that_says_what_the_teacher_says_agrees_in_every_row(file, tmp_path):
    student = make_student(classes=TWO)
    cache = cache_of(tmp_path / "L", TEXTS, TWO, logits=outputs(student, TEXTS))
    found = evaluate(student, file, cache)
    assert (found["agreement"], found["intervals"]["agreement"]) == (1.0, [1.0, 1.0])
    assert found["kl"] == pytest.approx(0, abs=1e-9)
    assert found["teacher"]["intervals"]["accuracy"] == found["intervals"]["accuracy"]


@pytest.mark.parametrize("target", ["multilabel", "regression"])
def test_other_targets_have_a_teacher_too(tmp_path, target):
    student, labels = make_student(target=target), {"multilabel": ["a", "b|c"] * 4, "regression": list("12345678")}
    source = csv(tmp_path / "dev.csv", ("text", TEXTS), ("label", labels[target]))
    teacher = np.random.default_rng(0).normal(size=(len(TEXTS), student.config.width)).astype(np.float32)
    cache = cache_of(tmp_path / "L", TEXTS, student.task.classes, logits=teacher)
    found = evaluate(student, source, cache)
    logits = outputs(student, TEXTS)
    assert found["agreement"] == pytest.approx(agreement(logits, teacher, student.task))
    assert found.get("kl") == divergence(teacher, logits, student.task).get("kl")
    assert {"accuracy", "pearson"} & set(found["teacher"])


def test_a_cache_without_the_rows_of_the_file_is_refused(file, tmp_path):
    cache = cache_of(tmp_path / "L", TEXTS[:2], TWO, logits=np.zeros((2, 2)))
    with pytest.raises(StillhouseError, match="5 of 7 are missing: run `stillhouse label`"):
        evaluate(make_student(classes=TWO), file, cache)


# Beside another student.


def other_student(**options):
    return make_student("cnn", classes=TWO, **options)


def test_the_difference_from_another_student_has_an_interval_of_its_own(tmp_path):
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(["good", "bad", "film", "plot", "x"], 3)) for _ in range(60)]
    source = csv(tmp_path / "dev.csv", ("text", texts), ("label", random.choice(TWO, 60).tolist()))
    one, other = make_student(classes=TWO), other_student()
    found, turned = evaluate(one, source, baseline=other), evaluate(other, source, baseline=one)
    assert found["accuracy"] != turned["accuracy"]
    assert plain(found["baseline"]) == plain(turned)
    for name in ("accuracy", "f1", "mcc"):
        difference, (low, high) = found["difference"][name], found["difference"]["intervals"][name]
        assert difference == pytest.approx(found[name] - turned[name])
        assert low <= difference <= high
        assert (high - low) > 0
        assert turned["difference"][name] == -difference
        assert turned["difference"]["intervals"][name] == pytest.approx([-high, -low], abs=0.05)


def test_a_student_does_not_differ_from_itself(file):
    student = make_student(classes=TWO)
    found = evaluate(student, file, baseline=student)
    assert set(plain(found["difference"]).values()) == {0.0}
    assert set(map(tuple, found["difference"]["intervals"].values())) == {(0.0, 0.0)}


def test_the_same_rows_are_drawn_for_both_students(tmp_path):
    # The baseline errs where the student does, and on two rows more: in no resample can it be better.
    texts = [f"{word} {number}" for number in range(20) for word in ("good", "bad")]
    student = make_student(classes=TWO)
    gold = [TWO[each] for each in outputs(student, texts).argmax(1)]
    source = csv(tmp_path / "dev.csv", ("text", texts), ("label", gold))
    worse = make_student(classes=TWO)
    with torch.no_grad():
        worse.model.output.bias += torch.tensor([30.0, 0.0])
    found = evaluate(student, source, baseline=worse)
    assert found["baseline"]["accuracy"] < 1
    assert found["difference"]["intervals"]["accuracy"][0] >= 0


def test_a_baseline_may_have_its_classes_in_another_order(file):
    student, turned = make_student(classes=TWO), make_student(classes=TWO[::-1])
    with torch.no_grad():
        for each in turned.model.output.parameters():
            each.copy_(each.flip(0))
    found = evaluate(student, file, baseline=turned)
    assert found["difference"]["accuracy"] == 0
    assert found["baseline"]["nll"] == pytest.approx(found["nll"])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": ("neg", "so so")}, "must give what the student gives, classification of neg, pos, got .* so so"),
        ({"target": "regression"}, "got a score"),
        ({"target": "multilabel", "classes": TWO}, "got multilabel of neg, pos"),
        ({"output": "embedding"}, "got embeddings"),
    ],
)
def test_a_baseline_that_answers_another_question_is_refused(file, other, message):
    with pytest.raises(StillhouseError, match=f"baseline: .*{message}"):
        evaluate(make_student(classes=TWO), file, baseline=make_student(**other))


# Intervals.


def test_intervals_are_those_of_the_seed_and_may_be_left_out(file):
    student = make_student(classes=TWO)
    assert evaluate(student, file, seed=1) == evaluate(student, file, seed=1)
    assert evaluate(student, file, seed=1) != evaluate(student, file, seed=2)
    found = evaluate(student, file, baseline=student, resamples=0)
    assert "intervals" not in {*found, *found["baseline"], *found["difference"]}
    assert plain(found) == plain(evaluate(student, file))
    with pytest.raises(StillhouseError, match="evaluate: resamples must be at least 0, got -1"):
        evaluate(student, file, resamples=-1)
    with pytest.raises(StillhouseError, match="evaluate: seed must be at least 0, got -1"):
        evaluate(student, file, seed=-1)


@pytest.mark.parametrize("output", ["logits", "embedding"])
def test_broken_weights_are_said(file, tmp_path, output):
    student, cache = make_student(classes=TWO, output=output), None
    with torch.no_grad():
        student.model.output.bias[0] = torch.nan
    if output == "embedding":
        cache = cache_of(tmp_path / "L", TEXTS, embedding=embeddings_of(TEXTS))
    with pytest.raises(StillhouseError, match=": outputs must be finite, got nan or infinity"):
        evaluate(student, file, cache)


# Embeddings.


def embeddings_of(texts, width=5, seed=0):
    return np.random.default_rng(seed).normal(size=(len(texts), width)).astype(np.float32)


def test_embeddings_are_measured_by_their_nearness_to_the_teachers(tmp_path):
    source = csv(tmp_path / "dev.csv", ("text", TEXTS), ("label", [""] * len(TEXTS)))
    student, teacher = make_student(output="embedding"), embeddings_of(TEXTS)
    cache = cache_of(tmp_path / "L", TEXTS, embedding=teacher)
    other = make_student("cnn", output="embedding")
    found = evaluate(student, source, cache, baseline=other)
    for who, each in ((found, student), (found["baseline"], other)):
        cosine = torch.cosine_similarity(*map(torch.from_numpy, (outputs(each, TEXTS), teacher)))
        assert who["cosine"] == pytest.approx(cosine.mean().item(), abs=1e-6)
        low, high = who["intervals"]["cosine"]
        assert low < who["cosine"] < high
    assert found["rows"] == len(TEXTS)
    assert found["difference"]["cosine"] == pytest.approx(found["cosine"] - found["baseline"]["cosine"])


def test_students_of_embeddings_may_read_columns_of_other_names(tmp_path):
    source = csv(tmp_path / "dev.csv", ("text", TEXTS), ("body", TEXTS))
    student, other = make_student(output="embedding"), make_student(output="embedding")
    object.__setattr__(other.config, "task", Task("text", ("body",)))
    cache = cache_of(tmp_path / "L", TEXTS, embedding=embeddings_of(TEXTS))
    assert evaluate(student, source, cache, baseline=other)["difference"]["cosine"] == 0


def pairs(tmp_path):
    others, likeness = [*TEXTS[1:], TEXTS[0]], ["5", "0.5", "1", "2", "", "4.25", "3", "0"]
    source = csv(tmp_path / "pairs.csv", ("a", TEXTS), ("b", others), ("score", likeness))
    there = [place for place, each in enumerate(likeness) if each]
    gold = np.array([float(likeness[place]) for place in there])
    return source, [TEXTS[place] for place in there], [others[place] for place in there], gold


def cosine_of(u, v):
    return torch.cosine_similarity(torch.from_numpy(u), torch.from_numpy(v)).double().numpy()


def test_embeddings_are_measured_by_whether_like_texts_lie_close_together(tmp_path):
    source, ones, others, gold = pairs(tmp_path)
    student = make_student(output="embedding")
    embedding = dict(zip(TEXTS, embeddings_of(TEXTS), strict=True))
    cache = cache_of(tmp_path / "L", TEXTS, embedding=np.stack(list(embedding.values())))
    found = evaluate(student, source, cache, "score", pair=("a", "b"))
    cosines = {"student": cosine_of(outputs(student, ones), outputs(student, others))}
    cosines["teacher"] = cosine_of(*(np.stack([embedding[text] for text in side]) for side in (ones, others)))
    for who, figures in (("student", found), ("teacher", found["teacher"])):
        assert figures["pearson"] == pytest.approx(stats.pearsonr(cosines[who], gold).statistic, abs=1e-5)
        assert figures["spearman"] == pytest.approx(stats.spearmanr(cosines[who], gold).statistic, abs=1e-5)
    assert found["agreement"] == pytest.approx(stats.pearsonr(*cosines.values()).statistic, abs=1e-5)
    assert set(found["intervals"]) == {"pearson", "spearman", "agreement"}
    alone = evaluate(student, source, label="score", pair=("a", "b"))
    assert "teacher" not in alone
    assert alone["pearson"] == found["pearson"]


def test_embeddings_without_what_they_are_measured_by_are_refused(tmp_path):
    source, student = csv(tmp_path / "dev.csv", ("text", TEXTS)), make_student(output="embedding")
    with pytest.raises(StillhouseError, match=r"must have a teacher to be measured by, or pairs .* give --cache"):
        evaluate(student, source)
    cache = cache_of(tmp_path / "narrow", TEXTS, embedding=embeddings_of(TEXTS, 3))
    with pytest.raises(StillhouseError, match="student: must be as wide as the teacher's embedding, 3, got 5"):
        evaluate(student, source, cache)
    cache = cache_of(tmp_path / "logits", TEXTS, TWO, logits=embeddings_of(TEXTS, 2))
    with pytest.raises(StillhouseError, match="must hold embedding, got logits: run `stillhouse label`"):
        evaluate(student, source, cache)
    cache = cache_of(tmp_path / "E" / "member-a", TEXTS[:1], TWO, logits=embeddings_of(TEXTS[:1], 2))
    ensemble = Ensemble.write(tmp_path / "E", [Member("member-a")], classes=TWO)
    with pytest.raises(StillhouseError, match="got an ensemble, which has logits alone"):
        evaluate(student, source, ensemble)
    # An empty line is no row of a csv file.
    cache = cache_of(tmp_path / "few", TEXTS[:4], embedding=embeddings_of(TEXTS[:4]))
    with pytest.raises(StillhouseError, match="4 of 7 are missing"):
        evaluate(student, source, cache)


def test_pairs_for_a_student_that_has_no_use_for_them_are_refused(tmp_path):
    source = pairs(tmp_path)[0]
    with pytest.raises(StillhouseError, match="must be for a student of embeddings, got one of logits"):
        evaluate(make_student(classes=TWO), source, label="score", pair=("a", "b"))
    with pytest.raises(StillhouseError, match="must have a score to be measured by: say --label COLUMN"):
        evaluate(make_student(output="embedding"), source, pair=("a", "b"))
    with pytest.raises(StillhouseError, match="student: must read single texts to say how like they are, got pair"):
        evaluate(make_student(kind="pair", output="embedding"), source, label="score", pair=("a", "b"))
    with pytest.raises(StillhouseError, match="must hold a number, got 'good film'"):
        evaluate(make_student(output="embedding"), source, label="a", pair=("b", "score"))


# The command, and students that ONNX Runtime computes.


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A student's directory, its ONNX file, another student, and one of embeddings."""
    folder = tmp_path_factory.mktemp("saved")
    student = make_student(classes=TWO)
    student.save(folder / "S", {})
    export(student, folder / "S.onnx")
    other_student().save(folder / "S2", {})
    make_student(output="embedding").save(folder / "E", {})
    return folder


def test_a_student_in_onnx_has_the_same_figures(file, saved):
    found = evaluate(OnnxStudent.load(saved / "S.onnx"), file, place=saved / "S.onnx")
    expected = evaluate(make_student(classes=TWO), file)
    assert plain(found) == pytest.approx(plain(expected), abs=1e-5)
    assert found["cost"]["bytes"] == (saved / "S.onnx").stat().st_size
    assert found["cost"]["latency_ms"] > 0


def test_the_command_prints_the_figures_as_json(file, saved, tmp_path):
    student = make_student(classes=TWO)
    cache = cache_of(tmp_path / "L", TEXTS, TWO, logits=outputs(student, TEXTS))
    expected = evaluate(student, file, cache, baseline=other_student(), resamples=50, seed=3)
    done = stillhouse(
        *("evaluate", saved / "S", file.path, "--cache", cache.path, "--baseline", saved / "S2"),
        *("--resamples", 50, "--seed", 3, "--json"),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == expected
    assert json.loads(json.dumps(expected)) == expected


def test_people_get_a_table(file, saved):
    one, other = make_student(classes=TWO), other_student()
    found = evaluate(one, file, baseline=other, place=saved / "S")
    lines = list(evaluation_lines(found))
    assert lines[0] == f"{len(LABELLED)} rows"
    assert lines[1].split() == ["student", "95", "%", "interval", "baseline", "difference", "95", "%", "interval"]
    low, high = found["intervals"]["accuracy"]
    assert lines[2].split()[:5] == ["accuracy", f"{found['accuracy']:.4f}", f"{low:.4f}", "to", f"{high:.4f}"]
    assert f" {found['difference']['accuracy']:+.4f} " in lines[2]
    assert len({len(line) for line in lines[1:5]}) == 1
    assert [line.split("  ")[0] for line in lines[-4:]] == ["parameters", "on disk", "one row", "many rows"]
    assert max(map(len, lines)) <= 100


def test_people_get_a_table_of_a_score_however_large(tmp_path):
    source = csv(tmp_path / "dev.csv", ("text", TEXTS), ("label", [f"{number}e6" for number in range(len(TEXTS))]))
    (line,) = [each for each in evaluation_lines(evaluate(make_student(target="regression"), source)) if "mse" in each]
    assert "1.75e+13" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("S", "dev.csv", "--text", "text"), "--text must be given with --text-pair, got it alone"),
        (("S", "dev.csv", "--text-pair", "text"), "--text-pair must be given with --text, got it alone"),
        (("E", "dev.csv"), "must have a teacher to be measured by"),
        (("S", "dev.csv", "--resamples", "-1"), "resamples must be at least 0, got -1"),
        (("nowhere", "dev.csv"), "got nothing there"),
    ],
)
def test_mistakes_at_the_command_are_one_line(file, saved, monkeypatch, arguments, message):
    (saved / "dev.csv").write_bytes(file.path.read_bytes())
    monkeypatch.chdir(saved)
    with pytest.raises(StillhouseError, match=message) as raised:
        command.main(arguments, standalone_mode=False)
    assert "\n" not in str(raised.value)
