"""What is guessed of columns, and that the file that is written runs as it is."""

import json
import re
import tomllib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import ROOT

from stillhouse.cli import stillhouse as group
from stillhouse.draft import draft, guess_roles, look_at
from stillhouse.pipeline import load_pipeline, run
from transferset import Source, StillhouseError

FILMS = [f"a {'good' if n % 2 else 'dull'} film about w{n} and the plot" for n in range(60)]
SENTIMENT = [("neg", "pos")[n % 2] for n in range(60)]


def written(path, header, *columns, delimiter="\t"):
    lines = [delimiter.join(map(str, row)) for row in zip(*columns, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([delimiter.join(header), *lines] if header else lines) + "\n")
    return path


def roles(path, **options):
    return guess_roles(look_at(Source(path, **options)))


def guessed(path, **options):
    found = roles(path, **options).task
    return found.kind, found.inputs, found.label, found.target


def proposal(path, out="pipeline.toml", teacher=None):
    return tomllib.loads(draft(Source(path), path.parent / out, teacher).text)


def test_a_text_with_a_label(tmp_path):
    path = written(
        tmp_path / "reviews.tsv", ["id", "review", "stars"], range(60), FILMS, [n % 5 + 1 for n in range(60)]
    )
    assert guessed(path) == ("text", ("review",), "stars", "classification")
    found = roles(path)
    assert found.left == ("id",)
    assert found.classes == ("1", "2", "3", "4", "5")
    why = " ".join(found.why)
    assert "'review' holds texts: 8 words on average, 60 different ones" in why
    assert 'if these are points on a scale say task = "regression"' in why


def test_rows_without_a_label_are_counted(tmp_path):
    path = written(
        tmp_path / "r.tsv", ["text", "label"], FILMS, ["" if n % 4 else "pos" if n % 8 else "neg" for n in range(60)]
    )
    assert guessed(path) == ("text", ("text",), "label", "classification")
    assert "75% of its cells are empty, which are rows without a label" in " ".join(roles(path).why)


@pytest.mark.parametrize(
    ("header", "kind", "inputs"),
    [
        (["question1", "question2"], "pair", ("question1", "question2")),
        (["premise", "hypothesis"], "pair", ("premise", "hypothesis")),
        (["text_a", "text_b"], "pair", ("text_a", "text_b")),
        (["left_thing", "other"], "pair", ("left_thing", "other")),
    ],
)
def test_two_texts_are_a_pair(tmp_path, header, kind, inputs):
    path = written(tmp_path / "p.tsv", [*header, "label"], FILMS, FILMS[::-1], SENTIMENT)
    assert guessed(path) == (kind, inputs, "label", "classification")


def test_a_title_is_not_half_of_a_pair(tmp_path):
    path = written(
        tmp_path / "p.tsv",
        ["title", "body", "label"],
        [f"on the w{n}" for n in range(60)],
        [f"{a} {b}" for a, b in zip(FILMS, FILMS[::-1], strict=True)],
        SENTIMENT,
    )
    assert guessed(path) == ("text", ("body",), "label", "classification")
    assert "title holds texts too: for a pair say text-pair" in " ".join(roles(path).why)
    assert '# text-pair = "title"' in draft(Source(path), "x.toml").text


@pytest.mark.parametrize(
    ("cells", "target"),
    [
        ([f"{n % 50 / 10:.3f}" for n in range(60)], "regression"),
        (list(range(60)), "regression"),
        ([n % 2 for n in range(60)], "classification"),
        (["a|b" if n % 3 else "b" for n in range(60)], "multilabel"),
        (["True" if n % 3 else "False" for n in range(60)], "classification"),
    ],
)
def test_the_kind_of_label_is_told_by_its_values(tmp_path, cells, target):
    assert guessed(written(tmp_path / "r.tsv", ["text", "label"], FILMS, cells))[2:] == ("label", target)


def test_lists_and_numbers_of_jsonl_and_parquet(tmp_path):
    rows = [{"text": text, "tags": ["x", "y"][: n % 3]} for n, text in enumerate(FILMS)]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert guessed(tmp_path / "r.jsonl") == ("text", ("text",), "tags", "multilabel")
    pq.write_table(pa.table({"text": FILMS, "score": [n / 7 for n in range(60)]}), tmp_path / "r.parquet")
    assert guessed(tmp_path / "r.parquet") == ("text", ("text",), "score", "regression")
    (tmp_path / "r.txt").write_text("\n".join(FILMS))
    assert guessed(tmp_path / "r.txt") == ("text", ("text",), None, "classification")
    assert "no column looks like a label" in " ".join(roles(tmp_path / "r.txt").why)


def test_texts_without_spaces_are_texts(tmp_path):
    texts = [f"这部电影第{n}次看还是很好" for n in range(60)]
    assert guessed(written(tmp_path / "r.tsv", ["a", "b"], texts, SENTIMENT)) == ("text", ("a",), "b", "classification")


def test_the_layouts_of_glue(tmp_path):
    scores = [f"{n % 26 / 5:.3f}" for n in range(60)]
    sts = written(
        tmp_path / "sts.tsv", None, ["main"] * 60, ["MSR"] * 60, ["2012"] * 60, range(60), scores, FILMS, FILMS[::-1]
    )
    assert guessed(sts) == ("pair", ("6", "7"), "5", "regression")
    assert proposal(sts)["augment"][0]["no-header"] is True
    cola = written(
        tmp_path / "in_domain.tsv",
        None,
        ["gj04"] * 60,
        [n % 2 for n in range(60)],
        ["*" if n % 2 else "" for n in range(60)],
        FILMS,
    )
    assert guessed(cola) == ("text", ("4",), "2", "classification")
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    mrpc = written(
        tmp_path / "msr.tsv", header, [n % 2 for n in range(60)], range(60), range(60, 120), FILMS, FILMS[::-1]
    )
    assert guessed(mrpc) == ("pair", ("#1 String", "#2 String"), "Quality", "classification")
    qqp = written(
        tmp_path / "QQP" / "train.tsv",
        ["id", "question1", "question2", "is_duplicate"],
        range(60),
        FILMS,
        FILMS[::-1],
        [n % 2 for n in range(60)],
    )
    assert guessed(qqp) == ("pair", ("question1", "question2"), "is_duplicate", "classification")


def test_a_header_is_told_from_a_row(tmp_path):
    bare = written(tmp_path / "bare.tsv", None, FILMS, SENTIMENT)
    assert guessed(bare) == ("text", ("1",), "2", "classification")
    assert not look_at(Source(bare)).source.header
    years = written(
        tmp_path / "years.csv",
        ["2019", "2020", "kind"],
        range(1, 61),
        [n / 3 for n in range(60)],
        SENTIMENT,
        delimiter=",",
    )
    assert guessed(years) == ("features", ("2019", "2020"), "kind", "classification")


def adult(path):
    cells = [
        range(20, 80),
        [f"{n % 7}" for n in range(60)],
        [("Private", "?", "State-gov")[n % 3] for n in range(60)],
        [("<=50K", ">50K")[n % 5 > 2] for n in range(60)],
    ]
    return written(path, ["age", "education-num", "workclass", "income-per-year"], *cells, delimiter=",")


def test_tables(tmp_path):
    assert guessed(adult(tmp_path / "adult.csv")) == (
        "features",
        ("age", "education-num", "workclass"),
        "income-per-year",
        "classification",
    )
    letter = written(
        tmp_path / "letter.tsv",
        ["xbox", "ybox", "letter"],
        [n % 16 for n in range(60)],
        [n % 7 for n in range(60)],
        ["ABC"[n % 3] for n in range(60)],
    )
    assert guessed(letter) == ("features", ("xbox", "ybox"), "letter", "classification")
    houses = written(
        tmp_path / "houses.csv",
        ["id", "rooms", "price"],
        range(60),
        [n % 5 for n in range(60)],
        [n * 1000.5 for n in range(60)],
        delimiter=",",
    )
    assert guessed(houses) == ("features", ("rooms",), "price", "regression")
    assert proposal(houses)["augment"][0]["features"] == "rooms"
    iris = written(tmp_path / "iris.csv", ["class", "width"], SENTIMENT, [n / 7 for n in range(60)], delimiter=",")
    assert guessed(iris) == ("features", ("width",), "class", "classification")


def test_no_more_than_the_first_rows_are_looked_at(tmp_path):
    path = written(tmp_path / "r.tsv", ["text", "label"], FILMS, SENTIMENT)
    look = look_at(Source(path), rows=10)
    assert (look.rows, look.is_all, look.column("text").distinct) == (10, False, 10)
    assert look_at(Source(path), rows=60).is_all


def test_columns_nobody_can_name_are_left_out_and_odd_values_shown_on_one_line(tmp_path):
    (tmp_path / "r.jsonl").write_text(
        "".join(
            json.dumps({"text": f"a\nb \x1b[31m{n} c d e", "la\nbel": "x", 'q"uote': n % 2}) + "\n" for n in range(9)
        )
    )
    text = draft(Source(tmp_path / "r.jsonl"), tmp_path / "x.toml", "python:rules:score").text
    assert "\x1b" not in text
    assert tomllib.loads(text)["augment"][0]["label"] == 'q"uote'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold at least one row"),
        ("text,label\n", "must hold at least one row"),
        ("text,label\na\n", "row 1 must have 2 columns"),
    ],
)
def test_bad_files_are_one_line_and_nothing_is_written(tmp_path, text, says):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(StillhouseError, match=says):
        draft(Source(tmp_path / "r.csv"), tmp_path / "x.toml")


