"""The report: its figures are the library's, every kind of student has a page, and nothing is taken for markup.

``test_report_browser.py`` drives the page.
"""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_page import Page, problems
from report_students import GOLD, HOSTILE, TEXTS, TWO, cache_of, csv, history, save, sweep
from tiny_students import make_student, rows_of

from augment import Mask, augment_file
from stillhouse.commands.report import command
from stillhouse.report import Yardstick, report
from students import Student, cost, evaluate
from students._pool import Record
from students._results import results
from students.answered import answered
from transferset import Source, StillhouseError, TransferSet, read_rows

pytestmark = pytest.mark.usefixtures("one_thread", "no_sync")
TITLES = [
    "Results",
    "Quality and cost",
    "Learning curves",
    "Calibration",
    "Confusion",
    "Where they differ",
    "Augmenters",
    "How it was made",
]


def read(path):
    page = Page(path.read_text())
    assert problems(page) == []
    assert list(page.sections) == TITLES
    return page


@pytest.fixture
def file(tmp_path):
    return csv(tmp_path / "test.csv", ("text", TEXTS), ("label", GOLD))


@pytest.fixture
def two(tmp_path, file):
    """Two students S and B, a test with a teacher, and their transfer set."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "rows.csv").write_text("text,label\n" + "".join(f"{a},{b}\n" for a, b in zip(TEXTS, GOLD, strict=True)))
    student = make_student(classes=TWO)
    source = Source(folder / "rows.csv")
    augment_file(source, student.task, folder / "T", [Mask(rate=0.5)], copies=3)
    transfer = TransferSet.open(folder / "T")
    save(tmp_path / "S", student, transfer=transfer)
    save(tmp_path / "B", make_student("cnn", classes=TWO), seed=1, transfer=transfer)
    cache = cache_of(tmp_path / "L", student.task, pa.table({"text": TEXTS}), TWO)
    return Yardstick(file, cache, resamples=50, speed=False), transfer


# What it says.


def test_the_figures_are_those_of_evaluate_beside_the_teachers(tmp_path, two):
    test, transfer = two
    assert report([tmp_path / "S", tmp_path / "B"], tmp_path / "r.html", test, transfer) == 2
    rows = read(tmp_path / "r.html").table("accuracy")
    assert rows[0]["student"] == "teacher"
    for name in ("S", "B"):
        found = evaluate(Student.load(tmp_path / name), test.source, test.cache, resamples=50)
        (row,) = [each for each in rows[1:] if each["student"].split()[1] == name]
        for column, figure in {"accuracy": "accuracy", "F1": "f1", "KL": "kl", "ECE": "ece", "NLL": "nll"}.items():
            assert row[column] == f"{found[figure]:.3f}"
            if figure != "kl":
                assert rows[0][column] == f"{found['teacher'][figure]:.3f}"
        low, high = found["intervals"]["accuracy"]
        assert row["95 % interval"] == f"{low:.3f} to {high:.3f}"
        size = sum(
            file.stat().st_size
            for file in (tmp_path / name).iterdir()
            if file.name not in ("metrics.json", "README.md")
        )
        assert float(row["MB"]) == pytest.approx(size / 1e6, rel=0.01)
    accuracies = [float(row["accuracy"]) for row in rows[1:]]
    assert accuracies == sorted(accuracies, reverse=True)


def test_confusion_and_differences_are_counted_right(tmp_path, two):
    test, transfer = two
    report([tmp_path / "S"], tmp_path / "r.html", test, transfer, examples=3)
    page = read(tmp_path / "r.html")
    student = make_student(classes=TWO)
    found = answered(student, test.source, test.cache)
    ours, theirs = found.student.argmax(1), found.teacher.argmax(1)
    tables = [table for table in page.tables if table[0][0] == "gold \\ said"]
    for decided, table in zip((theirs, ours), tables, strict=True):
        wanted = [[int(((found.gold == gold) & (decided == said)).sum()) for said in (0, 1)] for gold in (0, 1)]
        assert [[int(cell.split()[0]) for cell in row[1:]] for row in table[1:]] == wanted
    differ = int((ours != theirs).sum())
    text = page.sections["Where they differ"]
    assert f"differ in {differ} of {len(ours)} rows. {min(3, differ)} are shown" in text
    shown = [row for table in page.tables if table[0][0] == "row" for row in table[1:]]
    assert len(shown) == min(3, differ)
    for number, shown_text, gold, teacher, said in shown:
        assert (shown_text, gold) == (TEXTS[int(number) - 1], GOLD[int(number) - 1])
        assert teacher.split()[0] != said.split()[0]


def test_what_augmenters_did_is_counted_and_what_they_are_worth_compared(tmp_path, two):
    test, transfer = two
    for name, seed, augmenters in (("all", 0, None), ("all-1", 1, None), ("none", 2, "none")):
        save(tmp_path / name, make_student(classes=TWO), seed=seed, transfer=transfer, augmenters=augmenters)
    places = [tmp_path / name for name in ("all", "all-1", "none")]
    report(places, tmp_path / "r.html", test, transfer)
    page = read(tmp_path / "r.html")
    (mask,) = page.table("rows edited")
    edits = [each for table in transfer.tables(["edits"]) for each in table["edits"].to_pylist() if each]
    assert (mask["rule"], mask["rows edited"]) == ("mask", f"{len(edits)}")
    assert mask["edits"] == f"{sum(map(len, edits))}"
    accuracy = {row["student"].split()[1]: float(row["accuracy"]) for row in page.table("MCC")[1:]}
    compared = {row["trained on"]: row for row in page.table("trained on")}
    mean = (accuracy["all"] + accuracy["all-1"]) / 2
    assert float(compared["all rules"]["accuracy"]) == pytest.approx(mean, abs=1e-3)
    gain = compared["all rules"]["against originals alone"].replace("\u2212", "-")
    assert float(gain) == pytest.approx(mean - accuracy["none"], abs=1.1e-3)
    assert compared["originals alone"]["against originals alone"] == "\u2013"


def test_students_that_differ_in_more_than_their_copies_are_not_compared(tmp_path, two):
    test, transfer = two
    save(tmp_path / "other", make_student(classes=TWO), transfer=transfer, augmenters="none", loss="kl")
    report([tmp_path / "S", tmp_path / "other"], tmp_path / "r.html", test)
    text = read(tmp_path / "r.html").sections["Augmenters"]
    assert "no two students" in text
    assert "give the transfer set" in text


def test_the_front_has_the_students_that_no_other_beats(tmp_path, two):
    test, _ = two
    places = [tmp_path / "S", tmp_path / "B"]
    for seed in (3, 4, 5):
        places.append(tmp_path / f"bag-{seed}")
        save(places[-1], make_student(classes=TWO), seed=seed)
    report(places, tmp_path / "r.html", test)
    page = read(tmp_path / "r.html")
    rows = {row["student"].split()[0]: (float(row["MB"]), float(row["accuracy"])) for row in page.table("MCC")[1:]}
    (says,) = [each for each in page.all("aria-label") if "Pareto front" in each]
    on = {each.split()[0] for each in says.partition("front: ")[2].split("), ")}
    best = max(quality for _, quality in rows.values())
    assert best in {rows[number][1] for number in on}
    for number in on:
        size, quality = rows[number]
        # Sizes are rounded in the table: only clear cases count.
        assert not any(s < size * 0.97 and q > quality for s, q in rows.values())
    shapes = {each["d"] for tag, each in page.attributes if tag == "path" and each["class"].startswith("student")}
    assert len(shapes) == 2, "students of two kinds have marks of two shapes"


def test_without_a_file_it_has_what_was_noted_in_training(tmp_path):
    save(tmp_path / "S", make_student(classes=TWO))
    report([tmp_path / "S"], tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    (row,) = page.table("epochs")
    assert (row["accuracy"], row["loss"], row["epochs"]) == ("0.520", "1.000", "2 of 3")
    assert "test" not in page.sections["How it was made"]
    for title in ("Calibration", "Confusion", "Where they differ"):
        assert page.sections[title].startswith("Left out: ")
    assert "Latency was not measured" in page.sections["Quality and cost"]


def test_the_same_students_give_the_same_bytes(tmp_path, two):
    for name in ("one.html", "two.html"):
        report([tmp_path / "S", tmp_path / "B"], tmp_path / name, *two)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_speed_is_measured_where_it_is_wanted(tmp_path, two, monkeypatch):
    monkeypatch.setattr(cost, "SECONDS", 0.05)
    report([tmp_path / "S"], tmp_path / "r.html", replace(two[0], speed=True))
    page = read(tmp_path / "r.html")
    assert all(float(page.table("MCC")[1][name].split()[0].replace(",", "")) > 0 for name in ("ms a row", "rows/s"))
    assert "Latency" not in page.sections["Quality and cost"]


# Sweeps.


def test_a_sweeps_candidates_are_there_whatever_became_of_them(tmp_path, two):
    places = [sweep(tmp_path / "RUNS"), tmp_path / "S", tmp_path / "RUNS" / "bag-aaaaaaaaaa"]
    assert report(places, tmp_path / "r.html", two[0]) == 5, "one that is given twice is there once"
    page = read(tmp_path / "r.html")
    rows = page.table("MCC")[1:]
    assert sorted(row["status"].split()[0] for row in rows) == ["done", "done", "done", "failed", "stopped"]
    assert rows[-1]["status"] == f"failed train: loss must be finite {HOSTILE}"
    assert rows[-1]["accuracy"] == "\u2013"
    assert "bag-dddddddddd" in rows[-1]["student"]
    (stopped,) = [each for each in rows if each["status"] == "stopped"]
    assert stopped["epochs"] == "1 of 1"


def test_figures_of_the_sweeps_own_test_rank_where_nothing_is_measured_now(tmp_path, file):
    sweep(tmp_path / "RUNS", file)
    report([tmp_path / "RUNS"], tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    assert "the sweep\u2019s test file" in page.sections["Results"]
    table = {row["name"]: row for row in pq.read_table(tmp_path / "RUNS" / "results.parquet").to_pylist()}
    best = max(row["test_accuracy"] for row in table.values() if row["test_accuracy"] is not None)
    assert page.table("MCC")[0]["accuracy"] == f"{best:.3f}"


def test_a_sweep_that_is_still_at_work_is_told_of_too(tmp_path):
    folder = sweep(tmp_path / "RUNS")
    (folder / "results.parquet").unlink()
    paused = folder / "bag-eeeeeeeeee" / "_checkpoint"
    paused.mkdir(parents=True)
    (paused / "state.json").write_text(json.dumps({"history": history(2), "best_epoch": 2}))
    (folder / "_sweep" / "bag-dddddddddd.json").unlink()
    assert report([folder], tmp_path / "r.html") == 4
    rows = read(tmp_path / "r.html").table("epochs")
    assert sorted(row["status"] for row in rows) == ["done", "done", "paused", "stopped"]
    assert [row["epochs"] for row in rows if row["status"] == "paused"] == ["2 of 2"]


def test_a_hundred_students_are_all_in_the_table_and_the_rest_is_counted(tmp_path):
    folder = tmp_path / "RUNS"
    folder.mkdir()
    options = [{"student": "bag", "seed": number, "loss": "mse"} for number in range(100)]
    records = [
        Record(f"bag-{number:010x}", each, "stopped", history(2, number / 200), 2, 40, 1.0)
        for number, each in enumerate(options)
    ]
    (folder / "_sweep").mkdir()
    for each in records:
        (folder / "_sweep" / f"{each.name}.json").write_text(json.dumps({**vars(each)}))
    pq.write_table(results(folder, records, None, None, "dev_accuracy", False), folder / "results.parquet")
    assert report([folder], tmp_path / "r.html") == 100
    page = read(tmp_path / "r.html")
    assert len(page.table("epochs")) == 100
    assert "Of 100 students the first 24 are drawn" in page.sections["Learning curves"]
    assert sum(tag == "svg" for tag, _ in page.attributes) == 24


# Every kind of student.


@pytest.mark.parametrize("target", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("kind", ["text", "pair", "features"])
def test_every_kind_of_task_has_a_page(tmp_path, kind, target):
    student = make_student("mlp" if kind == "features" else "bag", kind, target)
    save(tmp_path / "S", student)
    rows = rows_of(student.task)
    labels = {"classification": "so so", "multilabel": "a|c", "regression": "0.5"}
    gold = {"multilabel": ["b", ""], "regression": ["-1.5", "2"]}.get(target, ["neg", "pos"])
    cells = [*gold, *[labels[target]] * (len(rows) - 2)]
    inputs = [
        (name, ["" if each is None else str(each) for each in rows[name].to_pylist()]) for name in student.task.inputs
    ]
    test = csv(tmp_path / "test.csv", *inputs, ("label", cells))
    there = pa.Table.from_batches(list(read_rows(test, student.task, student.encoding.types)))
    cache = cache_of(tmp_path / "L", student.task, there, student.task.classes)
    report([tmp_path / "S"], tmp_path / "r.html", Yardstick(test, cache, resamples=20, speed=False))
    page = read(tmp_path / "r.html")
    left_out = {title for title, text in page.sections.items() if text.startswith("Left out")}
    assert left_out == ({"Calibration"} if target == "regression" else set())
    columns = {"classification": "MCC", "multilabel": "F1 macro", "regression": "spearman"}
    assert len(page.table(columns[target])) == 2


def test_students_of_embeddings_are_measured_by_the_teachers(tmp_path, file):
    student = make_student(output="embedding")
    save(tmp_path / "E", student, loss="cosine")
    embedding = np.random.default_rng(0).normal(size=(len(TEXTS), 5)).astype(np.float32)
    cache = cache_of(tmp_path / "L", student.task, pa.table({"text": TEXTS}), (), embedding=embedding)
    report([tmp_path / "E"], tmp_path / "r.html", Yardstick(file, cache, speed=False), examples=4)
    page = read(tmp_path / "r.html")
    ours = student.outputs(pa.table({"text": TEXTS}))
    cosine = (ours * embedding).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(embedding, axis=1)
    assert page.table("cosine")[0]["cosine"] == f"{cosine.mean():.3f}"
    shown = [row for table in page.tables if table[0][0] == "row" for row in table[1:]]
    assert [int(row[0]) - 1 for row in shown] == np.argsort(cosine)[:4].tolist()
    assert page.sections["Confusion"].startswith("Left out: embeddings")


def test_students_of_logits_and_of_embeddings_may_stand_together(tmp_path, two, file):
    save(tmp_path / "E", make_student(output="embedding"), loss="cosine")
    assert report([tmp_path / "S", tmp_path / "E"], tmp_path / "r.html", two[0]) == 2
    rows = read(tmp_path / "r.html").table("MCC")[1:]
    assert [row["accuracy"] == "\u2013" for row in rows] == [False, True]


def test_many_classes_are_told_by_what_is_confused_most(tmp_path):
    classes = tuple(f"class {number}" for number in range(30))
    student = make_student(classes=classes)
    save(tmp_path / "S", student)
    test = csv(tmp_path / "test.csv", ("text", TEXTS), ("label", classes[: len(TEXTS)]))
    report([tmp_path / "S"], tmp_path / "r.html", Yardstick(test, speed=False, resamples=0))
    page = read(tmp_path / "r.html")
    assert "Of 30 classes a table would be too large" in page.sections["Confusion"]
    decided = student.outputs(pa.table({"text": TEXTS})).argmax(1)
    wrong = sum(said != gold for gold, said in enumerate(decided.tolist()))
    assert sum(int(row["rows"]) for row in page.table("said")) == wrong


def test_nothing_of_the_users_is_taken_for_markup(tmp_path):
    column, classes = f"text {HOSTILE}", (f"neg{HOSTILE}", "pos\u202e\x00\x1b[31m")
    base = make_student(classes=classes)
    task = replace(base.task, inputs=(column,), label=f"label{HOSTILE}")
    student = replace(base, config=replace(base.config, task=task))
    place = tmp_path / "<b onclick=alert(1)>S"
    save(place, student)
    texts = [HOSTILE, "good film", "</style><script>window.hacked=1</script>", "fine " * 200]
    rows = pa.table({column: texts, task.label: [classes[1], *classes, classes[0]]})
    pq.write_table(rows, tmp_path / "<i>test.parquet")
    logits = -student.outputs(rows)
    cache = cache_of(tmp_path / "L", task, rows, classes, logits=logits)
    report([place], tmp_path / "r.html", Yardstick(Source(tmp_path / "<i>test.parquet"), cache, speed=False))
    page = read(tmp_path / "r.html")
    shown = {" ".join(row[1].split()) for table in page.tables if table[0][0] == "row" for row in table[1:]}
    assert {HOSTILE, "</style><script>window.hacked=1</script>"} <= shown
    (long,) = [each for each in shown if each.startswith("fine")]
    assert long.endswith("\u2026 1,000 characters")
    assert len(long) < 450
    assert not {"img", "i", "b"} & {tag for tag, _ in page.attributes}
    assert sum(tag == "script" for tag, _ in page.attributes) == 1
    assert not any(name.startswith("on") for _, attributes in page.attributes for name in attributes)
    assert not {"\x00", "\x1b"} & set(page.html)


# What it refuses.


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("nothing", "must be a student's or a sweep's directory, got nothing there"),
        ("test.csv", "must be a student's or a sweep's directory, got a file"),
        (".", "got something else: try"),
        ("broken", "broken/config.json: must be JSON"),
        ("other", "other: config.json and metrics.json must describe a student"),
        ("table", "table/results.parquet: must be the results of a sweep"),
        ("score", "students must answer one question"),
    ],
)
def test_what_is_no_student_is_refused(tmp_path, two, given, says):
    for name, text in (("broken", "{"), ("other", '{"student": "bag"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
        (tmp_path / name / "metrics.json").write_text("{}")
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "results.parquet").write_text("no")
    save(tmp_path / "score", make_student(target="regression"))
    with pytest.raises(StillhouseError, match=says.replace(".", r"\.")):
        report([tmp_path / "S", tmp_path / given], tmp_path / "r.html", two[0])
    assert not (tmp_path / "r.html").exists()


def test_what_does_not_fit_the_students_is_refused(tmp_path, two, file):
    test, transfer = two
    save(tmp_path / "alone", make_student(classes=TWO))
    lacking = cache_of(tmp_path / "L2", make_student().task, pa.table({"text": TEXTS[:2]}), TWO)
    embedding = cache_of(
        tmp_path / "L3", make_student().task, pa.table({"text": TEXTS}), (), embedding=np.ones((10, 3), np.float32)
    )
    for options, says in (
        ({"transfer": transfer}, "must be the transfer set that students of the report were trained on"),
        ({"test": replace(test, cache=lacking)}, "7 of 9 are missing"),
        ({"test": replace(test, cache=embedding)}, "must hold logits, got embedding"),
        ({"test": replace(test, label="lable")}, "did you mean 'label'"),
        ({"examples": -1}, "report: examples must be"),
    ):
        with pytest.raises(StillhouseError, match=says):
            report([tmp_path / "alone"], tmp_path / "r.html", **options)
    assert not (tmp_path / "r.html").exists()
    with pytest.raises(StillhouseError, match="must have a student's or a sweep's directory, got none"):
        report([], tmp_path / "r.html")


def test_a_page_is_replaced_only_by_force_and_only_when_the_new_one_is_whole(tmp_path, two):
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(StillhouseError, match="must be a new file, got a file"):
        report([tmp_path / "S"], tmp_path / "r.html")
    with pytest.raises(StillhouseError, match="got nothing there"):
        report([tmp_path / "gone"], tmp_path / "r.html", force=True)
    assert (tmp_path / "r.html").read_text() == "mine"
    report([tmp_path / "S"], tmp_path / "r.html", force=True)
    read(tmp_path / "r.html")
    with pytest.raises(StillhouseError, match="must be a new file, got a directory"):
        report([tmp_path / "S"], tmp_path / "B", force=True)


# The command.


def test_the_command_writes_the_page_and_says_so(tmp_path, two, file, capsys):
    places = [tmp_path / "S", tmp_path / "B", "--test", file.path, "--cache", tmp_path / "L"]
    options = ["--transfer", tmp_path / "made" / "T", "--no-speed", "--resamples", 50, "--examples", 3]
    command.main([str(each) for each in (*places, *options, "--out", tmp_path / "r.html")], standalone_mode=False)
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'r.html'}: 2 students, ")
    report([tmp_path / "S", tmp_path / "B"], tmp_path / "again.html", *two, examples=3)
    assert (tmp_path / "r.html").read_bytes() == (tmp_path / "again.html").read_bytes()
    alone = ["--cache", tmp_path / "L", "--out", tmp_path / "no.html"]
    with pytest.raises(StillhouseError, match="--cache must be given with --test FILE, got it alone"):
        command.main([str(each) for each in (tmp_path / "S", *alone)], standalone_mode=False)
