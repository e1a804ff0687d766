"""A pipeline runs what changed and nothing else, goes on where it was left, and never leaves half of anything."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT

from augment import _worker
from stillhouse.cli import stillhouse as group
from stillhouse.pipeline import Step, _work, load_pipeline, plan, run
from students import _run as student_run
from transferset import LogitCache, StillhouseError, TransferSet, sort_keys
from transferset.files import file_lock

pytestmark = [
    pytest.mark.usefixtures("one_thread", "no_sync"),
    # Of networks as small as these the exporter's own parts warn.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
WORDS = ("film", "plot", "acting", "story", "the", "a", "of")
RULES = """
import os
from pathlib import Path

def score(texts):
    with Path("asked.txt").open("a") as file:
        file.writelines(f"{text}\\n" for text in texts)
    if Path("stop").exists() and len(Path("asked.txt").read_text().splitlines()) > 60:
        raise KeyboardInterrupt
    return [[0.0, SLOPE * ("good" in text)] for text in texts]

SLOPE = 3.0
score.classes = ("neg", "pos")
"""
FILM = """
[augment]
source = "train.csv"
text = "text"
label = "label"
copies = 3
workers = 1
pos-tagger = "classes"

[label]
teacher = "python:rules:score"
batch-rows = 20

[[train]]
student = "bag"
dev = "test.csv"
epochs = 2
hidden = 4
vector-width = 4
vectors = "random"

[evaluate]
file = "test.csv"
resamples = 10
"""
SWEEP = """
[sweep]
workers = 1
grid = { student = "bag", hidden = 4, vector-width = 4, vectors = "random", epochs = [1, 2] }
dev = "test.csv"

[evaluate]
student = ["RUNS", "bag"]"""
TEST_ROWS = """
[[augment]]
name = "T-test"
source = "test.csv"
text = "text"
label = "label"
copies = 0
workers = 1