def test_the_command_writes_a_file_and_keeps_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, first, last in (("train", 0, 40), ("dev", 40, 50), ("test", 50, 60)):
        written(tmp_path / "data" / f"{name}.tsv", ["sentence", "label"], FILMS[first:last], SENTIMENT[first:last])
    arguments = ["init", "data/train.tsv", "--teacher", "python:rules:score", "--out", "mine.toml"]
    done = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert done.stdout.startswith("mine.toml: classification of text (sentence) by label\n  'sentence' holds texts")
    before = (tmp_path / "mine.toml").read_text()
    (tmp_path / "mine.toml").write_text("# precious")
    done = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert isinstance(done.exception, StillhouseError)
    assert "use --force to replace it" in str(done.exception)
    assert (tmp_path / "mine.toml").read_text() == "# precious"
    assert CliRunner().invoke(group, [*arguments, "--force"], standalone_mode=False).exception is None
    assert (tmp_path / "mine.toml").read_text() == before
    found = tomllib.loads(before)
    assert found["augment"][0]["source"] == "data/train.tsv"
    assert found["train"][0]["dev"] == "data/dev.tsv"
    assert found["evaluate"] == {"file": "data/test.tsv", "cache": "L"}


def smaller(path, teacher):
    """The proposal with a student that is trained in no time."""
    text = draft(Source(path), path.parent / "mine.toml", teacher).text
    tiny = 'epochs = 1\nhidden = 4\nvector-width = 4\nvectors = "random"\nstudent = "bag"'
    text = text.replace('student = "bilstm"', tiny).replace(
        'student = "mlp"', 'student = "mlp"\nwidth = 4\nepochs = 1', 1
    )
    text = re.sub(r"copies = (5|10|20|3)\n", "copies = 1\nworkers = 1\n", text).replace(
        "copies = 0\n", "copies = 0\nworkers = 1\n"
    )
    (path.parent / "mine.toml").write_text(re.sub(r"(?m)^(\[report\]\n)", r"\1resamples = 5\nspeed = false\n", text))
    return path.parent / "mine.toml"


