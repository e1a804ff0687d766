"""The joined table: the rows of the transfer set, each with what the teacher said of it, in tools that know no keys."""

import resource
import signal
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import WORDS, one_line_error, stillhouse
from test_store import in_process, tell

from augment import Mask, Munge, augment_file
from augment import _ingest as ingest_module
from stillhouse.cli import stillhouse as group
from transferset import (
    Ensemble,
    LogitCache,
    Member,
    Source,
    StillhouseError,
    Task,
    TransferSet,
    join,
    keys_from_arrow,
)

join_module = sys.modules["transferset.join"]
CLASSES = ("neg", "pos")
TASK = Task("text", ("text",), "label")


def transfer_set(folder, task=TASK, table=None, step=None):
    """Texts with and without labels, in several parts."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 6)) for _ in range(60)]
    labels = [None if n % 5 == 0 else CLASSES[n % 2] for n in range(60)]
    pq.write_table(pa.table(table or {"text": texts, "label": labels}), folder / "rows.parquet")
    augment_file(Source(folder / "rows.parquet"), task, folder / "T", [step or Mask(rate=0.3)], copies=3)
    return TransferSet.open(folder / "T")


@pytest.fixture(scope="module")
def transfer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest_module, "PART_ROWS", 50)
        found = transfer_set(tmp_path_factory.mktemp("set"))
    assert len(found.store.parts()) > 2
    return found


def said_of(keys, width, start=0):
    """(B, width) numbers that tell which key they are of."""
    return (keys[:, :1] % np.uint64(9973) / 100 + np.arange(width) + start).astype(np.float32)


def cache_of(path, transfer, widths=None, classes=CLASSES, storage="float32", rows=None):
    """What a teacher said of the distinct rows, in another order than theirs and in several parts."""
    widths = widths or {"logits": len(classes) or 1}
    about = {"teacher": "hand", "classes": list(classes), "signals": widths, "storage": storage}
    cache = LogitCache.create(path, about, {})
    keys = np.unique(np.concatenate([keys_from_arrow(each["key"]) for each in transfer.tables(["key"])]), axis=0)
    for part in np.array_split(np.random.default_rng(1).permutation(len(keys))[:rows], 4):
        some = keys[part]
        cache.append(some, {name: said_of(some, width, n) for n, (name, width) in enumerate(widths.items())})
    return cache


@pytest.fixture
def cache(tmp_path, transfer):
    return cache_of(tmp_path / "L", transfer, {"logits": 2, "embedding": 4}, ("pos", "neg"))


def test_every_row_stands_beside_what_was_said_of_it(tmp_path, transfer, cache):
    found = join(transfer, cache, tmp_path / "J.parquet")
    rows = pa.concat_tables(transfer.tables())
    table = pq.read_table(tmp_path / "J.parquet")
    names = ("text", "label", "source", "copy", "logit_neg", "logit_pos", "embedding")
    assert found == type(found)(len(rows), names, (tmp_path / "J.parquet").stat().st_size)
    assert tuple(table.schema.names) == names
    assert table.schema.types[4:] == [pa.float32(), pa.float32(), pa.list_(pa.float32(), 4)]
    for name in names[:4]:
        assert table[name].combine_chunks() == rows[name].combine_chunks()
    keys = keys_from_arrow(rows["key"])
    # The cache has its classes the other way round.
    assert np.array_equal(np.stack([table["logit_pos"], table["logit_neg"]], 1), said_of(keys, 2))
    assert np.array_equal(np.stack(table["embedding"].to_numpy()), said_of(keys, 4, 1))
    assert table["label"].null_count > 0


@pytest.mark.parametrize(("setting", "value"), [("GROUP_ROWS", 7), ("GROUP_BYTES", 6 * 4 * 7), ("GROUP_BYTES", 1)])
def test_rows_in_memory_at_once_are_bounded_and_make_no_difference(
    tmp_path, transfer, cache, monkeypatch, setting, value
):
    join(transfer, cache, tmp_path / "whole.parquet")
    monkeypatch.setattr(join_module, setting, value)
    join(transfer, cache, tmp_path / "J.parquet")
    assert pq.read_table(tmp_path / "J.parquet") == pq.read_table(tmp_path / "whole.parquet")
    groups = pq.ParquetFile(tmp_path / "J.parquet").metadata
    most = max(groups.row_group(n).num_rows for n in range(groups.num_row_groups))
    assert most == (7 if value > 1 else 1)


def test_pandas_polars_and_datasets_read_it(tmp_path, transfer, cache):
    # Imported here: the processes that other tests start need none of them.
    import datasets
    import pandas as pd
    import polars as pl

    path = tmp_path / "J.parquet"
    join(transfer, cache, path)
    table = pq.read_table(path)
    wanted = table.to_pydict()
    frame = pd.read_parquet(path)
    assert frame["text"].tolist() == wanted["text"]
    assert frame["logit_pos"].dtype == np.float32
    assert np.array_equal(np.stack(frame["embedding"]), np.array(wanted["embedding"], np.float32))
    assert pl.read_parquet(path).to_dict(as_series=False) == wanted
    loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "hf"))
    assert loaded.to_dict() == wanted


def test_duckdb_reads_it(tmp_path, transfer, cache):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    path = tmp_path / "J.parquet"
    join(transfer, cache, path)
    table = pq.read_table(path)
    assert duckdb.sql(f"select count(*), avg(logit_pos) from '{path}'").fetchall()[0] == (
        table.num_rows,
        pytest.approx(np.mean(table["logit_pos"].to_numpy()), rel=1e-6),
    )


def test_half_precision_is_joined_as_single(tmp_path, transfer):
    cache = cache_of(tmp_path / "L", transfer, {"logits": 2, "embedding": 4}, storage="float16")
    join(transfer, cache, tmp_path / "J.parquet")
    table = pq.read_table(tmp_path / "J.parquet")
    keys = keys_from_arrow(pa.concat_tables(transfer.tables(["key"]))["key"])
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 4)
    rounded = said_of(keys, 4, 1).astype(np.float16).astype(np.float32)
    assert np.array_equal(np.stack(table["embedding"].to_numpy()), rounded)


def test_wanted_signals_are_joined_alone_and_once(tmp_path, transfer, cache):
    assert join(transfer, cache, tmp_path / "a", ["embedding"]).columns[4:] == ("embedding",)
    assert join(transfer, cache, tmp_path / "b", ["logits", "logits"]).columns[4:] == ("logit_neg", "logit_pos")
    with pytest.raises(StillhouseError, match="must hold hidden, got logits, embedding: run"):
        join(transfer, cache, tmp_path / "c", ["hidden"])
    assert not (tmp_path / "c").exists()


def test_several_labels_scores_and_features(tmp_path):
    cells = {"height": [*range(20)], "kind": ["a", "b"] * 10, "tags": [["x"], [], None, ["x", "y"]] * 5}
    many = transfer_set(tmp_path / "many", Task("features", ("height", "kind"), "tags", "multilabel"), cells, Munge())
    path = tmp_path / "J.parquet"
    join(many, cache_of(tmp_path / "L", many, classes=("y", "x")), path)
    table = pq.read_table(path)
    assert table.schema.names == ["height", "kind", "tags", "source", "copy", "logit_x", "logit_y"]
    assert table["tags"].to_pylist() == pa.concat_tables(many.tables(["tags"]))["tags"].to_pylist()
    scored = {"height": [*range(20)], "kind": ["a", "b"] * 10, "price": [n / 2 for n in range(20)]}
    task = Task("features", ("height", "kind"), "price", "regression")
    one = transfer_set(tmp_path / "one", task, scored, Munge())
    join(one, cache_of(tmp_path / "S", one, classes=()), path, force=True)
    assert pq.read_schema(path).names == ["height", "kind", "price", "source", "copy", "teacher_score"]


def test_an_unlabelled_set_takes_the_classes_of_the_cache(tmp_path):
    bare = transfer_set(tmp_path / "bare", Task("text", ("text",)))
    join(bare, cache_of(tmp_path / "L", bare, classes=("b", "a")), tmp_path / "J.parquet")
    assert pq.read_schema(tmp_path / "J.parquet").names == ["text", "source", "copy", "logit_b", "logit_a"]


def test_an_ensemble_is_joined_as_its_mean(tmp_path, transfer):
    for n, classes in enumerate((CLASSES, CLASSES[::-1])):
        cache_of(tmp_path / "E" / f"member-{n}", transfer, classes=classes)
    ensemble = Ensemble.write(tmp_path / "E", [Member("member-0", 3), Member("member-1", 1)], classes=CLASSES)
    join(transfer, ensemble, tmp_path / "J.parquet")
    table = pq.read_table(tmp_path / "J.parquet")
    keys = keys_from_arrow(pa.concat_tables(transfer.tables(["key"]))["key"])
    wanted = ensemble.logits(keys, transfer.task)
    assert np.array_equal(np.stack([table["logit_neg"], table["logit_pos"]], 1), wanted)
    np.testing.assert_allclose(wanted[:, 0] - said_of(keys, 2)[:, 0], 0.25, atol=1e-3)


# What is refused leaves nothing, and what was there.


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_missing_rows_are_counted_over_the_whole_set_and_leave_no_file(tmp_path, transfer, monkeypatch):
    monkeypatch.setattr(join_module, "GROUP_ROWS", 10)
    cache = cache_of(tmp_path / "L", transfer, rows=20)
    keys = keys_from_arrow(pa.concat_tables(transfer.tables(["key"]))["key"])
    missing = int((~cache.has(keys)).sum())
    message = f"{missing} of {len(keys)} are missing: run `stillhouse label` with --out {tmp_path / 'L'}"
    (tmp_path / "out").mkdir()
    with pytest.raises(StillhouseError, match=message):
        join(transfer, cache, tmp_path / "out" / "J.parquet")
    assert files_in(tmp_path / "out") == []


def test_a_file_that_is_there_stays_without_force(tmp_path, transfer, cache):
    path = tmp_path / "J.parquet"
    path.write_text("mine")
    with pytest.raises(StillhouseError, match="must be a new file, got a file: use another --out or --force"):
        join(transfer, cache, path)
    with pytest.raises(StillhouseError, match="got a directory: name a file"):
        join(transfer, cache, tmp_path, force=True)
    assert path.read_text() == "mine"
    join(transfer, cache, path, force=True)
    assert pq.read_table(path).num_rows == transfer.store.rows()


def test_a_forced_join_that_fails_leaves_the_old_file(tmp_path, transfer, cache):
    path = tmp_path / "out" / "J.parquet"
    join(transfer, cache, path)
    before = path.read_bytes()
    with pytest.raises(StillhouseError, match="are missing"):
        join(transfer, cache_of(tmp_path / "few", transfer, rows=3), path, force=True)
    assert path.read_bytes() == before
    assert files_in(tmp_path / "out") == ["J.parquet"]


@pytest.mark.parametrize("name", ["logit_pos", "embedding"])
def test_a_column_of_the_teachers_that_the_inputs_have_already_is_refused(tmp_path, name):
    table = {"height": [*range(20)], name: ["a", "b"] * 10, "label": ["neg", "pos"] * 10}
    taken = transfer_set(tmp_path / "set", Task("features", ("height", name), "label"), table, Munge())
    cache = cache_of(tmp_path / "L", taken, {"logits": 2, "embedding": 4})
    with pytest.raises(StillhouseError, match=f"each column must have a name of its own, got '{name}'"):
        join(taken, cache, tmp_path / "J.parquet")
    assert not (tmp_path / "J.parquet").exists()


def test_a_cache_of_other_classes_is_refused(tmp_path, transfer):
    with pytest.raises(StillhouseError, match=r"classes must be those of the task \(neg, pos\), got bad, good"):
        join(transfer, cache_of(tmp_path / "L", transfer, classes=("bad", "good")), tmp_path / "J.parquet")


def fill_the_disk(transfer, cache, out, signals):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
    try:
        join(TransferSet.open(transfer), LogitCache.open(cache), out, [signals])
    except StillhouseError as error:
        tell(error)


@pytest.mark.parametrize(("signals", "file"), [("logits", "out/J.parquet"), ("embedding", "out")])
def test_a_disk_that_fills_up_is_one_error_and_leaves_no_file(tmp_path, transfer, signals, file):
    (tmp_path / "out").mkdir()
    # The logits fit on the disk beside the table, which does not; the embeddings do not even fit beside it.
    cache = cache_of(tmp_path / "L", transfer, {"logits": 2, "embedding": 40})
    arguments = (transfer.store.path, cache.path, tmp_path / "out" / "J.parquet", signals)
    with in_process(fill_the_disk, *arguments, module="test_join") as process:
        out, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert f"{tmp_path / file}: must be writable, got File too large" in out
    assert files_in(tmp_path / "out") == []


# The command.


def test_the_command_says_what_it_wrote_in_one_line(tmp_path, transfer, cache):
    path = tmp_path / "J.parquet"
    done = CliRunner().invoke(group, ["join", str(transfer.store.path), str(cache.path), "--out", str(path)])
    assert done.exit_code == 0, done.output
    size = path.stat().st_size
    assert done.stdout == f"{path}: {transfer.store.rows():,} rows, 7 columns, {size / 1000:.1f} kB\n"
    assert "joining" in done.stderr
    options = ["--out", str(path), "--force", "--signals", "logits"]
    done = CliRunner().invoke(group, ["join", str(transfer.store.path), str(cache.path), *options])
    assert " 6 columns" in done.stdout


def test_what_is_wrong_is_one_line(tmp_path, transfer, cache):
    out = ("--out", tmp_path / "J.parquet")
    for arguments, says in (
        ((cache.path, transfer.store.path), "must be a transfer set, got a logit cache"),
        ((transfer.store.path, transfer.store.path), "must be a logit cache, got a transfer set"),
        ((transfer.store.path, cache.path, "--signals", "logits,hiden"), "signals: must be one of logits, embedding"),
    ):
        assert says in one_line_error(stillhouse("join", *arguments, *out))
    assert not (tmp_path / "J.parquet").exists()
