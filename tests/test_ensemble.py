"""The ensemble: the mean that was asked for, of members matched by key and by class, and read as one cache."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax

from stillhouse.cli import stillhouse as group
from transferset import Ensemble, LogitCache, Member, StillhouseError, Store, Task, content_keys, open_cache
from transferset.ensemble import mean_logits

CLASSES = ("ant", "bee", "cat")
TASK = Task("text", ("a",), "label", classes=CLASSES)
#: The classes of each member in its own order.
ORDERS = {"one": ("cat", "ant", "bee"), "two": CLASSES, "three": ("bee", "ant", "cat")}
WEIGHTS = {"one": 1.0, "two": 2.0, "three": 5.0}
SHARES = [0.125, 0.25, 0.625]


def keys_of(*rows):
    return content_keys(TASK, pa.record_batch({"a": pa.array([str(row) for row in rows], pa.string())}))


def logits_of(name, *rows, width=3):
    """(B, C) what a member says, in the order of CLASSES."""
    start = list(ORDERS).index(name)
    return 5 * np.sin(np.array(rows)[:, None] * 3 + np.arange(width) * 7 + start).astype(np.float32).reshape(-1, width)


def member(path, name, *rows, classes=None, files=None):
    classes = ORDERS[name] if classes is None else classes
    width = len(classes) or 1
    about = {"teacher": f"hash-{name}", "classes": list(classes), "signals": {"logits": width}, "storage": "float32"}
    cache = LogitCache.create(path / f"member-{name}", about, {})
    said = logits_of(name, *rows, width=width)
    if set(classes) == set(CLASSES):
        said = said[:, [CLASSES.index(each) for each in classes]]
    cache.append(keys_of(*rows), {"logits": said})
    cache.keep(files or {})
    return cache


def members(*names):
    return [Member(f"member-{name}", WEIGHTS[name], f"./{name}") for name in names]


def made(path, mean="logits", target="classification"):
    for name in ORDERS:
        member(path, name, *range(20))
    return Ensemble.write(path, members(*ORDERS), mean, CLASSES, target)


def all_logits(*rows):
    return np.stack([logits_of(name, *rows) for name in ORDERS]).astype(np.float64)


def expected(mean, target, said):
    """The mean by the definition, not by ours."""
    if mean == "logits":
        return np.average(said, 0, SHARES)
    if target == "multilabel":
        return logit(np.average(expit(said), 0, SHARES))
    return np.log(np.average(softmax(said, -1), 0, SHARES))


@pytest.mark.parametrize("target", ["classification", "multilabel"])
@pytest.mark.parametrize("mean", ["logits", "probabilities"])
def test_the_mean_is_that_of_the_definition_whatever_the_order_of_classes_and_keys(tmp_path, mean, target):
    ensemble = made(tmp_path, mean, target)
    rows = [7, 3, 7, 19]
    wanted = expected(mean, target, all_logits(*rows))
    got = ensemble.logits(keys_of(*rows), TASK)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    turned = Task("text", ("a",), "label", target, classes=("cat", "ant", "bee"))
    np.testing.assert_allclose(ensemble.logits(keys_of(*rows), turned), wanted[:, [2, 0, 1]], rtol=1e-5, atol=1e-6)
    reader = ensemble.reader(["logits"])
    assert np.array_equal(reader.rows(keys_of(*rows))["logits"], got)


def test_the_mean_probabilities_are_probabilities(tmp_path):
    logits = made(tmp_path, "probabilities").logits(keys_of(*range(20)), TASK)
    np.testing.assert_allclose(np.exp(logits).sum(1), 1, rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1e4), st.floats(-1e4, 0), st.sampled_from(["classification", "multilabel"]))
def test_the_surest_teachers_give_finite_logits(high, low, target):
    two = [np.array([[high, low]], np.float32), np.array([[low, high]], np.float32)]
    got = mean_logits(two, [0.25, 0.75], "probabilities", target)
    assert np.isfinite(got).all()
    # One teacher alone is what it says; a softmax does not see what is added to all classes.
    alone = mean_logits(two[:1], [1.0], "probabilities", target)
    if target == "multilabel":
        np.testing.assert_allclose(alone, two[0], rtol=1e-4, atol=1e-2)
    else:
        np.testing.assert_allclose(alone[0, 0] - alone[0, 1], high - low, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("mean", ["logits", "probabilities"])
def test_scores_are_averaged(tmp_path, mean):
    for name in ("one", "two"):
        member(tmp_path, name, 0, 1, classes=())
    ensemble = Ensemble.write(tmp_path, members("one", "two"), mean, (), "regression")
    said = [logits_of(name, 1, 0, width=1) for name in ("one", "two")]
    score = Task("text", ("a",), "label", "regression")
    np.testing.assert_allclose(ensemble.logits(keys_of(1, 0), score), said[0] / 3 + said[1] * 2 / 3, rtol=1e-6)
    assert (ensemble.outputs, ensemble.verify()) == (1, [])
    with pytest.raises(StillhouseError, match=r"classes must be those of the task .* got a score"):
        ensemble.logits(keys_of(0), TASK)


def test_an_ensemble_is_read_like_a_cache(tmp_path):
    ensemble = made(tmp_path)
    member(tmp_path, "two", 20, 21)
    member(tmp_path, "one", 30, 21)
    opened = open_cache(tmp_path)
    assert isinstance(opened, Ensemble)
    assert (opened.classes, opened.widths, opened.outputs) == (CLASSES, {"logits": 3}, 3)
    assert sorted(map(tuple, opened.keys().tolist())) == sorted(map(tuple, keys_of(*range(20)).tolist()))
    assert [each["about"]["teacher"] for each in opened.about["members"]] == ["hash-one", "hash-two", "hash-three"]
    assert json.loads(json.dumps(opened.about)) == opened.about == ensemble.about
    assert opened.verify() == []
    unlabelled = Task("text", ("a",))
    assert np.array_equal(opened.logits(keys_of(4), unlabelled), opened.logits(keys_of(4), TASK))
    assert isinstance(open_cache(tmp_path / "member-one"), LogitCache)


def test_the_teachers_files_are_those_of_the_first_member_that_has_any(tmp_path):
    for name in ("one", "two", "three"):
        member(tmp_path, name, 0, files={"tokenizer.json": name.encode()} if name != "one" else None)
    ensemble = Ensemble.write(tmp_path, members(*ORDERS), "logits", CLASSES)
    assert (ensemble.teacher_folder / "tokenizer.json").read_bytes() == b"two"


def test_other_weights_and_members_cost_no_labelling(tmp_path):
    ensemble = made(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*")}
    Ensemble.write(tmp_path, [Member("member-two", 0.1)], "logits", CLASSES)
    alone = Ensemble.open(tmp_path)
    assert np.array_equal(alone.logits(keys_of(2, 1), TASK), logits_of("two", 2, 1))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*")} == before
    made(tmp_path)
    assert Ensemble.open(tmp_path).about == ensemble.about


def test_weights_count_relative_to_their_sum_however_large(tmp_path):
    ensemble = made(tmp_path)
    large = [Member(each.folder, each.weight * 3e307) for each in ensemble.members]
    got = Ensemble.write(tmp_path, large, "logits", CLASSES)
    np.testing.assert_allclose(got.weights, SHARES)
    assert np.array_equal(got.logits(keys_of(1), TASK), ensemble.logits(keys_of(1), TASK))


def test_a_missing_key_names_the_member_and_what_to_run(tmp_path):
    ensemble = made(tmp_path)
    member(tmp_path, "one", 20)
    member(tmp_path, "two", 20)
    message = f"{tmp_path / 'member-three'}: must hold the logits of every row, 1 of 2 are missing"
    for read in (lambda keys: ensemble.logits(keys, TASK), ensemble.reader(["logits"]).rows):
        with pytest.raises(StillhouseError, match=re.escape(message) + f".* with --out {tmp_path} on the") as error:
            read(keys_of(3, 20))
        assert str(error.value).count("\n") == 0


def test_a_missing_member_is_named_with_what_to_run(tmp_path):
    member(tmp_path, "one", 0)
    ensemble = Ensemble.write(tmp_path, members("one", "two"), "logits", CLASSES)
    message = f"{tmp_path / 'member-two'}: must be the logit cache of teacher './two', got none: run `stillhouse label`"
    assert ensemble.verify() == [f"{message} with --out {tmp_path}"]
    with pytest.raises(StillhouseError, match=re.escape(message)):
        ensemble.logits(keys_of(0), TASK)
    # What is gone is no hindrance to describing it anew.
    assert Ensemble.write(tmp_path, members("one"), "logits", CLASSES).verify() == []


def test_a_member_of_other_classes_is_an_error_that_shows_both(tmp_path):
    member(tmp_path, "one", 0)
    member(tmp_path, "two", 0, classes=("ant", "bee", "dog"))
    ensemble = Ensemble.write(tmp_path, members("one", "two"), "logits", CLASSES)
    message = f"{tmp_path / 'member-two'}: classes must be those of the task (ant, bee, cat), got ant, bee, dog"
    assert ensemble.verify() == [message]
    for read in (lambda: ensemble.logits(keys_of(0), TASK), lambda: ensemble.reader(["logits"])):
        with pytest.raises(StillhouseError, match=re.escape(message)):
            read()
    other = Task("text", ("a",), "label", classes=("ant", "bee"))
    with pytest.raises(StillhouseError, match=re.escape("of the task (ant, bee), got ant, bee, cat")):
        ensemble.logits(keys_of(0), other)


def test_only_logits_have_a_mean(tmp_path):
    with pytest.raises(StillhouseError, match=r"must hold embedding, got an ensemble, .* take one of member-one, "):
        made(tmp_path).reader(["embedding"])


def test_verify_passes_on_what_is_wrong_with_a_member(tmp_path):
    ensemble = made(tmp_path)
    next((tmp_path / "member-two").glob("part-*")).unlink()
    (problem,) = ensemble.verify()
    assert problem.startswith(str(tmp_path / "member-two" / "part-"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"members": []}, "must have at least one member, got none"),
        ({"members": [Member("member-a", 0.0)]}, "weight of member-a must be finite and above 0, got 0.0"),
        ({"members": [Member("member-a", float("nan"))]}, "got nan"),
        ({"members": [Member("member-a", float("inf"))]}, "got inf"),
        ({"members": [Member("member-a"), Member("member-a")]}, "a folder member-NAME of its own, got 'member-a'"),
        ({"members": [Member("../elsewhere")]}, "a folder member-NAME of its own, got '../elsewhere'"),
        ({"members": [Member("member-/..")]}, "a folder member-NAME of its own, got 'member-/..'"),
        ({"mean": "median"}, "ensemble: mean"),
        ({"target": "ranking"}, "ensemble: target"),
        ({"classes": ()}, "classification must have classes, got []"),
        ({"target": "regression"}, "regression must have no classes, got ['ant', 'bee', 'cat']"),
    ],
    ids=str,
)
def test_what_is_no_ensemble_is_refused_and_nothing_is_made(tmp_path, change, says):
    given = {"members": [Member("member-a")], "mean": "logits", "classes": CLASSES, "target": "classification"}
    with pytest.raises(StillhouseError, match=re.escape(says)):
        Ensemble.write(tmp_path / "E", **{**given, **change})
    assert not (tmp_path / "E").exists()


def test_other_directories_are_not_turned_into_ensembles(tmp_path):
    member(tmp_path, "one", 0)
    with pytest.raises(StillhouseError, match="must be an ensemble, got a logit cache"):
        Ensemble.write(tmp_path / "member-one", members("two"), "logits", CLASSES)
    with pytest.raises(StillhouseError, match="must be an ensemble, got a logit cache"):
        Ensemble.open(tmp_path / "member-one")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(StillhouseError, match=r"got 'notes\.txt' in it"):
        Ensemble.write(tmp_path / "mine", members("two"), "logits", CLASSES)
    ensemble = made(tmp_path / "E")
    with pytest.raises(StillhouseError, match="must be a logit cache, got an ensemble"):
        LogitCache.open(ensemble.path)
    for path, got in ((tmp_path / "none", "got nothing there: make one"), (tmp_path / "mine", "got no manifest in it")):
        with pytest.raises(StillhouseError, match=f"must be a logit cache, {got}"):
            open_cache(path)


@pytest.mark.parametrize("about", [{}, {"members": [{"name": "x"}]}, {"members": 3}], ids=str)
def test_a_description_that_is_none_of_an_ensemble_is_refused(tmp_path, about):
    Store.create(tmp_path, "ensemble", {"mean": "logits", "classes": ["a"], "target": "classification", **about}, {})
    with pytest.raises(StillhouseError, match=r"about\.json must describe an ensemble"):
        Ensemble.open(tmp_path)


# What the commands make of it.


def command(*arguments):
    return CliRunner().invoke(group, [*map(str, arguments)], catch_exceptions=False)


def test_verify_checks_every_member(tmp_path):
    made(tmp_path)
    done = command("verify", tmp_path)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}: sound, an ensemble of 3 caches\n")
    next((tmp_path / "member-two").glob("part-*")).write_bytes(b"")
    done = command("verify", tmp_path)
    assert done.exit_code == 1
    assert str(tmp_path / "member-two") in done.stdout


def test_gc_removes_what_was_left_in_the_members_folders(tmp_path):
    made(tmp_path)
    orphan = tmp_path / "member-two" / "part-000009-0123456789abcdef.parquet"
    orphan.write_bytes(b"")
    done = command("gc", tmp_path)
    assert f"removed {orphan}\n" in done.stdout
    assert not orphan.exists()
    assert Ensemble.open(tmp_path).verify() == []