def test_what_it_writes_for_texts_runs_as_it_is(tmp_path, tiny_teacher, one_thread, no_sync):
    for name, first, last in (("train", 0, 40), ("test", 40, 60)):
        written(tmp_path / f"{name}.tsv", ["sentence", "label"], FILMS[first:last], SENTIMENT[first:last])
    run(load_pipeline(smaller(tmp_path / "train.tsv", str(tiny_teacher))), lambda told: None)
    assert {"T", "T-test", "L", "bag", "evaluation-bag.json", "report.html"} <= {
        each.name for each in (tmp_path / "mine").iterdir()
    }


def test_what_it_writes_for_a_table_runs_once_its_teacher_is_made(tmp_path, monkeypatch, one_thread, no_sync):
    file = smaller(adult(tmp_path / "adult.csv"), None)
    with pytest.raises(
        StillhouseError, match=r"teacher must be a file or directory that is there, got 'teacher\.skops'"
    ):
        load_pipeline(file)
    script = re.findall(r"^#   (.*)$", file.read_text().partition("A teacher for this table")[2], re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec("\n".join(script), {})
    run(load_pipeline(file), lambda told: None)
    assert (tmp_path / "mine" / "mlp" / "config.json").exists()


def test_without_a_teacher_texts_get_one_from_their_labels(tmp_path):
    text = proposal(written(tmp_path / "r.tsv", ["text", "label"], FILMS, SENTIMENT))
    assert text["teach"]["data"] == "r.tsv"
    assert text["label"] == {}
    (tmp_path / "r.txt").write_text("\n".join(FILMS))
    found = proposal(tmp_path / "r.txt")
    assert "teach" not in found
    assert found["label"] == {"teacher": "./my-teacher"}


def test_every_option_that_is_commented_out_is_one(tmp_path):
    for file in (ROOT / "data" / "reviews" / "train.tsv", adult(tmp_path / "adult.csv")):
        text = draft(Source(file), ROOT / "x.toml", "python:a:b").text
        section, seen = "", 0
        for line in text.splitlines():
            if header := re.match(r"(?:# )?\[+([a-z]+)\]+$", line):
                section = header[1]
            elif option := re.match(r"# ([a-z-]+) = ", line):
                assert option[1] in options_of(section), line
                seen += 1
        assert seen > 5


def options_of(section):
    from stillhouse.pipeline._sections import load_command, parameters_of

    return {*parameters_of(load_command(section)), "name"}


def test_the_sample_that_ships_is_understood():
    found = roles(ROOT / "data" / "reviews" / "train.tsv")
    assert (found.task.inputs, found.task.label, found.classes) == (("text",), "label", ("negative", "positive"))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("sst2/train.tsv", ("text", ("sentence",), "label", "classification")),
        ("mrpc/train.tsv", ("pair", ("#1 String", "#2 String"), "Quality", "classification")),
        ("stsb/train.tsv", ("pair", ("6", "7"), "5", "regression")),
        ("letter/letter.tsv", ("features", None, "letter", "classification")),
        ("adult/adult.csv", ("features", None, "income-per-year", "classification")),
    ],
)
def test_real_files(shared, file, expected):
    kind, inputs, label, target = guessed(shared / "data" / file)
    assert (kind, label, target) == (expected[0], *expected[2:])
    assert expected[1] in (None, inputs)
