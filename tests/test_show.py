"""``stillhouse show``: true numbers, examples that hide nothing, colours on a terminal and marks elsewhere."""

import json
import os
import pty
import re
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import ROOT, WORDS
from test_augmenters import AWKWARD
from test_student import make_student

from augment import InSequence, Mask, Munge, Ngram, Pos, augment_file, load_recipe, summarize
from augment import _ingest as ingest_module
from augment.recipe import recipe_from_json
from stillhouse.cli import stillhouse as group
from stillhouse.commands import _examples
from stillhouse.commands._examples import examples, marked_text
from transferset import Ensemble, LogitCache, Member, Source, Store, Task, TransferSet

TEXT = Task("text", ("text",), "label")
PAIR = Task("pair", ("one", "two"))
CELLS = Task("features", ("height", "kind"))
STEPS = (Mask(rate=0.2), Pos(rate=0.2, tagger="classes"), Ngram(rate=0.3))


def set_of(folder, table, task, steps=STEPS, **options):
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), folder / "rows.parquet")
    given = {"copies": 6, **options}
    return TransferSet(augment_file(Source(folder / "rows.parquet"), task, folder / "T", steps, **given))


def some_texts(count, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(3, 9))) for _ in range(count)]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A set of 1,200 texts in many parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest_module, "PART_ROWS", 600)
        texts = some_texts(1200)
        labels = ["pos" if "good" in text else "neg" for text in texts]
        return set_of(tmp_path_factory.mktemp("films"), {"text": texts, "label": labels}, TEXT)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return set_of(tmp_path_factory.mktemp("pairs"), {"one": some_texts(60), "two": some_texts(60, 1)}, PAIR)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    random = np.random.default_rng(0)
    table = {"height": [None if n % 3 else n for n in range(60)], "kind": random.choice(["a", "b"], 60)}
    return set_of(tmp_path_factory.mktemp("cells"), table, CELLS, [Munge()])


