"""Scikit-learn estimators as teachers: what they say is what they say of the user's own rows."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from label._classes import match_classes
from label.sklearn import Sklearn
from label.teacher import Request
from transferset import Source, StillhouseError, Task, feature_types, read_rows

LETTERS = Task("features", tuple("abcd"), classes=("x", "y", "z"))


def loaded(estimator, folder: Path, task: Task, **options):
    """A teacher of the estimator, by way of a pickle."""
    file = folder / "model.joblib"
    joblib.dump(estimator, file)
    sample = options.pop("sample", None)
    return Sklearn(str(file), trust_pickle=True, **options).load(Request(task, sample=sample))


def logits_of(teacher, rows: pa.Table) -> np.ndarray:
    answers = teacher.answer(rows).signals
    assert list(answers) == ["logits"]
    assert answers["logits"].dtype == np.float32
    assert answers["logits"].shape == (len(rows), teacher.description.widths["logits"])
    return answers["logits"]


def blobs(rows=300, seed=0):
    """Three overlapping classes of four numbers."""
    random = np.random.default_rng(seed)
    place = random.integers(0, 3, rows)
    values = random.normal(size=(rows, 4)) + place[:, None] * [1.0, -1.0, 0.5, 0.0]
    return values, np.array(["x", "y", "z"])[place]


def table_of(values) -> pa.Table:
    return pa.table({name: values[:, place] for place, name in enumerate("abcd")})


def log_floored(probabilities, floor=1e-3):
    raised = np.maximum(probabilities, floor)
    return np.log(raised / raised.sum(1, keepdims=True))


def log_odds(probabilities, floor=1e-3):
    kept = np.clip(probabilities, floor, 1 - floor)
    return np.log(kept / (1 - kept))


@pytest.fixture(scope="module")
def adult(shared, tmp_path_factory):
    """1,500 rows of Adult: the file, as pandas reads it (with ? missing), and as a transfer set holds it."""
    file = tmp_path_factory.mktemp("adult") / "adult.csv"
    lines = (shared / "data" / "adult" / "adult.csv").read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:1501]))
    frame = pd.read_csv(file, na_values="?")
    gold = frame.pop("income-per-year")
    return file, frame, gold, read(file, tuple(frame.columns))


def read(file: Path, inputs: tuple[str, ...], categorical: tuple[str, ...] = ()) -> pa.Table:
    task, source = Task("features", inputs, categorical=categorical), Source(file)
    return pa.Table.from_batches(read_rows(source, task, feature_types(source, task)))


def adult_task(rows: pa.Table, classes=("<=50K", ">50K"), **options) -> Task:
    return Task("features", tuple(rows.column_names), classes=classes, **options)


# Log probabilities


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        ExtraTreesClassifier(20, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        GaussianNB(),
    ],
)
def test_log_probabilities_are_those_of_the_estimator(estimator, tmp_path):
    values, gold = blobs()
    estimator.fit(values, gold)
    teacher = loaded(estimator, tmp_path, LETTERS, sample=table_of(values))
    assert teacher.description.classes == ("x", "y", "z")
    np.testing.assert_allclose(
        logits_of(teacher, table_of(values)), log_floored(estimator.predict_proba(values)), rtol=1e-6, atol=1e-6
    )


def test_a_row_is_a_distribution_and_nothing_is_less_than_the_floor(tmp_path):
    values, gold = blobs()
    forest = ExtraTreesClassifier(5, random_state=0).fit(values, gold)
    assert (forest.predict_proba(values) == 0).any()
    for floor in (1e-3, 1e-2):
        chances = np.exp(logits_of(loaded(forest, tmp_path, LETTERS, floor=floor), table_of(values)).astype(float))
        np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-6)
        assert chances.min() == pytest.approx(floor / (1 + 2 * floor), rel=1e-5)


def test_the_floor_leaves_most_of_the_chance_to_many_classes(tmp_path):
    values, gold = np.arange(400.0)[:, None], np.arange(400)
    teacher = loaded(
        GaussianNB(var_smoothing=1e-9).fit(np.repeat(values, 2, 0), np.repeat(gold, 2)),
        tmp_path,
        Task("features", ("a",)),
        floor=0.01,
    )
    chances = np.exp(logits_of(teacher, pa.table({"a": values[:, 0]})).astype(float))
    assert (chances.max(1) > 0.9).all()


def test_letter_as_a_forest_knows_it(shared, tmp_path):
    file = shared / "data" / "letter" / "letter.tsv"
    frame = pd.read_csv(file, sep="\t", nrows=3000)
    gold = frame.pop("letter")
    forest = ExtraTreesClassifier(20, random_state=0).fit(frame, gold)
    head = tmp_path / "letter.tsv"
    head.write_text("".join(file.read_text().splitlines(keepends=True)[:3001]))
    rows = read(head, tuple(frame.columns))
    teacher = loaded(forest, tmp_path, Task("features", tuple(frame.columns), classes=tuple(sorted(set(gold)))))
    np.testing.assert_allclose(logits_of(teacher, rows), log_floored(forest.predict_proba(frame)), rtol=1e-6, atol=1e-6)


# Decisions


@pytest.mark.parametrize("estimator", [LinearSVC(), RidgeClassifier(), SVC()])
def test_decisions_of_three_classes_are_as_they_are(estimator, tmp_path):
    values, gold = blobs()
    estimator.fit(values, gold)
    teacher = loaded(estimator, tmp_path, LETTERS, output="decision", sample=table_of(values))
    np.testing.assert_allclose(logits_of(teacher, table_of(values)), estimator.decision_function(values), rtol=1e-6)


def test_the_softmax_of_a_decision_of_two_classes_is_its_sigmoid(tmp_path):
    values, gold = blobs()
    two = gold != "z"
    model = LogisticRegression().fit(values[two], gold[two])
    task = Task("features", tuple("abcd"), classes=("x", "y"))
    logits = logits_of(loaded(model, tmp_path, task, output="decision"), table_of(values)).astype(float)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(chances, model.predict_proba(values), rtol=1e-5)
    np.testing.assert_allclose(logits[:, 0], -logits[:, 1])


def test_a_method_that_is_missing_names_the_other(tmp_path):
    values, gold = blobs()
    with pytest.raises(
        StillhouseError, match=r"must have predict_proba .* got LinearSVC without it: use output decision"
    ):
        loaded(LinearSVC().fit(values, gold), tmp_path, LETTERS)
    with pytest.raises(StillhouseError, match=r"GaussianNB without it: use output log-probabilities"):
        loaded(GaussianNB().fit(values, gold), tmp_path, LETTERS, output="decision")


def test_decisions_between_pairs_of_classes_are_no_logits(tmp_path):
    values, gold = blobs()
    with pytest.raises(StillhouseError, match="must be 'ovr', got 'ovo'"):
        loaded(SVC(decision_function_shape="ovo").fit(values, gold), tmp_path, LETTERS, output="decision")


# Several labels, and scores


def labels(values):
    return np.stack([values[:, 0] > 0, values[:, 1] > 1, values[:, 2] > 0.5], 1)


SEVERAL = Task("features", tuple("abcd"), target="multilabel", classes=("p", "q", "r"))


@pytest.mark.parametrize(
    "estimator",
    [
        OneVsRestClassifier(LogisticRegression()),
        ClassifierChain(LogisticRegression()),
        MLPClassifier((4,), tol=10, random_state=0),
    ],
)
def test_log_odds_of_arrays(estimator, tmp_path):
    values, _ = blobs()
    estimator.fit(values, labels(values).astype(int))
    teacher = loaded(estimator, tmp_path, SEVERAL, sample=table_of(values))
    assert teacher.description.classes == ("p", "q", "r")
    np.testing.assert_allclose(
        logits_of(teacher, table_of(values)), log_odds(estimator.predict_proba(values)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", [bool, int, float])
@pytest.mark.parametrize(
    "estimator", [ExtraTreesClassifier(10, random_state=0), MultiOutputClassifier(LogisticRegression())]
)
def test_log_odds_of_an_array_for_each_label(estimator, kind, tmp_path):
    values, _ = blobs()
    estimator.fit(values, labels(values).astype(kind))
    chances = np.stack([each[:, 1] for each in estimator.predict_proba(values)], 1)
    teacher = loaded(estimator, tmp_path, SEVERAL, sample=table_of(values))
    np.testing.assert_allclose(logits_of(teacher, table_of(values)), log_odds(chances), rtol=1e-5, atol=1e-5)


def test_a_label_that_never_or_always_was_there_is_at_a_bound(tmp_path):
    values, _ = blobs()
    gold = labels(values).astype(int)
    gold[:, 1], gold[:, 2] = 0, 1
    teacher = loaded(ExtraTreesClassifier(5, random_state=0).fit(values, gold), tmp_path, SEVERAL)
    logits = logits_of(teacher, table_of(values))
    np.testing.assert_allclose(logits[:, 1], np.log(1e-3 / (1 - 1e-3)), rtol=1e-5)
    np.testing.assert_allclose(logits[:, 2], -np.log(1e-3 / (1 - 1e-3)), rtol=1e-5)


def test_decisions_of_several_labels_are_as_they_are(tmp_path):
    values, _ = blobs()
    model = OneVsRestClassifier(LinearSVC()).fit(values, labels(values).astype(int))
    teacher = loaded(model, tmp_path, SEVERAL, output="decision", sample=table_of(values))
    np.testing.assert_allclose(logits_of(teacher, table_of(values)), model.decision_function(values), rtol=1e-6)


def test_labels_of_more_than_two_values_are_refused(tmp_path):
    values, _ = blobs()
    forest = ExtraTreesClassifier(2).fit(values, labels(values) + np.array([0, 0, 1]))
    with pytest.raises(StillhouseError, match=r"each label must be 0 or 1 .* got \[1.0, 2.0\]"):
        loaded(forest, tmp_path, SEVERAL)


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(), ExtraTreesRegressor(5, random_state=0)])
@pytest.mark.parametrize("output", ["log-probabilities", "decision"])
def test_scores_are_predictions(estimator, output, tmp_path):
    values, _ = blobs()
    estimator.fit(values, values @ [1.0, 2.0, -1.0, 0.5])
    task = Task("features", tuple("abcd"), target="regression")
    teacher = loaded(estimator, tmp_path, task, output=output, sample=table_of(values))
    assert teacher.description.classes == ()
    np.testing.assert_allclose(logits_of(teacher, table_of(values))[:, 0], estimator.predict(values), rtol=1e-6)


def test_a_score_must_be_one(tmp_path):
    values, _ = blobs()
    task = Task("features", tuple("abcd"), target="regression")
    with pytest.raises(StillhouseError, match=r"shape \(2, 1\) .* got \(2, 4\)"):
        loaded(LinearRegression().fit(values, values), tmp_path, task, sample=table_of(values))


@pytest.mark.parametrize(
    ("estimator", "task", "said"),
    [
        (
            LogisticRegression(),
            Task("features", tuple("abcd"), target="regression"),
            "must be a regressor .* LogisticReg",
        ),
        (
            make_pipeline(StandardScaler(), Ridge()),
            LETTERS,
            "must be a classifier for a classification task, got Ridge",
        ),
        (KMeans(2), LETTERS, "must be a classifier .* got KMeans"),
        (
            LogisticRegression(),
            replace(SEVERAL, classes=("x", "y", "z")),
            "must suit a multilabel task, got an estimator of one class a row",
        ),
    ],
)
def test_an_estimator_for_another_kind_of_task(estimator, task, said, tmp_path):
    values, gold = blobs()
    estimator.fit(values, np.arange(300.0) if "Ridge" in str(estimator) else gold)
    with pytest.raises(StillhouseError, match=said):
        loaded(estimator, tmp_path, task, sample=table_of(values))


def test_several_labels_are_not_classes(tmp_path):
    values, _ = blobs()
    task = Task("features", tuple("abcd"), classes=("0", "1", "2"))
    for model in (
        OneVsRestClassifier(LogisticRegression()),
        ExtraTreesClassifier(2),
        MLPClassifier((2,), tol=10),
    ):
        with pytest.raises(StillhouseError, match="classification task, got"):
            loaded(model.fit(values, labels(values).astype(int)), tmp_path, task, sample=table_of(values))


# Classes


@pytest.mark.parametrize(
    ("own", "known", "matched"),
    [
        ([0, 1], ("1", "0"), ("0", "1")),
        ([False, True], ("false", "true"), ("false", "true")),
        ([False, True], ("True", "False"), ("False", "True")),
        ([False, True], ("0", "1"), ("0", "1")),
        ([0.0, 1.0, 2.0], ("0", "1", "2"), ("0", "1", "2")),
        ([1, 2, 10], ("01", "02", "10"), ("01", "02", "10")),
        ([1.0, 2.5], ("1.0", "2.5"), ("1.0", "2.5")),
        (["b", "a"], ("a", "b"), ("b", "a")),
        (["neg", "pos"], (), ("neg", "pos")),
        ([3.0, 4.0], (), ("3", "4")),
    ],
)
def test_classes_are_matched_by_name_and_numbers_by_value(own, known, matched):
    assert match_classes("model", np.array(own), known) == matched
    assert match_classes("model", own, known) == matched


@pytest.mark.parametrize(
    ("own", "known"),
    [([0, 1], ("neg", "pos")), ([0, 1], ("0", "1", "2")), (["1", "2"], ("1.0", "2.0")), ([1], ("1.0", "01"))],
)
def test_other_classes_are_refused(own, known):
    with pytest.raises(StillhouseError, match=rf"must be those of the task \({', '.join(known)}\), got {own[0]}"):
        match_classes("model", own, known)


def test_long_lists_of_classes_are_cut():
    with pytest.raises(StillhouseError, match=r"8, 9, \.\.\. \(300 in all\)\), got 1, 2, .* \(300 in all\)$"):
        match_classes("model", range(1, 301), [str(each) for each in range(300)])


def test_logits_are_in_the_order_of_the_description(tmp_path):
    values, gold = blobs()
    model = LogisticRegression().fit(values, gold)
    turned = Task("features", tuple("abcd"), classes=("z", "x", "y"))
    teacher = loaded(model, tmp_path, turned)
    chosen = np.array(teacher.description.classes)[logits_of(teacher, table_of(values)).argmax(1)]
    assert (chosen == model.predict(values)).all()
    assert sorted(teacher.description.classes) == sorted(turned.classes)


# Columns


NOMINAL = ["workclass", "education", "marital-status", "occupation", "relationship", "race", "sex", "native-country"]


def encoded(encoder, classifier):
    return make_pipeline(ColumnTransformer([("nominal", encoder, NOMINAL)], remainder="passthrough"), classifier)


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="error"),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
        OrdinalEncoder(encoded_missing_value=-1),
    ],
)
def test_a_data_frame_as_the_estimator_knew_it(encoder, adult, tmp_path):
    _, frame, gold, rows = adult
    assert frame.isna().any().any()
    model = encoded(encoder, ExtraTreesClassifier(10, random_state=0)).fit(frame, gold)
    turned = rows.select(rows.column_names[::-1])  # columns go by name, not by place
    teacher = loaded(model, tmp_path, adult_task(turned), sample=turned)
    np.testing.assert_allclose(
        logits_of(teacher, turned), log_floored(model.predict_proba(frame)), rtol=1e-6, atol=1e-6
    )
    assert teacher.description.made_with["estimator"] == "ExtraTreesClassifier"


def test_boosting_on_categories(adult, tmp_path):
    _, frame, gold, rows = adult
    frame = frame.astype(dict.fromkeys(NOMINAL, "category"))
    model = HistGradientBoostingClassifier(max_iter=10).fit(frame, gold)
    teacher = loaded(model, tmp_path, adult_task(rows), sample=rows)
    np.testing.assert_allclose(logits_of(teacher, rows), log_floored(model.predict_proba(frame)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("searched", [False, True])
def test_whole_numbers_that_are_nominal_stay_what_the_encoder_learned(adult, tmp_path, searched):
    file, frame, gold, _ = adult
    rows = read(file, tuple(frame.columns), categorical=("education-num",))
    assert rows["education-num"].type == pa.string()
    encoder = ColumnTransformer([("nominal", OneHotEncoder(handle_unknown="ignore"), [*NOMINAL, "education-num"])])
    model = make_pipeline(encoder, LogisticRegression(max_iter=500))
    model = (GridSearchCV(model, {"logisticregression__C": [1.0]}, cv=2) if searched else model).fit(frame, gold)
    teacher = loaded(model, tmp_path, adult_task(rows, categorical=("education-num",)))
    np.testing.assert_allclose(logits_of(teacher, rows), log_floored(model.predict_proba(frame)), rtol=1e-6, atol=1e-6)


def test_digits_that_an_encoder_learned_as_text(adult, tmp_path):
    _, frame, gold, rows = adult
    known = frame.astype({"education-num": str})
    model = make_pipeline(
        ColumnTransformer([("nominal", OneHotEncoder(handle_unknown="ignore"), ["education-num", "sex"])]), GaussianNB()
    )
    model.set_params(columntransformer__sparse_threshold=0).fit(known, gold)
    teacher = loaded(model, tmp_path, adult_task(rows))
    np.testing.assert_allclose(logits_of(teacher, rows), log_floored(model.predict_proba(known)), rtol=1e-6, atol=1e-6)
    with pytest.raises(
        StillhouseError, match="column 'education-num' must hold what it was fitted on, string, got double"
    ):
        teacher.answer(rows.set_column(4, "education-num", rows["education-num"].cast(pa.float64())))


def test_values_without_names_come_in_the_order_of_the_task(adult, tmp_path):
    _, frame, gold, rows = adult
    columns = ["age", "sex", "capital-gain", "workclass"]
    model = make_pipeline(
        ColumnTransformer([("nominal", OneHotEncoder(), [1, 3])], remainder="passthrough"),
        ExtraTreesClassifier(5, random_state=0),
    ).fit(frame[columns].to_numpy(object), gold)
    rows = rows.select(columns)
    teacher = loaded(model, tmp_path, adult_task(rows), sample=rows)
    given = frame[columns].to_numpy(object)
    np.testing.assert_allclose(logits_of(teacher, rows), log_floored(model.predict_proba(given)), rtol=1e-6, atol=1e-6)


def test_every_type_of_column_with_missing_values(tmp_path):
    rows = pa.table(
        {
            "whole": pa.array([1, None, 3, 4] * 20, pa.int64()),
            "real": pa.array([0.5, 1.5, None, 2.0] * 20, pa.float64()),
            "flag": pa.array([True, False, None, True] * 20, pa.bool_()),
            "name": pa.array(["é", None, "", "b"] * 20, pa.string()),
        }
    )
    frame = pd.DataFrame(
        {
            "whole": [1, np.nan, 3, 4] * 20,
            "real": [0.5, 1.5, np.nan, 2.0] * 20,
            "flag": pd.Series([True, False, np.nan, True] * 20, dtype=object),
            "name": pd.Series(["é", np.nan, "", "b"] * 20, dtype=object),
        }
    )
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, ["x", "y", "z", "x"] * 20)
    task = Task("features", tuple(frame.columns), classes=("x", "y", "z"))
    teacher = loaded(model, tmp_path, task, sample=rows)
    np.testing.assert_allclose(logits_of(teacher, rows), log_floored(model.predict_proba(frame)), rtol=1e-6, atol=1e-6)


def test_columns_that_do_not_fit(adult, tmp_path):
    _, frame, gold, rows = adult
    numbers = frame.select_dtypes("number")
    tree = RandomForestClassifier(2, random_state=0)
    fewer = rows.select(["age", "fnlwgt"])
    with pytest.raises(
        StillhouseError, match=r"column 'education-num', on which it was fitted, must be .* got age, fnlwgt"
    ):
        loaded(tree.fit(numbers, gold), tmp_path, adult_task(fewer))
    with pytest.raises(StillhouseError, match="must be given 6 features, as it was fitted, got 2"):
        loaded(tree.fit(numbers.to_numpy(), gold), tmp_path, adult_task(fewer))
    with pytest.raises(
        StillhouseError, match="must take rows like those of the task, got ValueError: could not convert"
    ):
        loaded(tree.fit(numbers.to_numpy(), gold), tmp_path, adult_task(rows.select(range(6))), sample=rows)


# Texts

TEXTS = ["a fine film", "dull", "so bad , so dull", "great fun", "not good", "a great plot"] * 10
FEELINGS = [1, 0, 0, 1, 0, 1] * 10


def test_texts_of_a_vectorizer(tmp_path):
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, FEELINGS)
    rows = pa.table({"text": [*TEXTS, "", "é"]})
    teacher = loaded(model, tmp_path, Task("text", ("text",), classes=("0", "1")), sample=rows)
    np.testing.assert_allclose(
        logits_of(teacher, rows), log_floored(model.predict_proba([*TEXTS, "", "é"])), rtol=1e-6, atol=1e-6
    )


def test_texts_and_pairs_of_a_data_frame(tmp_path):
    frame = pd.DataFrame({"one": TEXTS, "two": TEXTS[::-1]})
    model = make_pipeline(
        ColumnTransformer([("one", TfidfVectorizer(), "one"), ("two", TfidfVectorizer(), "two")]), LogisticRegression()
    ).fit(frame, FEELINGS)
    rows = pa.table({"two": TEXTS[::-1], "one": TEXTS})
    teacher = loaded(model, tmp_path, Task("pair", ("two", "one")), sample=rows)
    np.testing.assert_allclose(logits_of(teacher, rows), log_floored(model.predict_proba(frame)), rtol=1e-6, atol=1e-6)


def test_a_pair_without_column_names_is_refused(tmp_path):
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, FEELINGS)
    with pytest.raises(StillhouseError, match="must be fitted on a data frame of both texts to label pairs"):
        loaded(model, tmp_path, Task("pair", ("a", "b")))


def test_texts_for_an_estimator_of_numbers(tmp_path):
    values, gold = blobs()
    model = LogisticRegression().fit(values, gold)
    with pytest.raises(StillhouseError, match="must take rows like those of the task, got ValueError"):
        loaded(model, tmp_path, Task("text", ("t",), classes=("x", "y", "z")), sample=pa.table({"t": ["good", "bad"]}))


# Files


def saved(folder: Path):
    values, gold = blobs()
    return values, LogisticRegression().fit(values, gold), folder / "model.skops"


def test_skops_needs_no_trust(tmp_path):
    values, model, file = saved(tmp_path)
    skops.io.dump(model, file)
    renamed = tmp_path / "model.zip"
    renamed.write_bytes(file.read_bytes())
    for each in (file, renamed):
        teacher = Sklearn(str(each)).load(Request(LETTERS))
        np.testing.assert_allclose(
            logits_of(teacher, table_of(values)), log_floored(model.predict_proba(values)), rtol=1e-6, atol=1e-6
        )


def test_skops_names_the_types_that_it_does_not_trust(tmp_path):
    values, gold = blobs()
    file = tmp_path / "forest.skops"
    forest = ExtraTreesClassifier(3, random_state=0).fit(values, gold)
    skops.io.dump(forest, file)
    with pytest.raises(
        StillhouseError, match=r"got sklearn.tree._tree.Tree: if you made the file, pass --trust-pickle"
    ):
        Sklearn(str(file)).load(Request(LETTERS))
    teacher = Sklearn(str(file), trust_pickle=True).load(Request(LETTERS))
    np.testing.assert_allclose(
        logits_of(teacher, table_of(values)), log_floored(forest.predict_proba(values)), rtol=1e-6
    )


def test_a_pickle_is_not_read_without_leave(tmp_path):
    _, model, _ = saved(tmp_path)
    for name, write in (("m.joblib", joblib.dump), ("m.pkl", lambda it, path: path.write_bytes(pickle.dumps(it)))):
        file = tmp_path / name
        write(model, file)
        with pytest.raises(StillhouseError, match=r"got a pickle, which runs code as it is read: .* --trust-pickle"):
            Sklearn(str(file)).load(Request(LETTERS))
        assert Sklearn(str(file), trust_pickle=True).load(Request(LETTERS)).description.classes == ("x", "y", "z")


@pytest.mark.parametrize("name", ["m.skops", "m.joblib"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x80\x04no pickle", b"neither"])
def test_damaged_files_give_one_line(name, content, tmp_path):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(StillhouseError, match="must hold an estimator that can be read, got") as caught:
        Sklearn(str(file), trust_pickle=True).load(Request(LETTERS))
    assert "\n" not in str(caught.value)


def test_a_truncated_skops_file(tmp_path):
    _, model, file = saved(tmp_path)
    skops.io.dump(model, file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(StillhouseError, match="must hold an estimator that can be read, got BadZipFile"):
        Sklearn(str(file)).load(Request(LETTERS))


def test_files_that_are_missing_or_hold_no_fitted_estimator(tmp_path):
    with pytest.raises(StillhouseError, match="must be a file with an estimator, got none"):
        Sklearn(str(tmp_path / "none.skops")).load(Request(LETTERS))
    with pytest.raises(StillhouseError, match="must be a file with an estimator, got a directory"):
        Sklearn(str(tmp_path)).load(Request(LETTERS))
    with pytest.raises(StillhouseError, match="must hold an estimator, got dict"):
        loaded({"coef": [1]}, tmp_path, LETTERS)
    with pytest.raises(StillhouseError, match="must hold an estimator, got type"):
        loaded(LogisticRegression, tmp_path, LETTERS)
    with pytest.raises(StillhouseError, match="a fitted estimator, got a Pipeline that is not fitted"):
        loaded(make_pipeline(StandardScaler(), LogisticRegression()), tmp_path, LETTERS)


def test_an_estimator_of_another_version_is_on_record(tmp_path, monkeypatch):
    _, model, _ = saved(tmp_path)
    assert "fitted_with" not in loaded(model, tmp_path, LETTERS).description.made_with
    monkeypatch.setattr("sklearn.base.__version__", "1.3.2")
    data = pickle.dumps(model)
    monkeypatch.undo()
    file = tmp_path / "old.pkl"
    file.write_bytes(data)
    made_with = Sklearn(str(file), trust_pickle=True).load(Request(LETTERS)).description.made_with
    assert made_with["fitted_with"] == "1.3.2"


@pytest.mark.parametrize("missing", ["skops.io", "pandas"])
def test_what_is_not_installed_gives_the_pip_line(missing, tmp_path, monkeypatch):
    values, gold = blobs()
    file = tmp_path / "model.skops"
    skops.io.dump(LogisticRegression().fit(pd.DataFrame(values, columns=list("abcd")), gold), file)
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with pytest.raises(StillhouseError, match=r"run `pip install 'stillhouse\[sklearn\]'`"):
        Sklearn(str(file)).load(Request(LETTERS, sample=table_of(values)))


# What it is asked for, and what it is


def test_only_logits(tmp_path):
    _, model, file = saved(tmp_path)
    skops.io.dump(model, file)
    with pytest.raises(StillhouseError, match="must be logits alone, got logits, embedding"):
        Sklearn(str(file)).load(Request(LETTERS, ("logits", "embedding")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"output": "decisions"}, "output: must be one of .* did you mean 'decision'"),
        ({"floor": 0.0}, "floor must be above 0 and below 0.5, got 0.0"),
        ({"floor": 0.5}, "floor must be above 0"),
        ({"batch_rows": 0}, "batch_rows must be at least 1, got 0"),
    ],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(StillhouseError, match=said):
        Sklearn("model.skops", **options)


def test_another_file_output_or_floor_is_another_teacher(tmp_path):
    values, model, _ = saved(tmp_path)

    def identity(estimator=model, **options):
        return str(loaded(estimator, tmp_path, LETTERS, **options).description.identity)

    made = {
        identity(),
        identity(LogisticRegression(C=0.5).fit(values, blobs()[1])),
        identity(output="decision"),
        identity(floor=0.01),
    }
    assert len(made) == 4
    assert identity(batch_rows=7) == identity()
    assert identity(output="decision", floor=0.01) == identity(output="decision")


def test_a_forest_of_several_jobs_gives_the_same_bits_each_time(tmp_path):
    values, gold = blobs(5000)
    forest = ExtraTreesClassifier(60, min_samples_leaf=3, random_state=0, n_jobs=2).fit(values, gold)
    rows = table_of(values)
    teacher = loaded(forest, tmp_path, LETTERS)
    assert teacher.threads == 2
    forest.set_params(n_jobs=1)
    alone = loaded(forest, tmp_path, LETTERS)
    assert alone.threads == 1
    first = logits_of(alone, rows)
    assert all((logits_of(teacher, rows) == first).all() for _ in range(5))
    pieces = [logits_of(teacher, rows.slice(start, 1300)) for start in range(0, 5000, 1300)]
    assert (np.concatenate(pieces) == first).all()
    # In float64, where another order of the trees shows: all jobs of one call.
    seen = []
    told = replace(teacher, threads=1, read=lambda answer: seen.append(answer.copy()) or answer)
    forest.set_params(n_jobs=2)
    for _ in range(8):
        told.answer(rows)
    assert all((each == seen[0]).all() for each in seen)
