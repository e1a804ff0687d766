"""The command line: help with examples, and one line for whatever is wrong with what it is given."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
from conftest import ROOT, one_line_error, stillhouse
from tqdm import tqdm

from stillhouse.cli import main
from stillhouse.cli import stillhouse as group
from students._run import Run
from transferset import Ensemble, LogitCache, StillhouseError, Store

COMMANDS = sorted(file.stem for file in (ROOT / "stillhouse" / "commands").glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_teacher, labelled_file):
    """A transfer set T, its cache L and a student S, made by the commands."""
    folder = tmp_path_factory.mktemp("made")
    augment = ("augment", labelled_file, "--text", "text", "--label", "label", "--pos-tagger", "classes")
    small = ("--vector-width", 8, "--width", 8, "--hidden", 8, "--epochs", 1)
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
    LogitCache.create(tmp_path / "empty", LogitCache.open(made / "L").about, {})
    for arguments, says in (
        (("label", made / "nothing", "--teacher", tiny_teacher, "--out", made / "L"), "must be a transfer set"),
        (("label", made / "L", "--teacher", tiny_teacher, "--out", made / "L2"), "got a logit cache"),
        (("label", made / "T", "--teacher", bare, "--out", tmp_path / "L"), "must hold the model's tokenizer"),
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
        (("label", made / "T", "--teacher", "sklern:f", "--out", tmp_path / "L"), "did you mean 'sklearn'?"),
        (
            ("label", made / "T", "--teacher", tiny_teacher, "--floor", 0.1, "--out", tmp_path / "L"),
            "floor: must be an",
        ),
        (("label", made / "T", "--teacher", tiny_teacher, "--weight", 2, "--out", tmp_path / "L"), "several teachers"),
        (("label", made / "T", "--teacher", tiny_teacher, "--signals", "x", "--out", tmp_path / "L"), "got 'x'"),
        (("label", made / "T", "--teacher", tiny_teacher, "--engine", "rya", "--out", tmp_path / "L"), "rya"),
        (("train", made / "T", made / "L", "--student", "bilstn", "--out", tmp_path / "S"), "did you mean 'bilstm'?"),
        (("train", made / "T", made / "L", "--loss", "mes", "--out", tmp_path / "S"), "did you mean 'mse'?"),
        (("train", made / "T", made / "L", "--learning-rat", 1, "--out", tmp_path / "S"), "No such option"),
        (("train", made / "T", made / "L", "--tokens", "peices", "--out", tmp_path / "S"), "did you mean 'pieces'?"),
        (
            ("train", made / "T", made / "L", "--student", "bag", "--width", 8, "--out", tmp_path / "S"),
            "width: must be an option of bag, got one of bilstm",
        ),
        (
            ("train", made / "T", made / "L", "--temperature", 2, "--out", tmp_path / "S"),
            "temperature: must be an option of mse, got one of kl",
        ),
        (
            ("train", made / "T", made / "L", "--student", "mlp", "--out", tmp_path / "S"),
            "student mlp: must be given features, got 'text'",
        ),
        (("train", made / "T", made / "L", "--patience", 2, "--out", tmp_path / "S"), "must have rows to watch"),
        (("train", made / "T", made / "L", "--holdout", 1, "--out", tmp_path / "S"), "holdout must be at least 0 and"),
        (("train", made / "T", made / "L", "--loss", "cosine", "--out", tmp_path / "S"), "must hold embedding, got"),
        (("train", made / "T", made / "L", "--dev", tmp_path / "no.csv", "--out", tmp_path / "S"), "got nothing there"),
        (("train", made / "T", tmp_path / "empty", "--out", tmp_path / "S"), "are missing: run `stillhouse label`"),
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


def test_a_student_of_a_newer_format_is_one_line(run, made, labelled_file, tmp_path):
    shutil.copytree(made / "S", tmp_path / "S")
    config = json.loads((tmp_path / "S" / "config.json").read_text())
    (tmp_path / "S" / "config.json").write_text(json.dumps({**config, "format": 2}))
    before = files_of(tmp_path)
    for arguments in (
        ("predict", tmp_path / "S", labelled_file),
        ("evaluate", tmp_path / "S", labelled_file),
        ("show", tmp_path / "S"),
        ("export", tmp_path / "S", "--onnx", tmp_path / "S.onnx"),
        ("train", made / "T", made / "L", "--out", tmp_path / "S"),
    ):
        error = one_line_error(run(*arguments))
        assert "S: format must be 1 or older, got 2: upgrade stillhouse" in error, arguments
    assert files_of(tmp_path) == before


def test_a_cache_of_another_teacher_is_refused(run, made, tiny_teacher, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_teacher, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    done = run("label", made / "T", "--teacher", other, "--out", made / "L")
    assert "must be a cache of this teacher" in one_line_error(done)


def test_all_signals_are_labelled_in_one_run_and_what_was_done_is_said(run, made, tiny_teacher, tmp_path):
    arguments = ("label", made / "T", "--teacher", tiny_teacher, "--out", tmp_path / "L", "--dtype", "float32")
    signals = ("--signals", "hidden, logits,embedding", "--hidden-layers", "1,2", "--storage", "float16")
    done = run(*arguments, *signals)
    assert done.returncode == 0
    cache = LogitCache.open(tmp_path / "L")
    assert (dict(cache.widths), cache.storage) == ({"logits": 2, "embedding": 16, "hidden": 32}, "float16")
    rows = cache.store.rows()
    assert f"{rows:,} labelled now in float32" in done.stdout.decode()
    assert " 0 labelled now\n" in run(*arguments, *signals).stdout.decode()
    assert "signals must be those" in one_line_error(run(*arguments, "--storage", "float16"))
    assert run("verify", tmp_path / "L").returncode == 0


def test_texts_that_were_cut_are_told(run, made, tiny_teacher, tmp_path):
    done = run("label", made / "T", "--teacher", tiny_teacher, "--max-length", 6, "--out", tmp_path / "L")
    assert re.search(r"\d+ texts were longer than 6 tokens and were cut", done.stdout.decode())


def test_several_teachers_make_an_ensemble_that_students_learn_from(run, made, tiny_teacher, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_teacher, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.5}))
    both = ("--teacher", tiny_teacher, "--teacher", other, "--dtype", "float32")
    done = run("label", made / "T", *both, "--weight", 2, "--weight", 1, "--out", tmp_path / "L")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert Ensemble.open(tmp_path / "L").weights == pytest.approx([2 / 3, 1 / 3])
    done = run("label", made / "T", *both, "--mean", "probabilities", "--out", tmp_path / "L")
    assert done.stdout.count(b" 0 labelled now") == 2
    for command in ("verify", "show", "gc"):
        assert run(command, tmp_path / "L").returncode == 0, command
    small = ("--vector-width", 8, "--width", 8, "--hidden", 8, "--epochs", 1)
    assert run("train", made / "T", tmp_path / "L", *small, "--out", tmp_path / "S").returncode == 0


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


def test_an_interrupted_force_goes_on_with_the_same_command(run, made, tmp_path, monkeypatch):
    shutil.copytree(made / "S", tmp_path / "S")
    before, take, epochs = files_of(tmp_path / "S"), Run._take_step, []

    def stopped(self, rows):
        epochs.append(self.epoch)
        if epochs == [0, 1]:
            raise KeyboardInterrupt
        return take(self, rows)

    monkeypatch.setattr(Run, "_take_step", stopped)
    sizes = ("--vector-width", 8, "--hidden", 8, "--batch-size", 1000, "--epochs", 2)
    train = ("train", made / "T", made / "L", "--student", "bag", *sizes, "--out")
    done = run(*train, tmp_path / "S", "--force")
    assert done.returncode == 130
    assert "interrupted: what was committed is safe, the same command goes on from there" in done.stderr.decode()
    assert files_of(tmp_path / "S") == before
    done_well(run(*train, tmp_path / "S", "--force"))
    assert epochs == [0, 1, 1]
    done_well(run(*train, tmp_path / "whole"))
    resumed, whole = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("S", "whole"))
    assert resumed == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S", "whole"]


def test_force_replaces_what_a_link_leads_to(run, made, tmp_path):
    shutil.copytree(made / "T", tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    texts = tmp_path / "corpus.txt"
    texts.write_text("a film\nno film\n")
    done_well(run("augment", texts, "--copies", 0, "--out", tmp_path / "link", "--force"))
    assert (tmp_path / "link").is_symlink()
    assert Store.open(tmp_path / "real").rows() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.txt", "link", "real"]


def test_force_leaves_the_directory_alone_that_it_is_run_in(made, tiny_teacher, tmp_path):
    shutil.copytree(made / "L", tmp_path / "L")
    before = files_of(tmp_path)
    for inside, out in ((tmp_path / "L", "."), (tmp_path / "L" / "_manifest", ".."), (tmp_path / "L", tmp_path / "L")):
        label = ("label", made / "T", "--teacher", tiny_teacher, "--out", out, "--force")
        assert "must not hold the current directory" in one_line_error(stillhouse(*label, cwd=inside))
        assert files_of(tmp_path) == before


def test_a_transfer_set_is_not_labelled_into_itself(run, made, tiny_teacher, tmp_path):
    shutil.copytree(made / "T", tmp_path / "T")
    before = files_of(tmp_path)
    for options in ([], ["--force"]):
        label = ("label", tmp_path / "T", "--teacher", tiny_teacher, "--out", tmp_path / "T", *options)
        assert "must be another directory than the transfer set's" in one_line_error(run(*label))
        assert files_of(tmp_path) == before


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
    assert not list(tmp_path.glob("*.force"))


def test_force_leaves_a_model_alone_that_is_no_student(run, made, tmp_path):
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    (folder / "model.safetensors").write_bytes(b"months of work")
    before = files_of(tmp_path)
    for force in ((), ("--force",)):
        one_line_error(run("train", made / "T", made / "L", "--out", folder, *force))
        assert files_of(tmp_path) == before


def test_a_student_of_unlabelled_text_is_measured_by_a_column_that_is_named(run, tiny_teacher, labelled_file, tmp_path):
    texts = tmp_path / "corpus.txt"
    lines = [line.split(",")[0] for line in labelled_file.read_text().splitlines()[1:]]
    texts.write_text("\n".join(lines) + "\n")
    small = ("--vector-width", 8, "--width", 8, "--hidden", 8, "--epochs", 1)
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
    small = ("--vector-width", 8, "--width", 8, "--hidden", 8, "--epochs", 1)
    arguments = ("train", made / "T", made / "L", *small, "--dev", dev, "--out", tmp_path / "S")
    assert run(*arguments).returncode == 0
    assert "got another student" in one_line_error(run(*arguments, "--label", "other"))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder to work in with a file of texts, one of pairs, one of features, word vectors, and recipes."""
    monkeypatch.chdir(tmp_path)
    films = [f"a {mood} film number {number}" for number in range(8) for mood in ("good", "bad")]
    (tmp_path / "texts.csv").write_text("text,label\n" + "".join(f"{text},{text[2:5]}\n" for text in films))
    pairs = [f"{one},{other},{one[2:5]}\n" for one, other in pairwise(films)]
    (tmp_path / "pairs.csv").write_text("one,two,label\n" + "".join(pairs))
    people = [f"{150 + 3 * number},{number % 4},{'xy'[number % 2]}\n" for number in range(12)]
    (tmp_path / "people.csv").write_text("height,town,label\n" + "".join(people))
    vectors = ("good 1 0.1", "great 1 0.2", "bad -1 0.1", "awful -1 0.2", "film 0 1", "movie 0 1.1")
    (tmp_path / "vectors.txt").write_text("".join(f"{line}\n" for line in vectors))
    (tmp_path / "mask.toml").write_text('copies = 4\nprotect = ["film"]\n[[step]]\nuse = "mask"\nrate = 0.3\n')
    (tmp_path / "vectors.toml").write_text('copies = 3\n[[step]]\nuse = "vectors"\nk = 2\nsource = "vectors.txt"\n')
    return tmp_path


