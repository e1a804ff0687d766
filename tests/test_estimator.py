"""Students as estimators: scikit-learn's contract, pipelines and searches, distilling, and what a pickle holds."""

from __future__ import annotations

import pickle
import pickletools

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import stillhouse
from augment import Mask
from label import load_teacher
from stillhouse import StudentClassifier, StudentRegressor
from transferset import LogitCache, StillhouseError

pytestmark = pytest.mark.usefixtures("one_thread", "no_sync")
SMALL = {"vector_width": 8, "hidden": 8, "learning_rate": 0.03}
MLP = {"width": 32, "learning_rate": 0.01}
TEXTS = [f"a {word} film number {n}" for n in range(12) for word in ("good", "bad")]
LABELS = ["pos", "neg"] * 12
NEW = ["so good", "so bad"]


def bag(**parameters):
    return StudentClassifier(**{"student": "bag", "epochs": 30, "settings": SMALL, **parameters})


def table(rows=80):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": random.normal(size=rows),
            "count": random.integers(0, 5, rows),
            "colour": pd.Categorical(random.choice(["red", "green"], rows)),
            "code": pd.Categorical(random.integers(0, 3, rows)),
        }
    )
    frame.loc[::9, "size"] = np.nan
    return frame, np.where((frame["colour"] == "red") & (frame["count"] > 1), "yes", "no")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A file with a scikit-learn teacher that knows good from bad."""
    file = tmp_path_factory.mktemp("teacher") / "teacher.skops"
    skops.io.dump(make_pipeline(TfidfVectorizer(), LogisticRegression(C=100)).fit(TEXTS, LABELS), file)
    return f"sklearn:{file}"


# Texts, pairs and tables.


@pytest.mark.parametrize(
    "of",
    [list, tuple, np.array, lambda x: np.array(x, object), pd.Series, pl.Series, lambda x: pd.DataFrame({"t": x})],
)
def test_texts_of_any_library_are_learned(of):
    student = bag().fit(of(TEXTS), LABELS)
    assert student.predict(of(NEW)).tolist() == ["pos", "neg"]
    shares = student.predict_proba(of(NEW))
    assert shares.shape == (2, 2)
    assert np.allclose(shares.sum(1), 1, atol=1e-12)
    assert (student.classes_[shares.argmax(1)] == ["pos", "neg"]).all()


@pytest.mark.parametrize("of", [list, np.array, lambda x: pd.DataFrame(x, columns=["one", "other"])])
def test_pairs_are_two_columns(of):
    pairs = [(f"good {n}", word) for n in range(12) for word in ("good", "bad")]
    student = bag(epochs=60).fit(of(pairs), [1, 0] * 12)
    assert student.student_.task.kind == "pair"
    assert (student.predict(of(pairs)) == [1, 0] * 12).mean() > 0.9
    with pytest.raises(StillhouseError, match="X: must have 2 columns, as in fit, got 1"):
        student.predict(["one text"])


def test_tables_have_categories_and_missing_values():
    frame, labels = table()
    student = StudentClassifier("mlp", epochs=60, settings=MLP).fit(frame, labels)
    assert student.score(frame, labels) > 0.9
    assert student.n_features_in_ == 4
    assert student.feature_names_in_.tolist() == list(frame)
    assert student.student_.task.categorical == ("colour", "code")
    with pytest.raises(ValueError, match="feature names"):
        student.predict(frame.rename(columns={"size": "length"}))
    with pytest.raises(StillhouseError, match="must hold finite numbers"):
        student.predict(frame.assign(size=np.inf))


def test_classes_keep_their_type_and_order():
    for classes in ([3, 7], [False, True], [1.0, 2.0], ["no", "yes"]):
        student = bag(epochs=2).fit(TEXTS, [classes[n % 2] for n in range(24)])
        assert student.classes_.tolist() == classes
        assert student.predict(NEW).dtype == np.array(classes).dtype


def test_scores_are_learned():
    frame, _ = table()
    scores = 100 * np.nan_to_num(frame["size"]) + 40 * frame["count"]
    mlp = StudentRegressor("mlp", epochs=60, settings=MLP)
    student = TransformedTargetRegressor(mlp, transformer=StandardScaler()).fit(frame, scores)
    assert student.score(frame, scores) > 0.9
    words = StudentRegressor("bag", epochs=60, settings=SMALL).fit(TEXTS, [1.0, -1.0] * 12)
    good, bad = words.predict(NEW)
    assert good > 0.3 > -0.3 > bad


# Distilling.


def test_a_teacher_needs_no_labels(teacher):
    student = bag(teacher=teacher, recipe=[Mask()], copies=2).fit(TEXTS)
    assert student.classes_.tolist() == ["neg", "pos"]
    assert student.predict(NEW).tolist() == ["pos", "neg"]
    assert student.student_.config.made_from["transfer"]["copies"] == 2
    assert "mse" in student.student_.config.made_from["objective"]


def test_a_student_follows_its_teacher_and_not_the_labels(teacher):
    wrong = ["neg", "pos"] * 12
    follows = bag(teacher=load_teacher(teacher), recipe=[Mask()], copies=1)
    assert follows.fit(TEXTS, wrong).predict(NEW).tolist() == ["pos", "neg"]
    mixed = bag(teacher=teacher, recipe=[Mask()], copies=0, settings={**SMALL, "alpha": 1.0}, epochs=60)
    assert mixed.fit(TEXTS, wrong).predict(NEW).tolist() == ["neg", "pos"]


def test_words_start_from_the_teachers_vectors_where_it_has_any(tiny_teacher, teacher):
    for given, vectors in ((str(tiny_teacher), "teacher"), (teacher, "random")):
        student = bag(teacher=given, recipe=[Mask()], copies=0, epochs=1).fit(TEXTS)
        assert student.student_.config.made_from["reading"]["vectors"] == vectors


def test_scores_of_a_teacher_are_learned(tmp_path):
    frame, _ = table()
    numbers = frame[["count"]].to_numpy(float)
    skops.io.dump(LinearRegression().fit(numbers, numbers[:, 0] / 2), tmp_path / "line.skops")
    student = StudentRegressor("mlp", teacher=f"sklearn:{tmp_path}/line.skops", copies=1, epochs=60, settings=MLP)
    assert np.abs(student.fit(numbers).predict([[0.0], [4.0]]) - [0, 2]).max() < 0.3


def test_a_search_asks_its_teacher_once_about_each_text(teacher, tmp_path):
    student = bag(teacher=teacher, recipe=[Mask(rate=0.3)], copies=1, cache=tmp_path / "L", epochs=1)
    grid = {"student__epochs": [1, 2], "student__settings": [SMALL, {**SMALL, "hidden": 4}]}
    search = GridSearchCV(Pipeline([("student", student)]), grid, cv=2, refit=False).fit(TEXTS, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    rows = LogitCache.open(tmp_path / "L").store.rows()
    # Two folds of twelve texts and their copies; four candidates of each fold share them.
    assert len(TEXTS) < rows <= 2 * len(TEXTS)
    GridSearchCV(Pipeline([("student", student)]), grid, cv=2, refit=False).fit(TEXTS, LABELS)
    assert LogitCache.open(tmp_path / "L").store.rows() == rows


# Scikit-learn's contract.


def test_a_pipeline_holds_a_student():
    steps = Pipeline([("lower", FunctionTransformer(lambda x: pd.Series(x).str.lower())), ("student", bag())])
    steps.set_params(student__random_state=1)
    shouted = [text.upper() for text in TEXTS]
    assert steps.fit(shouted, LABELS).predict(["SO GOOD", "so bad"]).tolist() == ["pos", "neg"]
    assert cross_val_score(steps, TEXTS, LABELS, cv=2, scoring="roc_auc").mean() > 0.9


def test_a_search_runs_in_processes_and_ends_as_in_one():
    grid = {"epochs": [1, 40], "settings": [{**SMALL, "learning_rate": rate} for rate in np.array([0.003, 0.03])]}
    found = [GridSearchCV(bag(), grid, cv=2, n_jobs=jobs, error_score="raise").fit(TEXTS, LABELS) for jobs in (1, 2)]
    assert found[0].cv_results_["mean_test_score"].tolist() == found[1].cv_results_["mean_test_score"].tolist()
    assert found[0].best_score_ == found[1].best_score_ > 0.9


def test_parameters_are_read_set_and_cloned():
    student = bag(random_state=3)
    assert student.get_params()["random_state"] == 3
    copied = clone(student.fit(TEXTS, LABELS)).set_params(epochs=1)
    assert copied.get_params() == {**student.get_params(), "epochs": 1}
    assert not hasattr(copied, "student_")
    assert is_classifier(student)
    assert is_regressor(StudentRegressor())
    with pytest.raises(NotFittedError):
        copied.predict(NEW)
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        copied.set_params(epoch=1)


def test_the_same_seed_gives_the_same_student():
    one, same, other = (bag(random_state=seed).fit(TEXTS, LABELS).predict_proba(NEW) for seed in (0, 0, 1))
    assert one.tolist() == same.tolist() != other.tolist()


def test_a_pickle_holds_files_and_no_network(tmp_path):
    student = bag().fit(TEXTS, LABELS)
    joblib.dump(student, tmp_path / "student.joblib")
    back = joblib.load(tmp_path / "student.joblib")
    assert back.predict_proba(NEW).tolist() == student.predict_proba(NEW).tolist()
    assert back.get_params() == student.get_params()
    named = {argument for _, argument, _ in pickletools.genops(pickle.dumps(student)) if isinstance(argument, str)}
    assert not [name for name in named if name.startswith(("torch", "students"))]
    assert "model.safetensors" in named


def test_a_student_of_a_directory_is_an_estimator(tmp_path):
    student = bag().fit(TEXTS, LABELS)
    student.student_.save_pretrained(tmp_path / "S")
    loaded = StudentClassifier.load(tmp_path / "S")
    assert loaded.predict_proba(NEW).tolist() == student.predict_proba(NEW).tolist()
    assert make_pipeline(FunctionTransformer(), loaded).predict(NEW).tolist() == ["pos", "neg"]
    assert clone(loaded).set_params(epochs=2).fit(TEXTS, LABELS).student_.config.parameters["hidden"] == 8
    with pytest.raises(StillhouseError, match="must be a student for regression, got one for classification"):
        StudentRegressor.load(tmp_path / "S")
    frame, labels = table()
    mlp = StudentClassifier("mlp", epochs=1).fit(frame, labels)
    mlp.student_.save_pretrained(tmp_path / "M")
    assert StudentClassifier.load(tmp_path / "M").predict(frame).tolist() == mlp.predict(frame).tolist()


#: What these ask about is learned; of all others it does not matter.
_LEARNS = ("check_classifiers_train", "check_regressors_train", "check_classifiers_classes")
#: Scikit-learn skips it where arrays of other libraries are not switched on.
_NOT_ASKED = "check_array_api_input"


def checks():
    """Each check once: variants of one only hand over other memory."""
    few = {"epochs": 1, "settings": {"width": 4}}
    for estimator in (StudentClassifier("mlp", **few), StudentRegressor("mlp", **few)):
        named = {getattr(each, "func", each).__name__: each for _, each in estimator_checks_generator(estimator)}
        for name, check in named.items():
            if name != _NOT_ASKED:
                subject = clone(estimator).set_params(epochs=30, settings=MLP) if name in _LEARNS else estimator
                yield pytest.param(subject, check, id=f"{type(estimator).__name__}-{name}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learn_finds_nothing_to_complain_about(estimator, check):
    check(clone(estimator))


# Mistakes.


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"student": "bga"}, "student: must be one of .*did you mean 'bag'"),
        ({"loss": "msee"}, "loss: must be gold where there is no teacher"),
        ({"settings": {"hiden": 3}}, "settings: must be one of .*did you mean 'hidden'"),
        ({"settings": {"hidden": "x"}}, "bag: hidden must be int"),
        ({"epochs": 0}, "train: epochs must be at least 1"),
        ({"copies": 3}, "copies: must come with a teacher"),
        ({"cache": "L"}, "cache: must come with a teacher"),
        ({"random_state": -1}, "seed must be at least 0"),
        ({"random_state": None}, "seed must be a whole number"),
        ({"teacher": "sklern:x"}, "teacher: kind: must be one of .*did you mean 'sklearn'"),
        ({"teacher": "sklearn:none.skops"}, "none.skops: must be a file with an estimator"),
    ],
)
def test_wrong_parameters_are_one_line_when_it_is_fitted(parameters, says):
    with pytest.raises(StillhouseError, match=says):
        bag(**parameters).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("rows", "labels", "says"),
    [
        (TEXTS, None, "requires y to be passed, but the target y is None"),
        (TEXTS, ["pos"] * 24, "at least 2 classes, got 1 class: pos"),
        (TEXTS, ["pos", ""] * 12, "must name a class for every row"),
        (TEXTS, LABELS[1:], "inconsistent numbers of samples"),
        ("a text", ["pos"], "must be a list or column of texts, got str"),
        (np.zeros((24, 3)), LABELS, "got 3 columns: for a table say student='mlp'"),
        ([1.5] * 24, LABELS, "X: row 1, column 'text' must hold text"),
        ([*TEXTS[1:], None], LABELS, "X: row 24, column 'text' must hold text, got null"),
        ([], [], "0 sample|at least one row"),
    ],
)
def test_wrong_rows_are_one_line(rows, labels, says):
    with pytest.raises(ValueError, match=says):
        bag().fit(rows, labels)


def test_students_are_names_of_the_package_that_load_when_asked_for():
    assert {"StudentClassifier", "StudentRegressor"} <= set(stillhouse.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = stillhouse.Nothing
