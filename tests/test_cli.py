"""The command line: help with examples, and one line for whatever is wrong with what it is given."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, one_line_error, stillhouse

from stillhouse.cli import main
from stillhouse.cli import stillhouse as group
from transferset import Store

COMMANDS = sorted(file.stem for file in (ROOT / "stillhouse" / "commands").glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_teacher, labelled_file):
    """A transfer set T, its cache L and a student S, made by the commands."""
    folder = tmp_path_factory.mktemp("made")
    augment = ("augment", labelled_file, "--text", "text", "--label", "label", "--pos-tagger", "classes")
    small = ("--bilstm-vector-width", 8, "--bilstm-width", 8, "--bilstm-hidden", 8, "--epochs", 1)
    for arguments in (
        (*augment, "--copies", 2, "--out", folder / "T"),
        ("label", folder / "T", "--teacher", tiny_teacher, "--out", folder / "L"),
        ("train", folder / "T", folder / "L", *small, "--out", folder / "S"),
    ):
        done = stillhouse(*arguments)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs the command line in this process, which spares loading torch for each of many errors."""

    def call(*arguments, cwd=None):
        monkeypatch.setattr(sys, "argv", ["stillhouse", *map(str, arguments)])
        if cwd is not None:
            monkeypatch.chdir(cwd)
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, left.value.code or 0, out.encode(), err.encode())

    return call


def files_of(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_whose_options_it_has(run, name):
    done = run(name, "--help")
    assert done.returncode == 0
    command = group.get_command(None, name)
    examples = re.findall(rf"^ *(?:.*\| )?stillhouse ({name} .*)$", command.help, re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(example.split(" > ")[0])[1:]
        command.make_context(name, words)  # raises where an option or argument does not exist


def test_the_group_lists_every_command_and_says_its_version():
    text = stillhouse("--help").stdout.decode()
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert stillhouse("--version").stdout.decode().startswith("stillhouse, version ")
    assert stillhouse().returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["agument"], "did you mean 'augment'?"),
        (["augment"], "Missing argument 'SOURCE'"),
        (["augment", "x.csv", "--out", "T", "--txt", "a"], "No such option"),
        (["augment", "nothing.csv", "--text", "a", "--out", "T"], "must be a file or a directory of Parquet"),
        (["augment", "films.doc", "--text", "a", "--out", "T"], "must end in one of"),
        (["augment", "films.csv", "--out", "T"], "must be given --text"),
        (["augment", "films.csv", "--text", "txt", "--out", "T"], "did you mean 'text'?"),
        (["augment", "films.csv", "--text", "text", "--label", "lable", "--out", "T"], "did you mean 'label'?"),
        (["augment", "films.csv", "--text", "text", "--recipe", "tang2091", "--out", "T"], "did you mean 'tang2019'?"),
        (["augment", "films.csv", "--text", "text", "--task", "regresion", "--out", "T"], "did you mean 'regression'?"),
        (["augment", "films.csv", "--text", "text", "--mask-rate", "1.7", "--out", "T"], "mask: rate must be between"),
        (["augment", "films.csv", "--text", "text", "--copies", "x", "--out", "T"], "'x' is not a valid integer"),
        (["augment", "films.csv", "--text", "text", "--pos-tagger", "nltx", "--out", "T"], "did you mean 'nltk'?"),
        (["augment", "films.csv", "--text", "text", "--encoding", "utf-9", "--out", "T"], "encoding: must be"),
        (["augment", "empty.csv", "--text", "text", "--out", "T"], "got an empty file"),
        (["augment", "header.csv", "--text", "text", "--out", "T"], "must hold at least one row"),
        (["augment", "null.jsonl", "--text", "text", "--out", "T"], "null.jsonl: row 2, column 'text' must hold text"),
        (
            ["augment", "bytes.csv", "--text", "text", "--out", "T"],
            "bytes.csv: row 2, column 'text' must be valid text",
        ),
        (
            ["augment", "films.csv", "--text", "text", "--label", "label", "--classes", "neg,pos", "--out", "T"],
            "row 2, column 'label' must hold one of the classes neg, pos, got 'mixed'",
        ),
    ],
)
def test_bad_input_of_augment_is_one_line_and_leaves_nothing(run, tmp_path, arguments, says):
    (tmp_path / "films.csv").write_text("text,label\ngood,pos\nfair,mixed\n")
    (tmp_path / "films.doc").write_text("")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("text,label\n")
    (tmp_path / "null.jsonl").write_text('{"text": "good"}\n{"text": null}\n')
    (tmp_path / "bytes.csv").write_bytes(b"text,label\ngood,pos\nb\xe4d,neg\n")
    assert says in one_line_error(run(*arguments, cwd=tmp_path))
    assert not (tmp_path / "T").exists()