TEXTS = ("augment", "texts.csv", "--text", "text", "--label", "label")
PAIRS = ("augment", "pairs.csv", "--text", "one", "--text-pair", "two", "--label", "label")
PEOPLE = ("augment", "people.csv", "--features", "all", "--label", "label")


def done_well(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def rows_in(folder):
    return [row for table in Store.open(folder).tables() for row in table.to_pylist()]


def copies_in(folder):
    return [row for row in rows_in(folder) if row["copy"]]


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_exact_gives_every_row_its_copies(run, small):
    done_well(run(*TEXTS, "--recipe", "mask.toml", "--out", "loose"))
    text = done_well(run(*TEXTS, "--recipe", "mask.toml", "--exact", "--out", "exact"))
    assert len(copies_in("loose")) < 4 * 16
    assert sorted(row["source"] for row in copies_in("exact")) == sorted([*range(16)] * 4)
    assert "augmented 64 (dropped: " in text
    assert "short of" not in text
    assert Store.open("exact").about["exact"] is True
    assert "exact must be what the transfer set was made with" in one_line_error(
        run(*TEXTS, "--recipe", "mask.toml", "--out", "exact")
    )


def test_exact_says_how_many_copies_are_missing(run, small):
    (small / "texts.csv").write_text("text,label\ngood,x\nbad,y\ngood film,x\n")
    arguments = (*TEXTS, "--recipe", "mask.toml", "--mask-rate", 0.5, "--exact", "--out", "T")
    text = done_well(run(*arguments))
    # "film" is protected, so of twelve copies wanted there can be two.
    assert sorted(row["text"] for row in copies_in("T")) == ["[MASK]", "[MASK] film"]
    assert "short of --copies by 10 rows: 3 originals have too few" in text
    assert "short of --copies by 10 rows: 3 originals have too few" in done_well(
        run(*TEXTS, "--recipe", "mask.toml", "--mask-rate", 0.5, "--exact", "--out", "T")
    )


@pytest.mark.parametrize(
    ("pairs", "sides"), [("first", {0}), ("second", {1}), ("both", {0, 1}), ("draw", {0, 1}), (None, {0, 1})]
)
def test_pairs_says_which_texts_are_edited(run, small, pairs, sides):
    given = () if pairs is None else ("--pairs", pairs)
    done_well(run(*PAIRS, "--recipe", "mask.toml", *given, "--out", "T"))
    assert Store.open("T").about["recipe"]["pairs"] == (pairs or "cycle")
    originals = {row["source"]: row for row in rows_in("T") if not row["copy"]}
    found = set()
    for row in copies_in("T"):
        edited = {edit["input"] for edit in row["edits"]}
        found |= edited
        for side, name in enumerate(("one", "two")):
            assert (row[name] != originals[row["source"]][name]) == (side in edited)
    assert found == sides


def test_protect_adds_to_what_the_recipe_protects(run, small):
    given = ("--protect", "A good", "--protect", "/[0-9]/", "--mask-rate", 1)
    done_well(run(*TEXTS, "--recipe", "mask.toml", *given, "--out", "T"))
    assert Store.open("T").about["recipe"]["protect"] == ["film", "A good", "/[0-9]/"]
    good, bad = ({row["text"] for row in copies_in("T") if row["source"] % 2 == odd} for odd in (0, 1))
    assert good == {f"a good film [MASK] {number}" for number in range(8)}
    assert bad == {f"[MASK] [MASK] film [MASK] {number}" for number in range(8)}


def test_what_models_offer_is_kept_where_candidates_says(run, small):
    done_well(run(*TEXTS, "--recipe", "vectors.toml", "--candidates", "offers", "--out", "T"))
    assert not (small / "T" / "_candidates").exists()
    before = files_of(small / "offers")
    assert before
    assert {edit["rule"] for row in copies_in("T") for edit in row["edits"]} == {"vectors"}
    done_well(run(*TEXTS, "--recipe", "vectors.toml", "--candidates", "offers", "--seed", 1, "--out", "T2"))
    assert files_of(small / "offers") == before
    done_well(run(*TEXTS, "--recipe", "vectors.toml", "--out", "T3"))
    assert (small / "T3" / "_candidates").is_dir()
    assert rows_in("T3") == rows_in("T")
    assert run("verify", "T3").returncode == 0


def test_candidates_that_cannot_be_kept_are_one_line(run, small):
    done = run(*TEXTS, "--recipe", "vectors.toml", "--candidates", "texts.csv", "--out", "T")
    assert "texts.csv" in one_line_error(done)
    assert not (small / "T").exists()


def test_features_are_munged_where_no_recipe_is_named(run, small):
    done_well(run(*PEOPLE, "--out", "T"))
    about = Store.open("T").about
    assert (about["recipe"]["name"], about["copies"]) == ("munge", 10)
    assert about["task"]["inputs"] == ["height", "town"]
    assert {edit["rule"] for row in copies_in("T") for edit in row["edits"]} == {"munge"}
    assert {row["town"] for row in rows_in("T")} <= {0, 1, 2, 3}
    done_well(run(*PEOPLE, "--categorical", "town", "--munge-s", 9, "--copies", 2, "--out", "T2"))
    assert {row["town"] for row in rows_in("T2")} <= {"0", "1", "2", "3"}
    assert Store.open("T2").about["recipe"]["step"][0]["s"] == 9.0


def test_texts_are_augmented_as_tang2019_where_no_recipe_is_named(run, small):
    for name, arguments, copies in (("T", TEXTS, 20), ("P", PAIRS, 10)):
        done_well(run(*arguments, "--pos-tagger", "classes", "--out", name))
        about = Store.open(name).about
        assert (about["recipe"]["name"], about["copies"]) == ("tang2019", copies)


def test_force_keeps_what_models_offered_and_nothing_else(run, small):
    done_well(run(*TEXTS, "--recipe", "vectors.toml", "--out", "T"))
    before, offers = files_of(small / "T"), files_of(small / "T" / "_candidates")
    assert offers
    done_well(run(*TEXTS, "--recipe", "mask.toml", "--out", "T", "--force"))
    assert files_of(small / "T" / "_candidates") == offers
    assert {edit["rule"] for row in copies_in("T") for edit in row["edits"]} == {"mask"}
    assert not list(small.glob("*.force"))
    # What is asked again is taken from what was kept.
    done_well(run(*TEXTS, "--recipe", "vectors.toml", "--out", "T", "--force"))
    assert files_of(small / "T") == before


def test_force_that_fails_brings_the_old_candidates_back(run, small):
    done_well(run(*TEXTS, "--recipe", "vectors.toml", "--out", "T"))
    before = files_of(small / "T")
    for wrong in (("--mask-rate", 0.5), ("--vectors-rate", 2), ("--protect", "/(/"), ("--vectors-source", "none.txt")):
        one_line_error(run(*TEXTS, "--recipe", "vectors.toml", *wrong, "--out", "T", "--force"))
        assert files_of(small / "T") == before, wrong


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            (*PAIRS, "--pairs", "frist"),
            "pairs: must be one of cycle, alternate, first, second, both, draw, got",
        ),
        ((*PAIRS, "--pairs", "frist"), "did you mean 'first'?"),
        ((*TEXTS, "--protect", "/(/"), "protect must hold regular expressions, got /(/: "),
        ((*TEXTS, "--protect", ":stopwords:"), "got ':stopwords:': did you mean ':stop-words:'?"),
        ((*TEXTS, "--protect", ""), "protect must list words, phrases, /REGEX/ or :KIND:, got ''"),
        ((*TEXTS, "--recipe", "munge"), "recipe munge: must be given features, got a task of kind 'text'"),
        ((*PAIRS, "--recipe", "random"), "recipe random: must be given features, got a task of kind 'pair'"),
        ((*PEOPLE, "--recipe", "mask.toml"), "recipe mask: must be given texts, got a task of kind 'features'"),
        ((*PEOPLE, "--munge-p", 2), "munge: p must be between 0 and 1, got 2.0"),
        (
            (*PEOPLE, "--munge-mode", "bth"),
            "munge: mode: must be one of both, one_sided, got 'bth': did you",
        ),
        ((*TEXTS, "--munge-p", 0.5), "recipe tang2019: step: must be one of mask, pos, ngram, got 'munge'"),
        ((*TEXTS, "--recipe", "vectors.toml", "--vectors-source", "none.txt"), "none.txt: must be a GloVe or word2vec"),
        (("augment", "pairs.csv", "--text-pair", "two"), "must be given --text"),
        (("augment", "pairs.csv", "--text", "one", "--text-pair", "tow"), "did you mean 'two'?"),
        (
            ("augment", "pairs.csv", "--text", "one", "--text-pair", "one"),
            "each column must have one role, got 'one'",
        ),
        (("augment", "people.csv", "--features", "height,twon"), "did you mean 'town'?"),
        (("augment", "one.csv", "--features", "height"), "munge: must have at least 2 rows"),
        (("augment", "gap.csv", "--features", "all"), "column 'town' must hold a value, got only missing ones"),
        ((*PAIRS, "--task", "regression", "--keep-labels"), "keep-labels: must not be used with regression"),
        ((*TEXTS, "--recipe", "group.toml"), "group.toml: step 1: step 2: use: must be one of "),
    ],
)
def test_bad_options_of_augment_are_one_line_and_leave_nothing(run, small, arguments, says):
    (small / "one.csv").write_text("height\n170\n")
    (small / "gap.csv").write_text("height,town\n170,\n180,?\n")
    (small / "group.toml").write_text('[[step]]\none_of = [{use = "mask"}, {use = "maks"}]\n')
    before = names_in(small)
    assert says in one_line_error(run(*arguments, "--out", "T"))
    assert names_in(small) == before


