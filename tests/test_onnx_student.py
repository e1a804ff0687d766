"""A student in an ONNX file: it predicts without torch, on any number of threads, or says what is wrong."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pyarrow as pa
import pytest
from conftest import ROOT, one_line_error, stillhouse
from tiny_students import make_student, rows_of

from students._config import FORMAT
from students.export import export
from students.onnx_student import BINARY, CONFIG, TEXT, OnnxStudent
from students.predict import open_student
from transferset import StillhouseError

pytestmark = pytest.mark.usefixtures("one_thread")
#: Runs the command line in a process where nothing can be imported that needs not be installed to predict.
WITHOUT_TORCH = """
import sys

class Missing:
    names = {"torch", "transformers", "safetensors", "sklearn", "joblib", "nltk", "tomli_w", "onnx", "onnxscript"}

    def find_spec(self, name, *rest):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from stillhouse.cli import main
main()
"""


@pytest.fixture(scope="module")
def student():
    return make_student("bilstm")


@pytest.fixture(scope="module")
def file(student, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "S.onnx"
    export(student, path)
    return path


@pytest.fixture
def edited(file, tmp_path):
    """A copy of the file with other metadata: a value of None takes the entry out."""

    def edit(changes):
        model = onnx.load(file)
        kept = {each.key: each.value for each in model.metadata_props} | changes
        del model.metadata_props[:]
        for key, value in kept.items():
            if value is not None:
                model.metadata_props.add(key=key, value=value)
        onnx.save(model, tmp_path / "edited.onnx")
        return tmp_path / "edited.onnx"

    return edit


def without_torch(*arguments, stdin=""):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)],
        input=stdin.encode(),
        capture_output=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )


def test_it_predicts_where_torch_and_transformers_are_not_installed(file, student, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("good film\n\nthe plot , a dull film !\n")
    done = without_torch("predict", file, texts)
    assert done.returncode == 0, done.stderr
    wanted = stillhouse("predict", file, texts)
    assert done.stdout == wanted.stdout
    student.save(tmp_path / "S", {})
    in_torch = [json.loads(line) for line in stillhouse("predict", tmp_path / "S", texts).stdout.splitlines()]
    for found, other in zip(map(json.loads, done.stdout.splitlines()), in_torch, strict=True):
        assert found["label"] == other["label"]
        assert found["probabilities"] == pytest.approx(other["probabilities"], abs=2e-6)


def test_it_is_measured_there_too(file, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\ngood film,pos\na dull film,neg\n")
    done = without_torch("evaluate", file, rows, "--cost", "--resamples", 10, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cost"]["bytes"] == file.stat().st_size


def test_a_directory_needs_torch_and_says_so(student, tmp_path):
    student.save(tmp_path / "S", {})
    done = without_torch("predict", tmp_path / "S", stdin="a film\n")
    assert "torch must be installed to read a student's directory" in one_line_error(done)


def test_importing_what_predicts_loads_neither_torch_nor_transformers():
    script = (
        "import sys, students.predict, students.onnx_student, stillhouse.commands.predict;"
        "print({'torch', 'transformers', 'onnxruntime', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_neither_threads_nor_company_change_the_answers(file, monkeypatch):
    texts = [f"{'good ' * (number % 23)}film {number}" for number in range(999)]
    rows = pa.table({"text": texts})
    monkeypatch.setattr("students.onnx_student.BATCH_TOKENS", 256)
    one, several = (OnnxStudent.load(file, threads).outputs(rows) for threads in (1, 3))
    assert np.array_equal(one, several)
    some = [0, 998, 500]
    alone = OnnxStudent.load(file).outputs(pa.table({"text": [texts[place] for place in some]}))
    np.testing.assert_allclose(alone, one[some], atol=1e-5)


def test_no_rows_give_no_outputs(file, student):
    assert OnnxStudent.load(file).outputs(rows_of(student.task, [])).shape == (0, 3)


def test_open_student_takes_a_directory_or_a_file(file, student, tmp_path):
    student.save(tmp_path / "S", {})
    rows = rows_of(student.task)
    found = [open_student(place, 1).outputs(rows) for place in (file, str(file), tmp_path / "S")]
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)
    assert np.array_equal(found[0], found[1])
    with pytest.raises(StillhouseError, match="must be a student's directory or ONNX file, got nothing there"):
        open_student(tmp_path / "none")


@pytest.mark.parametrize("data", [b"", b"\x00\x01 no model", b"{}", "cut"])
def test_a_file_that_is_no_onnx_is_refused(file, tmp_path, data):
    path = tmp_path / "some.onnx"
    path.write_bytes(file.read_bytes()[:-1000] if data == "cut" else data)
    with pytest.raises(StillhouseError, match=r"some\.onnx: must be an ONNX file that ONNX Runtime can read, got: "):
        OnnxStudent.load(path)
    assert "must be an ONNX file" in one_line_error(stillhouse("predict", path))


def test_an_onnx_file_of_something_else_is_refused(edited):
    with pytest.raises(StillhouseError, match="written by `stillhouse export`, got one of something else"):
        OnnxStudent.load(edited({CONFIG: None}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": FORMAT + 1}, rf"format must be {FORMAT} or older, got {FORMAT + 1}: upgrade stillhouse"),
        ({"encoding": {"kind": "runes"}}, "encoding: must be one of .*, got 'runes'"),
        ({"task": None}, "must describe a student"),
        ({"width": 7}, "width must be that of the task"),
    ],
)
def test_a_file_that_is_newer_or_describes_no_student_is_refused(edited, student, change, says):
    with pytest.raises(StillhouseError, match=says):
        OnnxStudent.load(edited({CONFIG: json.dumps({**student.config.to_json(), **change})}))


def test_a_config_that_is_no_json_and_a_missing_vocabulary_are_refused(edited):
    with pytest.raises(StillhouseError, match="must be JSON"):
        OnnxStudent.load(edited({CONFIG: "{"}))
    with pytest.raises(StillhouseError, match=r"must hold vocabulary\.json, got an ONNX file without it"):
        OnnxStudent.load(edited({TEXT + "vocabulary.json": None}))


def test_files_of_the_encoding_that_are_no_text_are_read_too(edited, student):
    import base64

    data = base64.b64encode(student.encoding.files()["vocabulary.json"]).decode()
    binary = edited({TEXT + "vocabulary.json": None, BINARY + "vocabulary.json": data})
    assert OnnxStudent.load(binary).config == student.config


def test_a_missing_runtime_gives_the_line_that_installs_it(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(StillhouseError, match=r"onnxruntime must be installed: run `pip install 'stillhouse\[onnx\]'`"):
        OnnxStudent.load(file)


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_threads_are_a_whole_number_of_at_least_one(file, threads):
    with pytest.raises(StillhouseError, match="threads must be"):
        OnnxStudent.load(file, threads)