def test_bad_input_of_label_and_train_is_one_line_and_loses_nothing(run, made, tiny_teacher, labelled_file, tmp_path):
    before = files_of(made)
    bare = tmp_path / "bare"
    shutil.copytree(tiny_teacher, bare)
    (bare / "tokenizer.json").unlink()
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\ngood,pos\nbad,awful\n")
    for arguments, says in (
        (("label", made / "nothing", "--teacher", tiny_teacher, "--out", made / "L"), "must be a transfer set"),
        (("label", made / "L", "--teacher", tiny_teacher, "--out", made / "L2"), "got a logit cache"),
        (("label", made / "T", "--teacher", bare, "--out", tmp_path / "L"), "must hold the teacher's tokenizer"),
        (("label", made / "T", "--teacher", tmp_path, "--out", tmp_path / "L"), "got no config.json"),
        (
            ("label", made / "T", "--teacher", tiny_teacher, "--max-length", 8, "--out", made / "L"),
            "max_length must be",
        ),
        (
            ("label", made / "T", "--teacher", tiny_teacher, "--dtype", "int3", "--out", tmp_path / "L"),
            "dtype: must be",
        ),
        (("label", made / "T", "--teacher", tiny_teacher, "--out", made / "S"), "must be empty or a stillhouse"),
        (("train", made / "T", made / "L", "--student", "bilstn", "--out", tmp_path / "S"), "did you mean 'bilstm'?"),
        (("train", made / "T", made / "L", "--loss", "mes", "--out", tmp_path / "S"), "did you mean 'mse'?"),
        (
            ("train", made / "T", made / "L", "--dev", dev, "--out", tmp_path / "S"),
            "row 2, column 'label' must hold one",
        ),
        (("train", made / "T", made / "L", "--out", made / "T"), "must be empty or a student's directory"),
        (("train", made / "L", made / "T", "--out", tmp_path / "S"), "got a logit cache"),
        (("evaluate", made / "T", labelled_file), "must be a student's directory"),
        (("evaluate", made / "S", dev), "must hold one of the classes"),
        (("predict", made / "S", tmp_path / "none.csv"), "got nothing there"),
        (("show", tmp_path), "no manifest"),
        (("verify", tmp_path / "none"), "nothing there"),
        (("gc", tmp_path / "none"), "nothing there"),
        (("augment", labelled_file, "--text", "text", "--copies", 0, "--out", tmp_path, "--force"), "for --force"),
    ):
        assert says in one_line_error(run(*arguments)), arguments
    assert files_of(made) == before