def show(*arguments):
    done = CliRunner().invoke(group, ["show", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def shown_set(transfer, *arguments):
    return show(transfer.store.path, *arguments)


def read(marked):
    """The text that marks without colours stand for."""
    return re.sub(r"\{[^{}|]*\|([^{}|]*):\w+\}", r"\1", re.sub(r" ?\{\.\.\.:\w+\} ?", "", marked))


# The numbers.


def test_the_numbers_of_a_set_are_those_of_its_summary(films):
    text, found = shown_set(films), summarize(films)
    assert text.startswith(f"{films.store.path}: {found.rows:,} rows in {found.parts} parts\n")
    words = {" ".join(line.split()) for line in text.splitlines()}
    for name, number, share in (
        ("augmented", found.augmented, found.augmented / found.drawn),
        ("dropped as unchanged", found.unchanged, found.unchanged_share),
        ("dropped as duplicates", found.duplicates, found.duplicates_share),
    ):
        assert f"{name} {number:,} {100 * share:.1f} %" in words
    for rule, use in found.rules.items():
        assert f"{rule} {use.edits:,} {use.rows:,} {100 * use.share:.1f} %" in words
    spread = found.texts.after_words
    assert f"words of an edited text, after {spread.least} {spread.median} {spread.mean:.1f} {spread.most}" in words
    assert f"{found.texts.replaced:.2f} replaced and {found.texts.dropped:.2f} dropped" in text
    assert "text 'text'; classification by 'label' (neg, pos)" in text


def test_columns_of_numbers_end_at_the_same_place(films):
    lines = shown_set(films).splitlines()
    first = next(n for n, line in enumerate(lines) if line.split()[:2] == ["rule", "edits"])
    places = [[match.end() for match in re.finditer(r"\S+( %)?", line)][1:3] for line in lines[first : first + 4]]
    assert places[0] == places[1] == places[2] == places[3]


def test_json_is_the_summary_and_nothing_else(films, cells):
    for transfer in (films, cells):
        assert json.loads(shown_set(transfer, "--json")) == asdict(summarize(transfer))


def test_the_recipe_is_toml_that_makes_it_again(films, cells):
    for transfer in (films, cells):
        text = shown_set(transfer, "--examples", 0)
        about = transfer.store.about
        stored = tomllib.loads(text[text.index("  # recipe") :])
        assert {stored.pop(name) for name in ("copies", "seed")} == {about["copies"], about["seed"]}
        assert not stored.pop("exact")
        assert not stored.pop("keep_labels")
        assert recipe_from_json("steps", stored, "shown").steps == recipe_from_json("x", about["recipe"], "x").steps
    assert load_recipe("munge").steps == recipe_from_json("steps", stored, "shown").steps


@dataclass(frozen=True)
class Nothing:
    """Does nothing, with a parameter that JSON calls null."""

    what: str | None = None

    def fit(self, corpus):
        return lambda draft: None


def test_a_parameter_that_is_null_is_left_out_of_the_recipe(tmp_path):
    text = shown_set(set_of(tmp_path, {"text": ["a"]}, Task("text", ("text",)), [Nothing(), *STEPS]))
    assert '{ use = "test_show" }' in text


def test_an_unfinished_set_is_shown_as_far_as_it_is(tmp_path, films, monkeypatch):
    monkeypatch.setattr(ingest_module, "PART_ROWS", 100)
    transfer = set_of(tmp_path, {"text": some_texts(40)}, Task("text", ("text",)))
    parts = transfer.store.parts()
    (tmp_path / "T" / "_manifest" / "000001.json").unlink()
    text = shown_set(transfer)
    assert f"unfinished: 1 of {len(parts)} parts are missing" in text
    assert f"{sum(part.rows for part in parts) - parts[1].rows} rows in {len(parts) - 1} parts" in text
    assert text.count("\nrow ") == 5
    for file in (tmp_path / "T" / "_manifest").glob("0*.json"):
        file.unlink()
    assert f"unfinished: {len(parts)} of {len(parts)} parts are missing" in shown_set(transfer)
    assert "unfinished" not in shown_set(films)


# Examples.


def test_examples_are_spread_over_the_set_and_show_every_rule_each_time_the_same(films):
    chosen = list(examples(films, 5))
    assert [each[0]["copy"] for each in chosen] == [0] * 5
    sources = [each[0]["source"] for each in chosen]
    assert all(n * 240 <= source < n * 240 + 240 for n, source in enumerate(sources))
    for original, *copies in chosen:
        assert {row["source"] for row in copies} == {original["source"]}
        assert 0 < len(copies) <= 3
        assert {edit["rule"] for row in copies for edit in row["edits"]} == {"mask", "pos", "ngram"}
    assert list(examples(films, 5)) == chosen
    assert shown_set(films) == shown_set(films)


@pytest.mark.parametrize(("asked", "shown"), [(0, 0), (1, 1), (60, 60), (1000, 60)])
def test_as_many_examples_are_shown_as_were_asked_for_or_there_are(pairs, asked, shown):
    rows = re.findall(r"^row (\d+)$", shown_set(pairs, "--examples", asked), re.MULTILINE)
    assert len(set(rows)) == len(rows) == shown


def test_a_set_without_copies_has_its_originals_for_examples(tmp_path):
    transfer = set_of(tmp_path, {"text": ["a film", "a plot"]}, Task("text", ("text",)), copies=0)
    assert shown_set(transfer).endswith(
        "row 1\n  original  a film\n  no copies\n\nrow 2\n  original  a plot\n  no copies\n"
    )


def test_a_pair_is_shown_with_both_texts(pairs):
    for original, *copies in examples(pairs, 5):
        block = shown_set(pairs).split(f"row {original['source'] + 1}\n")[1].split("\n\n")[0].splitlines()
        assert block[:2] == [f"  original  {original['one']}", f"            {original['two']}"]
        for row, first, second in zip(copies, block[2::2], block[3::2], strict=True):
            assert first.startswith(f"  copy {row['copy']}")
            assert (read(first[12:]), read(second[12:])) == (row["one"], row["two"])


def test_of_features_the_changed_cells_are_shown(cells):
    text = shown_set(cells, "--examples", 60)
    for original, *copies in examples(cells, 60):
        block = text.split(f"row {original['source'] + 1}\n")[1].split("\n\n")[0].rstrip()
        if not copies:
            assert block == "  no copies"
            continue
        (row,) = copies
        changed = [
            f"{name}: {'missing' if original[name] is None else original[name]} ->"
            f" {'missing' if row[name] is None else row[name]}"
            for name in CELLS.inputs
            if original[name] != row[name]
        ]
        assert block == f"  copy {row['copy']:<4} munge  {', '.join(changed)}"


def test_a_missing_cell_is_called_missing_and_one_that_stayed_is_left_out():
    cells = [(0, None, "3"), (1, "a", None), (2, "b", "b"), (3, None, None)]
    edits = [{"rule": "munge", "input": place, "old": old, "new": new} for place, old, new in cells]
    shown = _examples.changed_cells(edits, ["height", "kind", "like", "age"], {})
    assert shown == ["munge  height: missing -> 3, kind: a -> missing"]


# Marks.

WITHOUT_BRACES = [text for text in AWKWARD if "{" not in text and len(text) < 1000]


def texts_and_edits(folder, steps):
    texts = [*WITHOUT_BRACES, *some_texts(30)]
    transfer = set_of(folder, {"text": texts}, Task("text", ("text",)), steps)
    rows = pa.concat_tables(transfer.tables()).to_pylist()
    return [(texts[row["source"]], row["edits"], row["text"]) for row in rows]


def on_a_line(text):
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def test_marks_hide_nothing_of_what_was_done(tmp_path):
    seen = set()
    for original, edits, text in texts_and_edits(tmp_path, [*STEPS, InSequence((Ngram(),))]):
        marked = marked_text(original, edits, "[MASK]", {})
        # What stands at either end of an n-gram is cut with it.
        assert read(marked).strip() == on_a_line(text)
        assert re.findall(r"\{([^{}|]*)\|([^{}|]*):(\w+)\}", marked) == [
            (edit["old"], edit["new"], edit["rule"])
            for edit in edits
            if edit["new"] is not None and edit["old"] != edit["new"]
        ]
        seen |= {edit["rule"] for edit in edits}
    assert seen == {"mask", "pos", "ngram"}


def test_coloured_marks_are_the_new_text_and_what_was_left_out_is_dimmed(tmp_path):
    colours = {"mask": "green", "pos": "cyan", "ngram": "yellow"}
    for original, edits, text in texts_and_edits(tmp_path, STEPS):
        marked = marked_text(original, edits, "[MASK]", colours)
        kept = re.sub(r"\x1b\[2m.*?\x1b\[0m", "", marked)
        assert click.unstyle(kept).strip() == on_a_line(text)
        for edit in edits:
            if edit["new"] is not None and edit["old"] != edit["new"]:
                assert click.style(edit["new"], fg=colours[edit["rule"]], bold=True) in marked
        if all(edit["new"] is None for edit in edits):
            assert click.unstyle(marked) == on_a_line(original)


def test_long_runs_of_unedited_words_are_shortened():
    words = [f"w{n}" for n in range(200)]
    edits = [{"rule": "mask", "position": 100, "words": 1, "old": "w100", "new": "[MASK]"}]
    marked = marked_text(" ".join(words), edits, "[MASK]", {})
    head, tail = " ".join(words[:15]), " ".join(words[-15:])
    assert marked == (
        f"{head} [70 words] {' '.join(words[85:100])} {{w100|[MASK]:mask}} {' '.join(words[101:116])} [69 words] {tail}"
    )
    assert marked_text(" ".join(words[:60]), [], None, {}) == " ".join(words[:60])


def test_a_text_cannot_command_the_terminal():
    assert marked_text("a \x1b[31mfilm\n\tand\x9b more", [], None, {}) == "a  [31mfilm and  more"
    lines = _examples.changed_cells([{"rule": "r", "input": 0, "old": "\x1b[2J", "new": "b\nc"}], ["kind"], {})
    assert lines == ["r  kind:  [2J -> b c"]


def on_a_terminal(*arguments):
    """What a process writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stillhouse", *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        output = b""
        # A terminal whose other end was closed gives an error and not an end of file.
        with open(ours, "rb", buffering=0) as file:
            try:
                while more := file.read(65_536):
                    output += more
            except OSError:
                pass
        assert process.wait() == 0
    return output.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_and_a_pipe_brackets(films):
    coloured, plain = on_a_terminal("show", films.store.path), shown_set(films)
    assert "\x1b[" not in plain
    assert ":mask}" in plain
    assert ":mask}" not in coloured
    for rule in ("mask", "pos"):
        colour = re.search(rf"\x1b\[(\d+)m{rule} *\x1b", coloured).group(1)
        assert f"\x1b[{colour}m\x1b[1m" in coloured
    uncoloured = click.unstyle(coloured)
    assert uncoloured[: uncoloured.index("\nrow ")] == plain[: plain.index("\nrow ")]


# What is no transfer set.


ABOUT = {"teacher": "c0ffee", "max_length": 128, "dtype": "bfloat16", "inputs": "text", "target": "classification"}
HALVES = {"classes": ["neg", "pos"], "signals": {"logits": 2, "embedding": 3}, "storage": "float16"}


def cache_of(path, rows=(0, 1, 2), made_with=None):
    cache = LogitCache.create(path, {**ABOUT, **HALVES}, {} if made_with is None else made_with)
    keys = np.array([[row, row] for row in rows], np.uint64)
    values = np.array(rows, np.float32)[:, None] / 3
    for some in (slice(0, 1), slice(1, None)):
        signals = {"logits": np.repeat(values[some], 2, 1), "embedding": np.repeat(values[some], 3, 1)}
        cache.append(keys[some], signals, cut=1)
    return cache


def test_a_cache_is_shown_with_what_there_is_to_know(tmp_path):
    fidelity = {"rows": 1000, "agreement": 0.998, "largest": 1.25e-7}
    made_with = {
        "fidelity": fidelity,
        "precision": ["bfloat16: 3.1 times", "chosen: bfloat16"],
        "versions": ["a", None],
    }
    cache = cache_of(tmp_path / "L", made_with={"teacher": "./my-bert", **made_with})
    size = sum(part.bytes for part in cache.store.parts())
    error = np.abs(np.float32(1 / 3) - np.float32(np.float16(1 / 3)))
    # Of three rows one is exact, and the others have errors of this size and twice it.
    rounding = f"{error:.2g} on average, {2 * error:.2g} at most"
    assert (
        show(cache.path)
        == f"""\
{cache.path}: logit cache, 3 rows in 2 parts, {size / 1000:.1f} kB
  teacher                ./my-bert
  task                   text, classification
  classes                neg, pos
  signals                logits (2), embedding (3)
  stored as              float16
  cut                    2 texts were longer than the teacher reads
  rounding of logits     {rounding}
  rounding of embedding  {rounding}

  what the answers depend on
    teacher     c0ffee
    max_length  128
    dtype       bfloat16

  made with
    versions  a, none

  precisions tried
    bfloat16: 3.1 times
    chosen: bfloat16
"""
    )


def test_a_cache_as_json_has_the_same_and_exact_numbers(tmp_path):
    cache = cache_of(tmp_path / "L", made_with={"teacher": "./my-bert"})
    found = json.loads(show(cache.path, "--json"))
    assert {name: found[name] for name in ("kind", "rows", "parts", "cut", "classes", "signals", "storage")} == {
        **{"kind": "logit cache", "rows": 3, "parts": 2, "cut": 2},
        **{name: HALVES[name] for name in ("classes", "signals", "storage")},
    }
    assert (found["about"], found["made_with"]) == (cache.about, {"teacher": "./my-bert"})
    whole = np.array([0, 1, 2], np.float32) / 3
    errors = np.abs(whole - whole.astype(np.float16).astype(np.float32)).astype(float)
    for signal in ("logits", "embedding"):
        assert found["rounding"][signal] == pytest.approx({"max": errors.max(), "mean": errors.mean()})


def test_an_empty_cache_of_scores_is_shown(tmp_path):
    about = {"classes": [], "signals": {"logits": 1}, "storage": "float32"}
    LogitCache.create(tmp_path / "L", about, {})
    assert (
        show(tmp_path / "L")
        == f"""\
{tmp_path / "L"}: logit cache, 0 rows in 0 parts, 0 bytes
  classes    none, a score
  signals    logits (1)
  stored as  float32
  cut        0 texts were longer than the teacher reads
"""
    )


def test_an_ensemble_is_shown_with_its_members(tmp_path):
    cache_of(tmp_path / "E" / "member-a", range(3))
    cache_of(tmp_path / "E" / "member-big", range(1, 1300))
    both = [Member("member-a", 3, "./a"), Member("member-big", 1, "./big")]
    Ensemble.write(tmp_path / "E", both, "probabilities", ("neg", "pos"))
    assert (
        show(tmp_path / "E")
        == f"""\
{tmp_path / "E"}: ensemble of 2 teachers, 2 rows that all members have
  mean of  probabilities
  task     classification
  classes  neg, pos

  member      weight   rows  teacher
  member-a    75.0 %      3  ./a
  member-big  25.0 %  1,299  ./big
"""
    )
    found = json.loads(show(tmp_path / "E", "--json"))
    assert (found["kind"], found["rows"], found["mean"]) == ("ensemble", 2, "probabilities")
    assert [(each["folder"], each["weight"], each["rows"]) for each in found["members"]] == [
        ("member-a", 0.75, 3),
        ("member-big", 0.25, 1299),
    ]
    assert found["members"][0]["about"] == {**ABOUT, **HALVES}


def test_a_member_that_is_missing_is_shown_as_missing(tmp_path):
    cache_of(tmp_path / "E" / "member-a")
    both = [Member("member-a", 1, "./a"), Member("member-b", 1, "./b")]
    Ensemble.write(tmp_path / "E", both, "logits", ("neg", "pos"))
    text = show(tmp_path / "E")
    assert text.startswith(f"{tmp_path / 'E'}: ensemble of 2 teachers, some of them missing\n")
    assert "  member-b  50.0 %  missing  ./b\n" in text
    assert [each["rows"] for each in json.loads(show(tmp_path / "E", "--json"))["members"]] == [3, None]


def test_a_text_in_a_description_cannot_command_the_terminal(tmp_path):
    cache = cache_of(tmp_path / "L", made_with={"teacher": "a\x1b[2Jb", "note\x07": "c\nd"})
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", show(cache.path))


def test_a_student_is_shown_with_its_size_and_what_it_was_made_from(tmp_path):
    make_student().save(tmp_path / "S", {})
    lines = show(tmp_path / "S").splitlines()
    assert re.fullmatch(rf"{tmp_path / 'S'}: bilstm, [\d,]+ parameters, [\d,]+ without the word vectors", lines[0])
    assert "  seed: 0" in lines


def test_a_student_as_json_has_the_same(tmp_path):
    make_student().save(tmp_path / "S", {})
    found = json.loads(show(tmp_path / "S", "--json"))
    assert (found["kind"], found["architecture"], found["seed"]) == ("student", "bilstm", 0)
    assert found["parameters"] > found["parameters_without_vectors"] > 0


def test_what_models_had_to_offer_is_shown_with_its_description(tmp_path):
    Store.create(tmp_path / "C", "candidate store", {"model": "m"}, {})
    assert show(tmp_path / "C") == f'{tmp_path / "C"}: candidate store, 0 rows in 0 parts\n  model: "m"\n'
    found = json.loads(show(tmp_path / "C", "--json"))
    assert found == {"kind": "candidate store", "rows": 0, "parts": 0, "about": {"model": "m"}}