@pytest.mark.parametrize("there", [False, True])
def test_what_models_offered_is_all_that_is_left_of_a_refused_run(run, small, there):
    # Too much for each word is found out when the steps are tried out, and then the vectors were asked.
    (small / "greedy.toml").write_text((small / "vectors.toml").read_text() + '\n[[step]]\nuse = "mask"\nrate = 0.9\n')
    if there:
        (small / "T").mkdir()
    error = one_line_error(run(*TEXTS, "--recipe", "greedy.toml", "--out", "T"))
    assert "rates of word rules must add up to at most 1, got 1.3" in error
    assert [path.name for path in (small / "T").iterdir()] == ["_candidates"]
    kept = files_of(small / "T")
    # The next try takes them up.
    done_well(run(*TEXTS, "--recipe", "vectors.toml", "--out", "T"))
    assert kept.items() <= files_of(small / "T").items()


def test_what_is_named_in_an_error_cannot_command_a_terminal_or_fill_it(run, tmp_path):
    error = one_line_error(run("show", "\x1b[2J\u202e\x07x", cwd=tmp_path))
    assert error.isprintable()
    assert "\\x1b[2J\\u202e\\x07x: must be a transfer set or a logit cache" in error
    error = one_line_error(run("augment", "films.csv", "--text", "y" * 100_000, "--out", "T", cwd=tmp_path))
    assert len(error) < 1100
    (tmp_path / "films.csv").write_text(f"{'x' * 5000},text\na,b\n")
    error = one_line_error(run("augment", "films.csv", "--text", "txt", "--out", "T", cwd=tmp_path))
    assert error.startswith("stillhouse: films.csv: column: must be one of xxx")
    assert error.endswith("got 'txt': did you mean 'text'?")