def test_a_cache_of_another_teacher_is_refused(run, made, tiny_teacher, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_teacher, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    done = run("label", made / "T", "--teacher", other, "--out", made / "L")
    assert "teacher must be what the logit cache was made with" in one_line_error(done)


def test_a_cache_that_lacks_keys_names_what_to_run(run, made, labelled_file, tmp_path):
    arguments = ("augment", labelled_file, "--text", "text", "--label", "label", "--pos-tagger", "classes")
    assert run(*arguments, "--copies", 3, "--out", tmp_path / "T").returncode == 0
    error = one_line_error(run("train", tmp_path / "T", made / "L", "--out", tmp_path / "S"))
    assert "are missing: run `stillhouse label`" in error


def test_a_flipped_byte_is_found_by_label_verify_and_train(run, made, tiny_teacher, tmp_path):
    shutil.copytree(made / "T", tmp_path / "T")
    part = tmp_path / "T" / Store.open(tmp_path / "T").parts()[0].file
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    for arguments in (
        ("label", tmp_path / "T", "--teacher", tiny_teacher, "--out", tmp_path / "L"),
        ("train", tmp_path / "T", made / "L", "--out", tmp_path / "S"),
    ):
        assert f"{part.name}: must have checksum" in one_line_error(run(*arguments))
    done = run("verify", tmp_path / "T")
    assert done.returncode == 1
    assert part.name in done.stdout.decode()
    assert run("verify", made / "T").returncode == 0


def test_an_unfinished_transfer_set_is_refused(run, made, tiny_teacher, tmp_path):
    shutil.copytree(made / "T", tmp_path / "T")
    (tmp_path / "T" / "_manifest" / "000000.json").unlink()
    done = run("label", tmp_path / "T", "--teacher", tiny_teacher, "--out", tmp_path / "L")
    assert "must be finished, 1 of 1 parts are missing" in one_line_error(done)
    assert "unfinished" in run("show", tmp_path / "T").stdout.decode()


def test_standard_input_is_answered_line_by_line(made):
    done = stillhouse("predict", made / "S", stdin="a good film\n\nnever seen words\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 3
    assert all(sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-5) for each in answers)
    assert "line 2 must be valid UTF-8" in one_line_error(stillhouse("predict", made / "S", stdin=b"good\n\xff\n"))


def test_force_replaces_and_without_it_nothing_is_overwritten(run, made, labelled_file, tmp_path):
    arguments = ("augment", labelled_file, "--text", "text", "--copies", 0, "--out", tmp_path / "T")
    assert run(*arguments).returncode == 0
    assert "seed must be what the transfer set was made with" in one_line_error(run(*arguments, "--seed", 1))
    assert run(*arguments, "--seed", 1, "--force").returncode == 0
    assert Store.open(tmp_path / "T").about["seed"] == 1


def test_force_keeps_the_old_result_until_the_new_one_is_there(run, made, labelled_file, tiny_teacher, tmp_path):
    for name in ("T", "L", "S"):
        shutil.copytree(made / name, tmp_path / name)
    before = files_of(tmp_path)
    bad = tmp_path.with_name("bad.csv")
    bad.write_text("text,label\ngood,pos\nshort\n")
    for arguments in (
        ("augment", bad, "--text", "text", "--out", tmp_path / "T"),
        ("augment", labelled_file, "--text", "txt", "--out", tmp_path / "T"),
        ("label", tmp_path / "T", "--teacher", tmp_path / "none", "--out", tmp_path / "L"),
        ("train", tmp_path / "T", tmp_path / "L", "--dev", bad, "--out", tmp_path / "S"),
        ("train", tmp_path / "T", tmp_path / "L", "--loss", "none", "--out", tmp_path / "S"),
    ):
        one_line_error(run(*arguments, "--force"))
        assert files_of(tmp_path) == before, arguments


@pytest.mark.parametrize("name", ["model", "T", "project"])
def test_force_deletes_nothing_that_the_command_could_not_have_made(run, made, labelled_file, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "thesis.txt").write_text("mine")
    augment = ("augment", labelled_file, "--text", "text", "--copies", 0, "--out", folder, "--force")
    for arguments in (augment, ("train", made / "T", made / "L", "--out", folder, "--force")):
        assert "must hold only what this command makes" in one_line_error(run(*arguments))
    assert "must hold only" in one_line_error(run("quickstart", "--out", folder, "--force"))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "thesis.txt"]
    assert not list(tmp_path.glob("*.replaced"))


def test_a_student_of_unlabelled_text_is_measured_by_a_column_that_is_named(run, tiny_teacher, labelled_file, tmp_path):
    texts = tmp_path / "corpus.txt"
    lines = [line.split(",")[0] for line in labelled_file.read_text().splitlines()[1:]]
    texts.write_text("\n".join(lines) + "\n")
    small = ("--bilstm-vector-width", 8, "--bilstm-width", 8, "--bilstm-hidden", 8, "--epochs", 1)
    for arguments in (
        ("augment", texts, "--copies", 0, "--out", tmp_path / "T"),
        ("label", tmp_path / "T", "--teacher", tiny_teacher, "--out", tmp_path / "L"),
        ("train", tmp_path / "T", tmp_path / "L", *small, "--out", tmp_path / "S"),
    ):
        assert run(*arguments).returncode == 0
    test = tmp_path / "test.csv"
    test.write_text("text,stars\ngood film,LABEL_1\nbad film,LABEL_0\n")
    assert "say --label COLUMN" in one_line_error(run("evaluate", tmp_path / "S", test))
    assert json.loads(run("evaluate", tmp_path / "S", test, "--label", "stars", "--json").stdout)["rows"] == 2


def test_another_label_column_of_the_dev_file_is_another_run(run, made, tmp_path):
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label,other\ngood film,pos,neg\nbad film,neg,pos\n")
    small = ("--bilstm-vector-width", 8, "--bilstm-width", 8, "--bilstm-hidden", 8, "--epochs", 1)
    arguments = ("train", made / "T", made / "L", *small, "--dev", dev, "--out", tmp_path / "S")
    assert run(*arguments).returncode == 0
    assert "got another student" in one_line_error(run(*arguments, "--label", "other"))