[label]"""


def rows(count, first=0):
    texts = [
        " ".join([WORDS[n % 7], WORDS[n % 5], ("good", "bad")[n % 2], f"w{n}"]) for n in range(first, first + count)
    ]
    return "text,label\n" + "".join(f"{text},{('pos', 'neg')[n % 2]}\n" for n, text in enumerate(texts))


def written(folder):
    """A directory with a pipeline, its data, and a teacher that writes down what it was asked."""
    (folder / "train.csv").write_text(rows(40))
    (folder / "test.csv").write_text(rows(12, first=100))
    (folder / "rules.py").write_text(RULES)
    (folder / "film.toml").write_text(FILM)
    sys.modules.pop("rules", None)
    return folder


@pytest.fixture
def folder(tmp_path):
    """Such a directory."""
    yield written(tmp_path)
    sys.modules.pop("rules", None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, one_thread):
    """Such a directory after a run that nothing disturbed."""
    folder = written(tmp_path_factory.mktemp("whole"))
    go(folder)
    return folder


@pytest.fixture
def made(whole, folder):
    """A copy of it."""
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def expected(whole):
    """What an undisturbed run makes."""
    return results(whole / "film")


def change(folder, old, new, file="film.toml"):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def go(folder):
    """Runs the pipeline; what was done about each stage, by its name."""
    told = []
    run(load_pipeline(folder / "film.toml"), told.append)
    return {step.stage.name: (step.action, *step.why) for step in told if isinstance(step, Step)}


def dry(folder):
    return {step.stage.name: (step.action, *step.why) for step in plan(load_pipeline(folder / "film.toml"))}


def ran(steps):
    return [name for name, (action, *_) in steps.items() if action != "skip"]


def asked(folder):
    """What the teacher was asked since the last time."""
    file = folder / "asked.txt"
    texts = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return texts


def files_of(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def results(out):
    """All that a pipeline made, less what measures time and how a cache is cut into parts."""
    cache = LogitCache.open(out / "L")
    order = sort_keys(cache.keys())
    kept = {"keys": cache.keys()[order].tobytes(), "logits": cache.signal("logits", cache.keys()[order]).tobytes()}
    for name in ("T", "bag", "evaluation-bag.json"):
        found = files_of(out / name) if (out / name).is_dir() else {"": (out / name).read_bytes()}
        kept |= {f"{name}/{file}": data for file, data in found.items() if file not in ("metrics.json", "README.md")}
    return kept


def test_the_first_run_makes_all_and_the_second_nothing(folder):
    assert dry(folder) == dict.fromkeys(("T", "L", "bag", "evaluation-bag.json"), ("run", "never made"))
    assert not (folder / "film").exists()
    assert ran(go(folder)) == ["T", "L", "bag", "evaluation-bag.json"]
    assert len(asked(folder)) > 40
    before = files_of(folder / "film")
    for steps in (dry(folder), go(folder)):
        assert steps == dict.fromkeys(("T", "L", "bag", "evaluation-bag.json"), ("skip", "nothing changed"))
    assert files_of(folder / "film") == before
    assert asked(folder) == []
    assert TransferSet.open(folder / "film" / "T").verify() == []
    assert json.loads((folder / "film" / "evaluation-bag.json").read_text())["rows"] == 12
    # Nothing is left of the making.
    assert [file for file in (folder / "film" / "_pipeline" / "work").rglob("*") if file.is_file()] == []


def test_each_change_makes_what_depends_on_it_again_and_says_why(made):
    folder = made
    cases = [
        # A setting of the student.
        ("film.toml", "epochs = 2", "epochs = 3", "bag", "epochs changed: 2 -> 3", ["bag", "evaluation-bag.json"]),
        # What is not written has a default.
        (
            "film.toml",
            "hidden = 4",
            "hidden = 4\nseed = 1",
            "bag",
            "seed changed: not given -> 1",
            ["bag", "evaluation-bag.json"],
        ),
        # Figures alone.
        (
            "film.toml",
            "resamples = 10",
            "resamples = 5",
            "evaluation-bag.json",
            "resamples changed: 10 -> 5",
            ["evaluation-bag.json"],
        ),
        # Comments, order and the number of processes make nothing else.
        ("film.toml", "copies = 3\nworkers = 1", "# less\nworkers = 2\ncopies = 3", None, None, []),
        # Data: a column that nobody reads changes the file, not what is made of it.
        (
            "train.csv",
            "text,label\n",
            "text,label\nfilm good,pos\n",
            "T",
            "source train.csv changed",
            ["T", "L", "bag", "evaluation-bag.json"],
        ),
    ]
    for file, old, new, stage, why, expected in cases:
        change(folder, old, new, file)
        planned = dry(folder)
        if stage is not None:
            assert planned[stage] == ("run", why)
        assert set(ran(planned)) >= set(expected)
        assert ran(go(folder)) == expected, new
        assert ran(dry(folder)) == []


def test_what_comes_out_as_it_was_stops_the_chain(made):
    folder = made
    change(folder, "\n", "\r\n", "train.csv")
    assert dry(folder)["bag"] == ("run", "follows T", "follows L")
    # The same rows make the same transfer set, to the byte; but for its name nothing has to be done after it.
    assert ran(go(folder)) == ["T"]


def test_a_changed_test_file_is_only_evaluated_again(folder):
    change(folder, 'dev = "test.csv"\n', "")
    go(folder)
    change(folder, "text,label\n", "text,label\na good plot,pos\n", "test.csv")
    assert dry(folder)["evaluation-bag.json"] == ("run", "file test.csv changed")
    assert ran(go(folder)) == ["evaluation-bag.json"]
    assert json.loads((folder / "film" / "evaluation-bag.json").read_text())["rows"] == 13


def test_a_changed_recipe_asks_the_teacher_only_what_is_new(made):
    folder = made
    first = set(asked(folder))
    change(folder, "copies = 3", "copies = 4\nmask-rate = 0.3")
    assert ran(go(folder)) == ["T", "L", "bag", "evaluation-bag.json"]
    again = asked(folder)
    texts = {
        text for table in TransferSet.open(folder / "film" / "T").tables(["text"]) for text in table["text"].to_pylist()
    }
    # A new module is tried on two rows when it is opened.
    assert again
    assert set(again) <= texts
    assert len(set(again) & first) <= 2
    assert first & texts
    assert len(LogitCache.open(folder / "film" / "L").keys()) == len(first | texts)


def test_another_teacher_gets_another_cache_and_the_first_one_comes_back(made):
    folder = made
    asked(folder)
    change(folder, "SLOPE = 3.0", "SLOPE = 9.0", "rules.py")
    assert dry(folder)["L"] == ("run", "teacher rules.py changed")
    assert ran(go(folder)) == ["L", "bag", "evaluation-bag.json"]
    assert len(asked(folder)) > 40
    cache = LogitCache.open(folder / "film" / "L")
    assert cache.signal("logits", cache.keys()).max() == 9.0
    change(folder, "SLOPE = 9.0", "SLOPE = 3.0", "rules.py")
    assert ran(go(folder)) == ["L", "bag", "evaluation-bag.json"]
    assert len(asked(folder)) <= 2
    cache = LogitCache.open(folder / "film" / "L")
    assert cache.signal("logits", cache.keys()).max() == 3.0


def test_a_teacher_asked_in_another_way_keeps_its_cache(made):
    folder = made
    asked(folder)
    change(folder, "batch-rows = 20", "batch-rows = 50")
    assert dry(folder)["L"] == ("run", "batch-rows changed: 20 -> 50")
    assert ran(go(folder)) == ["L"]
    assert len(asked(folder)) <= 2


@pytest.mark.parametrize("stage", ["T", "bag", "evaluation-bag.json"])
def test_what_is_deleted_or_damaged_is_made_again(made, stage):
    folder = made
    made = folder / "film" / stage
    whole = results(folder / "film")
    victim = made if made.is_file() else next(iter([*made.glob("*.safetensors"), *made.glob("*.parquet")]))
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert dry(folder)[stage] == ("run", f"film/{victim.relative_to(folder / 'film')} was changed")
    assert ran(go(folder)) == [stage]
    assert results(folder / "film") == whole
    victim.unlink()
    assert dry(folder)[stage] == ("run", f"film/{victim.relative_to(folder / 'film')} is missing")
    assert ran(go(folder)) == [stage]
    assert results(folder / "film") == whole


def test_a_damaged_part_of_a_cache_is_told_and_the_rest_of_it_kept(made):
    folder = made
    parts = sorted((folder / "film" / "L").glob("part-*"))
    asked(folder)
    parts[0].write_bytes(b"x" + parts[0].read_bytes()[1:])
    assert dry(folder)["L"][0] == "run"
    with pytest.raises(StillhouseError, match="delete it with its record") as told:
        go(folder)
    assert "film/L/part-000000" in str(told.value)
    parts[0].unlink()
    (folder / "film" / "L" / "_manifest" / "000000.json").unlink()
    assert ran(go(folder)) == ["L"]
    assert LogitCache.open(folder / "film" / "L").verify() == []


class Stopped(KeyboardInterrupt):
    """Ctrl-C, at a certain moment."""


def after(calls, function):
    """The function, which is interrupted at its nth call."""
    left = [calls]

    def stop(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise Stopped
        return function(*arguments, **options)

    return stop


@pytest.mark.parametrize(
    ("stage", "owner", "name", "calls"),
    [
        ("T", _worker.Worker, "finish", 1),
        ("bag", student_run.Run, "checkpoint", 2),
        ("evaluation-bag.json", _work, "call", 4),
        ("T", _work, "listing", 1),
        ("bag", _work, "listing", 3),
        ("T", Path, "rename", 1),
        ("bag", Path, "rename", 3),
    ],
)
def test_an_interrupted_stage_goes_on_and_ends_the_same(folder, expected, monkeypatch, stage, owner, name, calls):
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, after(calls, getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            go(folder)
    assert not (folder / "film" / stage).exists()
    assert dry(folder)[stage] == ("resume", "interrupted")
    steps = go(folder)
    assert steps[stage] == ("resume", "interrupted")
    assert results(folder / "film") == expected
    assert ran(dry(folder)) == []


def test_labelling_that_is_interrupted_goes_on(folder, expected):
    (folder / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        go(folder)
    (folder / "stop").unlink()
    first = asked(folder)
    assert dry(folder)["L"] == ("resume", "interrupted")
    assert go(folder)["L"] == ("resume", "interrupted")
    assert len(first) < 100
    assert results(folder / "film") == expected


def test_interrupted_at_every_rename_in_turn_it_ends_the_same(folder, expected, monkeypatch):
    # Each attempt gets one step further than the one before it; every file of a pipeline takes its place by a rename.
    attempts = 0
    while True:
        attempts += 1
        with monkeypatch.context() as patched:
            stop = after(2 * attempts, Path.replace)
            patched.setattr(Path, "replace", lambda self, target, stop=stop, real=Path.replace: stop(self, target))
            try:
                go(folder)
                break
            except KeyboardInterrupt:
                assert whatever_has_its_name_is_whole(folder / "film")
    assert attempts > 5
    assert results(folder / "film") == expected


def whatever_has_its_name_is_whole(out):
    if (out / "T").exists():
        assert TransferSet.open(out / "T").verify() == []
    if (out / "bag").exists():
        assert (out / "bag" / "config.json").exists()
    return True


def test_the_old_output_stays_until_the_new_one_is_whole(made):
    folder = made
    before = results(folder / "film")
    change(folder, "copies = 3", "copies = 3\nprotect = 5")
    with pytest.raises(StillhouseError, match=r'film.toml:7: \[augment\] protect must be text in "quotes", got 5'):
        go(folder)
    change(folder, "protect = 5", "mask-rate = 1.7")
    with pytest.raises(StillhouseError, match=r"mask: rate must be between 0 and 1, got 1\.7"):
        go(folder)
    assert results(folder / "film") == before
    change(folder, "mask-rate = 1.7", "")
    assert ran(go(folder)) == []


def test_an_input_that_changes_while_it_is_read_is_told_and_not_trusted(folder, monkeypatch):
    real = _work.call

    def meanwhile(stage, *arguments):
        said = real(stage, *arguments)
        change(folder, "text,label\n", "text,label\nfine plot,pos\n", "train.csv")
        return said

    with monkeypatch.context() as patched:
        patched.setattr(_work, "call", meanwhile)
        with pytest.raises(StillhouseError, match=r"must stay as it is meanwhile, got another: source train\.csv"):
            go(folder)
    assert not (folder / "film" / "T").exists()
    assert go(folder)["T"] == ("run", "never made")
    assert TransferSet.open(folder / "film" / "T").store.about["source"]["rows"] == 41


def test_another_version_of_stillhouse_makes_all_but_the_labels_again(made, monkeypatch):
    folder = made
    asked(folder)
    monkeypatch.setattr(_work, "__version__", "9.9")
    steps = go(folder)
    assert steps["T"] == ("run", "stillhouse changed: 0.1.0 -> 9.9")
    assert "L" not in ran(steps)
    assert asked(folder) == []


def test_two_runs_at_once_are_one_clear_line(made, monkeypatch):
    folder = made
    monkeypatch.chdir(folder)
    with (
        file_lock(Path("film/_pipeline/lock"), "exclusive"),
        pytest.raises(StillhouseError, match="film: must not be in use, got another process writing to it"),
    ):
        go(folder)


def test_two_pipelines_may_share_a_cache(folder):
    change(folder, "[label]", '[label]\nout = "shared"')
    go(folder)
    asked(folder)
    (folder / "other.toml").write_text((folder / "film.toml").read_text().replace("copies = 3", "copies = 2"))
    told = []
    run(load_pipeline(folder / "other.toml"), told.append)
    assert (folder / "other" / "T").exists()
    # The copies of a row do not depend on how many there are: all but the module's trial is known.
    assert len(asked(folder)) <= 2
    change(folder, "SLOPE = 3.0", "SLOPE = 9.0", "rules.py")
    with pytest.raises(StillhouseError, match="shared: must be a cache of this teacher"):
        go(folder)


def test_what_somebody_else_made_is_not_replaced(folder):
    (folder / "film" / "T").mkdir(parents=True)
    (folder / "film" / "T" / "mine.txt").write_text("precious")
    for each in (dry, go):
        with pytest.raises(StillhouseError, match="film/T: must be made by this pipeline, got something else"):
            each(folder)
    assert (folder / "film" / "T" / "mine.txt").read_text() == "precious"


def test_a_sweep_is_added_to_and_its_best_student_exported_and_evaluated(folder):
    change(folder, "\n[evaluate]", SWEEP)
    steps = go(folder)
    assert list(steps) == ["T", "L", "bag", "RUNS", "evaluation-RUNS.json", "evaluation-bag.json"]
    weights = next(iter((folder / "film" / "RUNS").glob("bag-*/model.safetensors")))
    weights.write_bytes(b"")
    change(folder, "epochs = [1, 2]", "epochs = [1, 2, 3]")
    others = {file: file.stat().st_ino for file in (folder / "film" / "RUNS").glob("bag-*/model.safetensors")}
    steps = go(folder)
    assert steps["RUNS"] == ("run", "grid.epochs changed: [1, 2] -> [1, 2, 3]")
    found = {file: file.stat().st_ino for file in (folder / "film" / "RUNS").glob("bag-*/model.safetensors")}
    # What was damaged was trained again, what was whole was not.
    assert len(found) == 3
    assert [file for file, number in others.items() if found[file] == number] == [
        file for file in others if file != weights
    ]
    assert weights.stat().st_size > 100
    change(folder, "copies = 3", "copies = 1")
    assert dry(folder)["RUNS"] == ("run", "follows T", "follows L")


def test_many_transfer_sets_and_students_and_references_by_name(folder):
    change(folder, "[augment]", "[[augment]]")
    change(folder, "[label]", TEST_ROWS)
    change(
        folder,
        "[evaluate]",
        FILM[FILM.index("[[train]]") : FILM.index("[evaluate]")]
        + 'name = "other"\nseed = 2\n\n[evaluate]\ncache = "L"',
    )
    pipeline = load_pipeline(folder / "film.toml")
    assert [stage.name for stage in pipeline.stages] == [
        "T", "T-test", "L", "bag", "other", "evaluation-bag.json", "evaluation-other.json",
    ]  # fmt: skip
    assert pipeline.stages[2].settings["transfer"] == ["T", "T-test"]
    go(folder)
    # The cache has the rows of the test file.
    assert json.loads((folder / "film" / "evaluation-other.json").read_text())["agreement"] >= 0
    change(folder, "text,label\n", "text,label\na good plot,pos\n", "test.csv")
    change(folder, 'dev = "test.csv"\n', "")
    steps = dry(folder)
    assert [name for name in ran(steps) if name.startswith("T")] == ["T-test"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("epochs = 2", "epoch = 2", r"film.toml:17: \[train\] epoch: must be one of .*did you mean 'epochs'\?"),
        ("epochs = 2", 'epochs = "2"', r"film.toml:17: \[train\] epochs must be a whole number, got 2"),
        ("epochs = 2", "epochs = true", r"\[train\] epochs must be a whole number, got True"),
        ("epochs = 2", "epochs = [1, 2]", r"\[train\] epochs must be one value, got a list"),
        ("epochs = 2", "epochs = 0", r"film.toml:14: \[train\]: train: epochs must be at least 1, got 0"),
        ("epochs = 2", "exact = true", r"\[train\] exact must be an option of the command, got 'exact': see"),
        ("epochs = 2", 'loss = "mes"', r"\[train\]: loss: must be one of .*did you mean 'mse'"),
        ("epochs = 2", "filters = 3", r"\[train\]: sweep: option: must be one of|filters"),
        ("epochs = 2", 'out = "x"', r"film.toml:17: \[train\] out must not be given in a pipeline"),
        ("epochs = 2", "threads = 0", r"\[train\]: Invalid value for '--threads'"),
        ("epochs = 2", 'batch-size = 3\nbatch_size = 3', r"\[train\] batch.size must be given once"),
        ("copies = 3", "copies = 3\nexact = 1", r"\[augment\] exact must be true or false, got 1"),
        ("copies = 3", "copies = 1979-05-27", r"\[augment\] copies must be a whole number, got 1979-05-27"),
        ('text = "text"', 'text = "text', r"film.toml: must be TOML: "),
        ("[label]", "[lable]", r"film.toml:10: \[lable\]: must be one of .*did you mean 'label'\?"),
        ("[label]", "copies = 4\n[label]", r"must be TOML: Cannot overwrite a value"),
        ("[[train]]", "[train]\n[[train]]", r"must be TOML: "),
        ('source = "train.csv"', 'source = "tarin.csv"', r"source must be a file or directory that is there, got 'tar"),
        ('"python:rules:score"', '"./my-bert"', r"teacher must be a file or directory that is there, got './my-bert'"),
        ('"python:rules:score"', '"sklern:x"', r"\[label\]: teacher: kind: must be one of .*did you mean 'sklearn'"),
        ('"python:rules:score"', '["python:rules:score", 5]', r'\[label\] teacher must be text in "quotes", got 5'),
        ('teacher = "python:rules:score"\n', "", r"\[label\]: teacher must be given where there is no \[teach\]"),
        ("[[train]]", '[[train]]\ntransfer = "L"', r"transfer must be made by \[augment\], got 'L', which \[label\]"),
        ("[[train]]", '[[train]]\nname = "T"', r"must have a `name` of its own, got 'T' twice"),
        ("[[train]]", '[[train]]\nname = "../x"', r"name must be of letters, digits"),
        ("[[train]]", "[[train]]\nname = 3", r'name must be text in "quotes", got 3'),
        ("[augment]", "out = 3\n[augment]", r'film.toml:2: out must be a directory in "quotes", got 3'),
        ("[augment]", 'out = "train.csv"\n[augment]', r"out must be a directory, got the file train.csv"),
        ("[augment]", "seed = 3\n[augment]", r"film.toml:2: seed: must be one of out"),
        ('file = "test.csv"\n', "", r"\[evaluate\]: file must be given, got none"),
        ("[evaluate]", '[evaluate]\nstudent = "bog"', r"\[evaluate\] student must be made by an earlier section"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line_that_says_where(folder, old, new, says):
    change(folder, old, new)
    with pytest.raises(StillhouseError, match=says) as told:
        load_pipeline(folder / "film.toml")
    assert "\n" not in str(told.value)
    assert not (folder / "film").exists()


def test_files_that_are_no_pipelines_are_told(folder):
    for text, says in (
        ("", r"must have a section such as \[augment\]"),
        ("\xff", "must be TOML"),
        ("augment = 3", "must be a table"),
    ):
        (folder / "film.toml").write_bytes(text.encode("latin-1"))
        with pytest.raises(StillhouseError, match=says):
            load_pipeline(folder / "film.toml")
    with pytest.raises(StillhouseError, match="must be a pipeline in TOML, got No such file"):
        load_pipeline(folder / "none.toml")


def test_the_keys_of_a_section_are_the_options_of_its_command():
    from stillhouse.pipeline._sections import parameters_of
    from stillhouse.pipeline._stages import KINDS

    for name in KINDS:
        command = group.get_command(None, name)
        keys = parameters_of(command)
        decided = {"out", "onnx", "force", "json"}
        options = {each.opts[0].removeprefix("--") for each in command.params if each.opts[0].startswith("--")}
        assert options - decided <= set(keys)


def command(*arguments):
    """The command line in this process, with what it says."""
    done = CliRunner().invoke(group, [*map(str, arguments)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_the_command_runs_from_anywhere_and_says_what_it_does(folder, monkeypatch):
    monkeypatch.chdir("/")
    planned = command("run", folder / "film.toml", "--dry-run").splitlines()
    assert planned[0].split() == ["run", "augment", "film/T", "never", "made"]
    assert len(planned) == 4
    said = command("run", folder / "film.toml")
    assert [line for line in said.splitlines() if not line.startswith(" ")] == planned
    assert "\n  film/T: " in said
    assert "accuracy" in said
    assert "_pipeline" not in said
    assert command("run", folder / "film.toml").count("nothing changed") == 4


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_the_same(folder, expected):
    kills = 0
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    chance = np.random.default_rng(0)
    while True:
        process = subprocess.Popen([sys.executable, "-m", "stillhouse", "run", folder / "film.toml"], env=env)
        try:
            assert process.wait(timeout=chance.uniform(3, 8) + kills / 4) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert results(folder / "film") == expected