def test_what_the_system_refuses_is_said_with_what_must_hold(run, tmp_path):
    for arguments in (("show", "x" * 5000), ("predict", "x" * 300, "-")):
        assert "must be as readable and writable as the command needs them, got" in one_line_error(
            run(*arguments, cwd=tmp_path)
        )


def test_a_name_that_is_no_text_is_said_all_the_same(made, labelled_file, tmp_path):
    out = tmp_path / os.fsdecode(b"T\xff")
    augment = ("augment", labelled_file, "--text", "text", "--recipe", "dbert", "--copies", 0, "--out", out)
    done = stillhouse(*augment, LC_ALL="C.UTF-8", PYTHONIOENCODING="utf-8:strict")
    assert done.returncode == 0, done.stderr
    assert "T\\udcff: 200 rows in 1 parts" in done.stdout.decode()


def test_an_error_in_the_midst_of_a_bar_has_a_line_of_its_own(run, monkeypatch):
    def rows():
        with tqdm(total=2, mininterval=0) as bar:
            for row in range(2):
                bar.update()
                yield row

    def fails(**_):
        for _ in rows():
            raise StillhouseError("x: must be y, got z")

    monkeypatch.setattr(group, "main", fails)
    done = run("show", "T")
    assert one_line_error(done) == "stillhouse: x: must be y, got z"
    assert b"1/2" in done.stderr


@pytest.mark.parametrize("field", ["source", "recipe", "copies", "seed"])
@pytest.mark.parametrize("value", [None, "x", [], {}, -1.5])
def test_a_description_that_was_edited_is_one_line_or_shown(run, made, tmp_path, field, value):
    shutil.copytree(made / "T", tmp_path / "T")
    file = tmp_path / "T" / "_manifest" / "about.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "about": {**record["about"], field: value}}))
    done = run("show", tmp_path / "T")
    if done.returncode:
        assert "_manifest must say what stillhouse wrote there" in one_line_error(done)
        assert done.stdout == b""
