"""Predicting: every row has its answer, in every format, from files and from lines, in little memory."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, one_line_error, stillhouse
from tiny_students import TABLE, TEXTS, make_student, rows_of

from stillhouse.cli import stillhouse as command
from stillhouse.commands._lines import Lines
from students import answers
from students._answers import lines, probabilities
from students._config import Config
from students.export import export
from students.predict import STYLES, inputs_of, open_student, written_answers
from transferset import Source, StillhouseError, Task

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = [
    ("text", "classification", "logits"),
    ("text", "multilabel", "logits"),
    ("text", "regression", "logits"),
    ("text", "classification", "embedding"),
]
#: What a csv, a JSON object and a text file have to be careful with.
AWKWARD = [
    'say "hi"',
    "a,b",
    "two\nlines",
    "a\rb",
    "",
    " ",
    "tab\there",
    "日本 \U0001f600",
    "'",
    "\\n",
    "\x00\x1f",
    '"',
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("student") / "S"
    make_student().save(path, {})
    return path


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "S.onnx"
    export(make_student(), path)
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "S.onnx"
    export(make_student("bag", "pair"), path)
    return path


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "S.onnx"
    export(make_student("mlp", "features"), path)
    return path


@pytest.fixture
def csv_file(tmp_path):
    """Awkward texts with a number and a gold label."""
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "label"])
        writer.writerows([number, text, "pos"] for number, text in enumerate(AWKWARD))
    return tmp_path / "rows.csv"


def written(student, rows, style="jsonl", keep=()):
    """All that is written, and of how many rows."""
    pieces = list(written_answers(student, rows, style, keep))
    return b"".join(piece for _, piece in pieces).decode(), sum(number for number, _ in pieces)


def parsed(text, delimiter=","):
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


@pytest.mark.parametrize(("kind", "target", "output"), KINDS)
def test_every_format_says_what_answers_says(tmp_path, kind, target, output):
    student = make_student("bag", kind, target, output=output)
    pq.write_table(rows_of(student.task), tmp_path / "rows.parquet")
    wanted = list(answers(student, rows_of(student.task)))
    text, number = written(student, Source(tmp_path / "rows.parquet"))
    assert number == len(TEXTS)
    found = [json.loads(line) for line in text.splitlines()]
    assert found == wanted
    for style, delimiter in (("csv", ","), ("tsv", "\t")):
        rows = parsed(written(student, Source(tmp_path / "rows.parquet"), style)[0], delimiter)
        assert len(rows) == len(TEXTS)
        for row, answer in zip(rows, found, strict=True):
            assert row == flat(answer)


def flat(answer):
    """An answer as the columns of a csv file have it."""
    cells = {}
    for name, value in answer.items():
        if name == "probabilities":
            cells |= {f"probability_{each}": share for each, share in value.items()}
        elif name == "embedding":
            cells |= {f"e{place}": each for place, each in enumerate(value)}
        else:
            cells[name] = "|".join(value) if name == "labels" else value
    return {name: value if isinstance(value, str) else plain(value) for name, value in cells.items()}


def plain(number):
    return pa.array([number]).cast(pa.string())[0].as_py()


def test_answers_agree_with_the_outputs():
    student = make_student(target="multilabel")
    outputs = student.outputs(rows_of(student.task))
    for row, answer in zip(outputs, answers(student, rows_of(student.task)), strict=True):
        shares = 1 / (1 + np.exp(-row.astype(float)))
        assert list(answer["probabilities"].values()) == pytest.approx(shares, abs=1e-6)
        assert answer["labels"] == [name for name, share in zip("abc", shares, strict=True) if share > 0.5]
    student = make_student()
    outputs = student.outputs(rows_of(student.task)).astype(float)
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    for row, answer in zip(shares, answers(student, rows_of(student.task)), strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(row, abs=1e-6)
        assert answer["label"] == student.task.classes[row.argmax()]
    student = make_student(target="regression")
    found = [answer["score"] for answer in answers(student, rows_of(student.task))]
    assert np.array_equal(np.float32(found), student.outputs(rows_of(student.task))[:, 0]), "no digit is lost"


def test_extreme_logits_have_probabilities():
    logits = np.array([[1e4, -1e4], [-1e30, 1e30], [0, 0]], np.float32)
    task = Task("text", ("a",), "b", classes=("n", "y"))
    assert probabilities(logits, task).tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    several = Task("text", ("a",), "b", "multilabel", ("n", "y"))
    assert probabilities(logits, several).tolist() == [[1, 0], [0, 1], [0.5, 0.5]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_refused(value):
    config = Config(Task("text", ("a",), "b", "regression"), None, "bag", {}, "logits", 1, {})
    for style in STYLES:
        with pytest.raises(StillhouseError, match="must be finite"):
            lines(config, np.array([[value]], np.float32), {}, style)


@pytest.mark.parametrize("style", ["jsonl", "csv"])
def test_kept_columns_come_back_as_they_were(csv_file, style):
    text, number = written(make_student(), Source(csv_file), style, ["id", "text", "label=gold"])
    assert number == len(AWKWARD)
    rows = [json.loads(line) for line in text.splitlines()] if style == "jsonl" else parsed(text)
    assert [row["text"] for row in rows] == AWKWARD
    assert [int(row["id"]) for row in rows] == list(range(len(AWKWARD)))
    assert {row["gold"] for row in rows} == {"pos"}
    assert next(iter(rows[0])) == "id", "what is kept comes first"


def test_a_written_csv_is_read_as_a_source(csv_file, tmp_path):
    (tmp_path / "answers.csv").write_bytes(written(make_student(), Source(csv_file), "csv", ["text"])[0].encode())
    source = Source(tmp_path / "answers.csv")
    found = pa.Table.from_batches(source.batches(source.columns()))
    assert found["text"].to_pylist() == AWKWARD
    assert set(found["label"].to_pylist()) <= {"neg", "pos", "so so"}


def test_values_that_are_no_text_are_kept(tmp_path):
    table = pa.table(
        {
            "text": ["a", "b"],
            "number": [1, None],
            "share": [0.5, float("nan")],
            "sure": [True, None],
            "list": [["x", "y"], []],
            "day": pa.array([0, 1], pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    keep = ["number", "share", "sure", "list", "day"]
    text, _ = written(make_student(), Source(tmp_path / "rows.parquet"), "jsonl", keep)
    rows = [{name: value for name, value in json.loads(line).items() if name in keep} for line in text.splitlines()]
    assert rows == [
        {"number": 1, "share": 0.5, "sure": True, "list": ["x", "y"], "day": "1970-01-01"},
        {"number": None, "share": None, "sure": None, "list": [], "day": "1970-01-02"},
    ]
    found = parsed(written(make_student(), Source(tmp_path / "rows.parquet"), "csv", keep)[0])
    assert [found[0][name] for name in keep] == ["1", "0.5", "true", '["x", "y"]', "1970-01-01"]
    assert [found[1][name] for name in keep] == ["", "nan", "", "[]", "1970-01-02"]


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        (["label"], "keep: a column must not have the name of an answer, got 'label': say label=gold"),
        (["id=probabilities"], "keep: a column must not have the name of an answer, got 'probabilities'"),
        (["idd"], "keep: column: must be one of id, text, label, got 'idd': did you mean 'id'"),
        (["id", "id"], "keep: each column must be kept once, got 'id' again"),
        (["id", "text=id"], "keep: each column must be kept once, got 'text=id' again"),
        (["id="], "keep: must be COLUMN or COLUMN=NAME, got 'id='"),
        ([""], "keep: must be COLUMN or COLUMN=NAME, got ''"),
    ],
)
def test_columns_that_cannot_be_kept_are_refused(csv_file, keep, says):
    with pytest.raises(StillhouseError) as error:
        written(make_student(), Source(csv_file), "jsonl", keep)
    assert str(error.value).startswith(says)


def test_tsv_refuses_what_it_cannot_hold(csv_file):
    with pytest.raises(StillhouseError, match="row 3: column 'text' must hold neither tabs nor line breaks"):
        written(make_student(), Source(csv_file), "tsv", ["text"])
    text, number = written(make_student(), Source(csv_file), "tsv", ["id"])
    assert (number, len(text.splitlines())) == (len(AWKWARD), len(AWKWARD) + 1)


def test_an_unknown_format_is_refused(csv_file):
    with pytest.raises(StillhouseError, match="format: must be one of jsonl, csv, tsv, got 'jsonn': did you mean"):
        written(make_student(), Source(csv_file), "jsonn")


def test_class_names_are_quoted_where_they_must_be(csv_file):
    student = make_student(classes=('say "no"', "a,b"))
    rows = parsed(written(student, Source(csv_file), "csv")[0])
    assert set(rows[0]) == {"label", 'probability_say "no"', "probability_a,b"}
    assert {row["label"] for row in rows} <= set(student.task.classes)
    for line in written(student, Source(csv_file))[0].splitlines():
        assert set(json.loads(line)["probabilities"]) == set(student.task.classes)


def test_a_txt_file_is_read_whatever_the_text_is_called(tmp_path):
    (tmp_path / "lines.txt").write_text("good film\n\nbad\n")
    task = Task("text", ("review",), "label", classes=("1", "2"))
    assert inputs_of(task, Source(tmp_path / "lines.txt")) == Task("text", ("text",), classes=("1", "2"))
    rows = [
        json.loads(line)
        for line in written(make_student(), Source(tmp_path / "lines.txt"), keep=["text"])[0].splitlines()
    ]
    assert [row["text"] for row in rows] == ["good film", "", "bad"]


def test_a_file_without_rows_has_a_header_alone(tmp_path):
    (tmp_path / "rows.csv").write_text("text\n")
    assert written(make_student(), Source(tmp_path / "rows.csv"), "csv")[0].count("\n") == 1
    assert written(make_student(), Source(tmp_path / "rows.csv")) == ("", 0)


def test_a_stream_is_read_no_further_than_it_is_answered():
    class Endless:
        path, read = "endless", 0

        def columns(self):
            return ["text"]

        def batches(self, columns):
            while True:
                self.read += 1
                yield pa.record_batch({"text": ["a film"] * 10})

    rows = Endless()
    pieces = written_answers(make_student(), rows)
    assert [next(pieces)[0] for _ in range(4)] == [0, 10, 10, 10]
    assert rows.read == 3


# The command.


def test_a_student_and_its_onnx_file_answer_alike(folder, onnx, csv_file):
    in_torch, in_onnx = (stillhouse("predict", each, csv_file, "--keep", "id") for each in (folder, onnx))
    assert in_torch.returncode == in_onnx.returncode == 0
    found, wanted = ([json.loads(line) for line in each.stdout.splitlines()] for each in (in_onnx, in_torch))
    assert len(found) == len(AWKWARD)
    for one, other in zip(found, wanted, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=2e-6)
    assert in_onnx.stderr == b"", "no progress where there is no terminal"


def test_out_is_written_whole_or_not_at_all(onnx, csv_file, tmp_path):
    out = tmp_path / "made" / "answers.csv"
    arguments = ("predict", onnx, csv_file, "--keep", "id,label=gold", "--out", out)
    done = stillhouse(*arguments, "--threads", 1)
    assert (done.returncode, done.stdout) == (0, b"")
    before = out.read_bytes()
    assert list(parsed(before.decode())[0])[:3] == ["id", "gold", "label"], "what --out ends in is the format"
    assert "must not be there yet" in one_line_error(stillhouse(*arguments))
    assert "row 3: column 'text' must hold" in one_line_error(
        stillhouse("predict", onnx, csv_file, "--keep", "text", "--format", "tsv", "--out", out, "--force")
    )
    assert out.read_bytes() == before
    assert stillhouse(*arguments, "--force", "--format", "jsonl").returncode == 0
    assert json.loads(out.read_bytes().splitlines()[0])["id"] == "0"
    assert [each.name for each in out.parent.iterdir()] == ["answers.csv"]


def test_lines_of_standard_input_are_texts(onnx):
    given = b"\xef\xbb\xbfgood film\r\n\n tab\there \n" + "日本".encode()
    done = stillhouse("predict", onnx, "--keep", "text", stdin=given)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["good film", "", " tab\there ", "日本"]
    assert stillhouse("predict", onnx, stdin=b"").stdout == b""


def test_lines_before_a_bad_one_are_answered(onnx):
    done = stillhouse("predict", onnx, "-", stdin=b"good\nbad\n\xff\nfine\n")
    assert "standard input: line 3 must be valid UTF-8" in one_line_error(done)
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(("encoding", "text"), [("latin-1", "café"), ("cp1251", "фильм"), ("utf-8-sig", "日本")])
def test_lines_of_standard_input_are_in_the_encoding_that_is_said(onnx, encoding, text):
    student = open_student(onnx)
    stream = io.BufferedReader(io.BytesIO(f"{text}\nfilm\n".encode(encoding)))
    found = written(student, Lines(stream, student.task, encoding), keep=["text"])[0]
    assert [json.loads(line)["text"] for line in found.splitlines()] == [text, "film"]


def test_the_command_reads_standard_input_as_it_is_told(onnx):
    done = stillhouse("predict", onnx, "-", "--encoding", "latin-1", "--keep", "text", stdin="café\n".encode("latin-1"))
    assert json.loads(done.stdout)["text"] == "café"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--quote",), "predict: --quote and --no-header must be for a FILE, got standard input"),
        (("--no-quote",), "predict: --quote and --no-header must be for a FILE, got standard input"),
        (("--no-header",), "predict: --quote and --no-header must be for a FILE, got standard input"),
        (("--encoding", "utf-16"), "of standard input must be one in which a line ends in one byte, got 'utf-16'"),
        (("--encoding", "utf-32"), "of standard input must be one in which a line ends in one byte, got 'utf-32'"),
        (("--encoding", "base64"), "encoding: must be a text encoding of Python, got 'base64'"),
        (("--encoding", "nosuch"), "encoding: must be a text encoding of Python, got 'nosuch'"),
        (("--encoding", "ascii"), "standard input: line 1 must be valid ascii: "),
    ],
)
def test_what_makes_no_sense_for_standard_input_is_refused(onnx, monkeypatch, options, says):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("café\n".encode())))
    with pytest.raises(StillhouseError, match=re.escape(says)):
        command(["predict", str(onnx), "-", *options], standalone_mode=False)


def test_lines_of_standard_input_are_pairs(pairs):
    done = stillhouse("predict", pairs, "-", "--keep", "other", stdin="a film\tb\n\t\n")
    assert [json.loads(line)["other"] for line in done.stdout.splitlines()] == ["b", ""]
    for given, tabs in (("alone\n", 0), ("a\tb\tc\n", 2)):
        says = f"standard input: line 1 must be two texts with a tab between them, got {tabs} tabs"
        assert says in one_line_error(stillhouse("predict", pairs, stdin=given))


def test_lines_of_standard_input_are_objects_of_features(features, tmp_path):
    wanted = [each["label"] for each in answers(make_student("mlp", "features"), TABLE)]
    rows = [{**row, "id": place, "label": "neg"} for place, row in enumerate(TABLE.to_pylist())]
    given = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "rows.jsonl").write_text(given)
    (tmp_path / "rows.csv").write_text(
        "\n".join(["id,size,count,sure,colour", *(",".join(text(row[name]) for name in NAMES) for row in rows)])
    )
    found = {
        place: stillhouse("predict", features, place, "--keep", "id", stdin=given if place == "-" else "")
        for place in ("-", tmp_path / "rows.jsonl", tmp_path / "rows.csv")
    }
    for place, done in found.items():
        assert done.returncode == 0, (place, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [each["label"] for each in lines] == wanted, place
        assert [int(each["id"]) for each in lines] == list(range(len(wanted)))
    assert isinstance(json.loads(found["-"].stdout.splitlines()[0])["id"], int)


NAMES = ("id", "size", "count", "sure", "colour")


def text(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"{", "standard input: line 1 must be a JSON object"),
        (b"[1]", "standard input: line 1 must be a JSON object, got list"),
        (b'{"size": 1}', "line 1 must have the field 'count', got none: null says that it is missing"),
        (b'{"size": [1], "count": 1, "sure": true, "colour": "red"}', "line 1, field 'size' must be a plain value"),
        (b'{"size": "big", "count": 1, "sure": true, "colour": "red"}', "row 1, column 'size'"),
        (b'{"size": 1, "count": 1.5, "sure": true, "colour": "red"}', "row 1, column 'count'"),
        (b'{"size": 1, "count": 1, "sure": true, "colour": "\\ud800"}', "line 1 must hold text, got half a character"),
    ],
)
def test_objects_that_are_no_rows_are_refused(features, given, says):
    student = open_student(features)
    with pytest.raises(StillhouseError) as error:
        written(student, Lines(io.BufferedReader(io.BytesIO(given)), student.task))
    assert says in str(error.value)


def test_values_of_several_types_in_a_field_are_read_one_by_one(features):
    rows = [
        {"size": 1, "count": "2", "sure": 1, "colour": 7},
        {"size": "2.5", "count": 3.0, "sure": True, "colour": "red"},
    ]
    done = stillhouse("predict", features, "--keep", "colour", stdin="".join(f"{json.dumps(row)}\n" for row in rows))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["colour"] for line in done.stdout.splitlines()] == ["7", "red"]


def test_a_line_is_answered_before_the_next_is_written(onnx):
    process = subprocess.Popen(
        [sys.executable, "-m", "stillhouse", "predict", onnx],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with process:
        for text in (b"good film\n", b"bad\nfine\n"):
            process.stdin.write(text)
            process.stdin.flush()
            for _ in text.splitlines():
                assert "label" in json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_reader_that_goes_away_ends_it_quietly(onnx, tmp_path):
    (tmp_path / "lines.txt").write_text("a film\n" * 50_000)
    done = subprocess.run(
        f"{sys.executable} -m stillhouse predict {onnx} {tmp_path / 'lines.txt'} | head -n 2",
        shell=True,
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{tmp}/none", "{rows}"), "must be a student's directory or ONNX file, got nothing there"),
        (("{tmp}", "{rows}"), "must be a student's directory"),
        (("{onnx}", "{tmp}/none.csv"), "must be a file or a directory of Parquet, got nothing there"),
        (("{onnx}", "{rows}", "--format", "xml"), "'xml' is not one of 'jsonl', 'csv', 'tsv'"),
        (("{onnx}", "{rows}", "--keep", "none"), "keep: column: must be one of id, text, label"),
        (("{onnx}", "{rows}", "--out", "{tmp}"), "is a directory"),
        (("{onnx}", "{rows}", "--threads", "0"), "0 is not in the range"),
        (("{pairs}", "{rows}"), "column: must be one of id, text, label, got 'one'"),
    ],
)
def test_mistakes_are_one_line(onnx, pairs, csv_file, tmp_path, arguments, says):
    places = {"tmp": tmp_path, "rows": csv_file, "onnx": onnx, "pairs": pairs}
    assert says in one_line_error(stillhouse("predict", *(each.format(**places) for each in arguments)))


#: Predicts and prints the most memory that it had itself, in KiB; what getrusage says may be its parent's.
MEASURED = """
import sys
from stillhouse.cli import stillhouse
stillhouse(sys.argv[1:], standalone_mode=False)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(onnx, texts, answers, style="csv"):
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "predict", onnx, texts, "--format", style, "--out", answers],
        capture_output=True,
        cwd=ROOT,
        check=True,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    )
    return int(done.stdout)


def many_lines(path, number):
    block = "".join(f"{'good film ' * (place % 12)}the plot {place}\n" for place in range(10_000))
    path.write_text(block * (number // 10_000))
    return path


@pytest.mark.parametrize("number", [300_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_file(onnx, tmp_path, number):
    little = peak(onnx, many_lines(tmp_path / "few.txt", 30_000), tmp_path / "few.csv")
    much = peak(onnx, many_lines(tmp_path / "many.txt", number), tmp_path / "many.csv")
    assert (tmp_path / "many.csv").read_bytes().count(b"\n") == number + 1
    assert much - little < 40 * 1024, (little, much)
