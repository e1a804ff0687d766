"""Reading: what a proper writer wrote comes back as it was, and what is broken is named."""

from __future__ import annotations

import csv
import io
import json
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset import Source, StillhouseError

few = settings(deadline=None, max_examples=60)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MARKS = st.text(st.sampled_from("\"',;|\t\n\r \\aé\N{PILE OF POO}\x85\u2028\x00"), max_size=8)
CELLS = ANY_TEXT | MARKS
#: A tab-separated file without quoting has no way to hold tabs and newlines; a CR at the end of a line is part of CRLF.
PLAIN_CELLS = CELLS.map(lambda text: text.replace("\t", " ").replace("\n", " ").rstrip("\r"))
BATCH_ROWS = st.integers(1, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, columns=None, rows=8192, **options):
    """All rows as tuples; every batch must hold at most ``rows`` of them, and at least one."""
    source = Source(path, **options)
    columns = source.columns() if columns is None else columns
    found = []
    for batch in source.batches(columns, rows):
        assert batch.schema.names == list(columns)
        assert 0 < batch.num_rows <= rows
        found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    return found


def refused(path, columns=("a",), rows=8192, **options):
    """The complaint about a file: it must come as our error and name the file first."""
    with pytest.raises(StillhouseError) as caught:
        read(path, list(columns), rows, **options)
    assert str(caught.value).startswith((f"{path}: ", f"{path}/"))
    return str(caught.value)


def records(width, cells=CELLS):
    return st.lists(st.tuples(*[cells] * width), max_size=9)


# What was written comes back.


@few
@given(rows=records(3), size=BATCH_ROWS, style=st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL)]))
def test_csv_gives_back_what_a_csv_writer_wrote(folder, rows, size, style):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=style[0], quoting=style[1])
    writer.writerows([("a", "b", "c"), *rows])
    path = write(folder, "any.csv", out.getvalue())
    assert read(path, rows=size) == rows
    assert read(path, ["c", "a"], size) == [(c, a) for a, _, c in rows]


@few
@given(rows=records(2), size=BATCH_ROWS)
def test_a_quoted_tsv_gives_back_what_a_writer_wrote(folder, rows, size):
    out = io.StringIO()
    csv.writer(out, delimiter="\t").writerows([("a", "b"), *rows])
    assert read(write(folder, "quoted.tsv", out.getvalue()), rows=size, quote=True) == rows


@few
@given(rows=records(2, PLAIN_CELLS), size=BATCH_ROWS, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_tsv_keeps_every_character_between_its_tabs(folder, rows, size, end, last):
    text = end.join("\t".join(row) for row in [("a", "b"), *rows]) + (end if last else "")
    assert read(write(folder, "any.tsv", text), rows=size) == rows


@few
@given(rows=st.lists(PLAIN_CELLS, max_size=9), size=BATCH_ROWS, end=st.sampled_from(["\n", "\r\n"]))
def test_txt_is_one_text_a_line(folder, rows, size, end):
    path = write(folder, "any.txt", b"\xef\xbb\xbf" + "".join(row + end for row in rows).encode())
    assert read(path, ["text"], size) == [(row,) for row in rows]


@few
@given(
    rows=st.lists(st.tuples(st.none() | CELLS, st.integers(-(2**63), 2**63 - 1), st.lists(CELLS, max_size=2))),
    size=BATCH_ROWS,
    ascii_only=st.booleans(),
)
def test_jsonl_gives_back_what_json_wrote(folder, rows, size, ascii_only):
    # The first object says which columns there are.
    rows = [("", 0, []), *rows]
    lines = [json.dumps(dict(zip("abc", row, strict=True)), ensure_ascii=ascii_only) + "\n" for row in rows]
    assert read(write(folder, "any.jsonl", "".join(lines)), rows=size) == rows


@few
@given(rows=records(2), size=BATCH_ROWS, group=st.integers(1, 5))
def test_parquet_comes_as_it_is(folder, rows, size, group):
    table = pa.table({"a": pa.array([a for a, _ in rows], pa.string()), "b": [len(b) for _, b in rows]})
    pq.write_table(table, folder / "any.parquet", row_group_size=group)
    assert read(folder / "any.parquet", rows=size) == [(a, len(b)) for a, b in rows]
    assert read(folder / "any.parquet", ["b"], size) == [(len(b),) for _, b in rows]


@few
@given(rows=records(3, PLAIN_CELLS).filter(bool), size=BATCH_ROWS)
def test_without_a_header_columns_are_numbered_and_the_first_row_is_data(folder, rows, size):
    text = "".join("\t".join(row) + "\n" for row in rows)
    path = write(folder, "bare.tsv", b"\xef\xbb\xbf" + text.encode())
    assert Source(path, header=False).columns() == ["1", "2", "3"]
    assert read(path, ["3", "1"], size, header=False) == [(c, a) for a, _, c in rows]


def test_a_directory_of_parquet_is_read_in_the_order_of_its_names(tmp_path):
    for name, numbers in (("b", [3, 4]), ("a", [1, 2]), ("c", [])):
        pq.write_table(pa.table({"n": pa.array(numbers, pa.int64())}), tmp_path / f"{name}.parquet")
    (tmp_path / "notes.txt").write_text("not a part")
    assert read(tmp_path) == [(1,), (2,), (3,), (4,)]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "UTF8", "utf-8-sig"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".jsonl"])
def test_other_encodings_are_read(tmp_path, encoding, suffix):
    text = {".txt": "été\nnaïf\n", ".jsonl": '{"text": "été"}\n{"text": "naïf"}\n'}.get(suffix, "text\nété\nnaïf\n")
    path = write(tmp_path, f"films{suffix}", text.encode(encoding))
    assert read(path, ["text"], encoding=encoding) == [("été",), ("naïf",)]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_byte_order_mark_and_crlf_are_read_through(tmp_path, suffix):
    separator = {".csv": ",", ".tsv": "\t"}[suffix]
    text = f"\ufeffa{separator}b\r\n1{separator}2\r\n"
    assert read(write(tmp_path, f"x{suffix}", text), ["a", "b"]) == [("1", "2")]


def test_a_quoted_first_name_after_a_byte_order_mark_is_unquoted(tmp_path):
    assert Source(write(tmp_path, "x.csv", '\ufeff"a","b"\r\n')).columns() == ["a", "b"]


def test_tsv_keeps_quote_marks_and_csv_takes_them_off_unless_told_otherwise(tmp_path):
    tsv = write(tmp_path, "x.tsv", 'a\tb\n"one"\ttwo "2"\n')
    comma = write(tmp_path, "x.csv", 'a,b\n"one","two ""2"""\n')
    assert read(tsv) == [('"one"', 'two "2"')]
    assert read(tsv, quote=True) == [("one", 'two "2"')]
    assert read(comma) == [("one", 'two "2"')]
    assert read(comma, quote=False) == [('"one"', '"two ""2"""')]


def test_a_lone_quote_mark_in_a_tsv_does_not_swallow_lines(tmp_path):
    path = write(tmp_path, "x.tsv", 'a\tb\n"open\t1\nnext\t2\n')
    assert read(path) == [('"open', "1"), ("next", "2")]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_columns_past_those_of_the_header_are_left_out(tmp_path, suffix):
    text = "a\tb\n1\t2\n3\t4\tmore\tand more\n5\t6\n".replace("\t", "," if suffix == ".csv" else "\t")
    assert read(write(tmp_path, f"x{suffix}", text)) == [("1", "2"), ("3", "4"), ("5", "6")]


def test_blank_lines_of_a_csv_are_no_rows(tmp_path):
    assert read(write(tmp_path, "x.csv", "a,b\n\n1,2\n\n3,4\n\n")) == [("1", "2"), ("3", "4")]


def test_only_a_header_is_no_rows_and_no_error(tmp_path):
    for name in ("x.csv", "x.tsv"):
        assert read(write(tmp_path, name, "a\n"), ["a"]) == []
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", ["a"]) == []


def test_an_object_without_a_key_has_null_there(tmp_path):
    path = write(tmp_path, "x.jsonl", '{"a": "x", "b": 1}\n{"b": 2}\n{"a": null, "c": 3}\n')
    assert read(path) == [("x", 1), (None, 2), (None, None)]


def test_a_name_with_a_dot_is_a_column_like_any_other(tmp_path):
    pq.write_table(pa.table({"a": ["x"], "a.b": ["y"]}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", ["a.b"]) == [("y",)]
    assert read(tmp_path / "x.parquet", ["a"]) == [("x",)]


def test_the_ending_may_be_in_capitals(tmp_path):
    assert read(write(tmp_path, "X.CSV", "a\n1\n")) == [("1",)]


# What is broken is named.


@pytest.mark.parametrize("rows", [1, 2, 8192])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".txt"])
def test_bytes_that_are_not_utf_8_are_named_by_row_and_column(tmp_path, suffix, rows):
    lines = [b"good", b"fine", b"caf\xe9", b"dull"]
    if suffix == ".jsonl":
        lines = [b'{"text": "%s"}' % line for line in lines]
    elif suffix != ".txt":
        lines = [b"text", *lines]
    message = refused(write(tmp_path, f"x{suffix}", b"\n".join(lines)), ["text"], rows)
    assert "row 3, column 'text' must be valid text" in message
    assert "character 4" in message


def test_bad_bytes_in_a_column_that_is_not_asked_for_do_no_harm(tmp_path):
    path = write(tmp_path, "x.tsv", b"a\tb\n1\tcaf\xe9\n")
    assert read(path, ["a"]) == [("1",)]


@pytest.mark.parametrize(
    "content",
    [
        "a\nfine\nfine\n".encode("utf-16")[:-1],  # cut in the middle of a character
        b"\xff\xfe" + "a\nfine".encode("utf-16-le") + b"\x00\xd8x\x00",  # half of a surrogate pair
        b"a\nplain ascii\n",  # no byte-order mark, so not UTF-16 at all
    ],
)
def test_bytes_that_are_not_utf_16_are_an_error_that_names_the_file(tmp_path, content):
    refused(write(tmp_path, "x.csv", content), encoding="utf-16")


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "base64", "undefined", "idna", "a\0b", ""])
def test_an_encoding_that_is_none_is_refused(tmp_path, encoding):
    path = write(tmp_path, "x.csv", "a\n1\n")
    with pytest.raises(StillhouseError, match="encoding"):
        read(path, ["a"], encoding=encoding)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_an_empty_file_is_an_error(tmp_path, suffix, content):
    assert "empty file" in refused(write(tmp_path, f"x{suffix}", content))


@pytest.mark.parametrize("rows", [1, 8192])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_short_row_is_an_error_that_names_it(tmp_path, suffix, rows):
    text = "a\tb\n1\t2\n3\t4\n5\n7\t8\n".replace("\t", "," if suffix == ".csv" else "\t")
    assert "row 3 must have 2 columns, got 1" in refused(write(tmp_path, f"x{suffix}", text), ["a"], rows)


@pytest.mark.parametrize("text", ['a,b\n"open,2\n3,4\n', 'a,b\n"x"y,2\n'])
def test_a_malformed_csv_is_an_error_that_names_a_line(tmp_path, text):
    assert "must be well-formed csv" in refused(write(tmp_path, "x.csv", text))


def test_an_endless_quoted_field_is_an_error(tmp_path, monkeypatch):
    limit = csv.field_size_limit()
    monkeypatch.setattr("transferset.sources.MAX_FIELD_CHARS", 100)
    try:
        assert "field limit" in refused(write(tmp_path, "x.csv", 'a,b\n"open,2\n' + "3,4\n" * 100))
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize("bad", ["{", "not json", '{"a": 1} {"a": 2}', "[1, 2]", "3", "null", "[" * 100_000])
@pytest.mark.parametrize("rows", [1, 8192])
def test_a_line_that_is_no_json_object_is_named(tmp_path, bad, rows):
    message = refused(write(tmp_path, "x.jsonl", f'{{"a": 1}}\n{bad}\n'), rows=rows)
    assert "row 2 must be" in message
    assert "JSON object" in message


@pytest.mark.parametrize("digits", [20, 30, 5_000])
def test_a_number_too_large_is_named_by_its_row(tmp_path, digits):
    assert "row 2" in refused(write(tmp_path, "x.jsonl", f'{{"a": 1}}\n{{"a": {"9" * digits}}}\n'))


@pytest.mark.parametrize("value", [r'"\ud800"', r'["\udc00 "]'])
def test_half_a_surrogate_pair_in_an_escape_is_named_by_row_and_column(tmp_path, value):
    good = "[]" if value.startswith("[") else '""'
    message = refused(write(tmp_path, "x.jsonl", f'{{"a": {good}}}\n{{"a": {value}}}\n'))
    assert "row 2, column 'a'" in message


def test_a_whole_surrogate_pair_in_escapes_is_a_character(tmp_path):
    assert read(write(tmp_path, "x.jsonl", r'{"a": "\ud83d\ude00"}')) == [("\N{GRINNING FACE}",)]


@pytest.mark.parametrize(("first", "other"), [('"x"', "1"), ("1", '"x"'), ("true", "1"), ("[1]", '{"b": 1}')])
def test_values_of_different_types_are_named_by_row_and_column(tmp_path, first, other):
    text = "".join(f'{{"a": {value}}}\n' for value in (first, "null", first, other))
    message = refused(write(tmp_path, "x.jsonl", text))
    assert "column 'a'" in message
    assert "row 4" in message


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_a_column_name_that_stands_twice_is_an_error(tmp_path, suffix, separator):
    path = write(tmp_path, f"x{suffix}", separator.join("aba") + "\n")
    assert "column names must differ, got 'a' twice" in refused(path)


def test_a_parquet_column_name_that_stands_twice_is_an_error(tmp_path):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "x.parquet")
    assert "'a'" in refused(tmp_path / "x.parquet")


def test_a_parquet_column_name_that_stands_twice_in_a_later_file_is_an_error(tmp_path):
    for name, names in (("a", ["a", "b"]), ("b", ["a", "a"])):
        pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=names), tmp_path / f"{name}.parquet")
    assert "b.parquet: column names must differ, got 'a' twice" in refused(tmp_path, ["a"])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_missing_column_is_an_error_that_suggests_the_nearest(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"sentence": ["x"], "label": [1]}), path)
    else:
        path.write_text({".csv": "sentence,label\nx,1\n", ".jsonl": '{"sentence": "x", "label": 1}\n'}[suffix])
    message = refused(path, ["sentnce"])
    assert "must be one of sentence, label, got 'sentnce': did you mean 'sentence'?" in message


def test_a_column_name_that_is_not_text_is_an_error_where_it_is_asked_for(tmp_path):
    path = write(tmp_path, "x.csv", b"caf\xe9,label\n1,2\n")
    assert read(path, ["label"]) == [("2",)]
    refused(path, Source(path).columns()[:1])


def test_an_unknown_ending_and_a_missing_file_are_errors(tmp_path):
    with pytest.raises(StillhouseError, match=r"must end in one of \.csv.*got '\.xlsx'"):
        Source(write(tmp_path, "x.xlsx", ""))
    with pytest.raises(StillhouseError, match=r"nowhere\.csv: must be a file .*got nothing there"):
        Source(tmp_path / "nowhere.csv")


def test_a_directory_without_parquet_is_an_error(tmp_path):
    (tmp_path / "x.bin").write_text("a\n1\n")
    assert "must be a folder of Parquet, or of a data set" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + bytes(1000) + b"PAR1"])
def test_what_is_no_parquet_is_an_error(tmp_path, content):
    assert "must be a readable Parquet file" in refused(write(tmp_path, "x.parquet", content))


def test_a_damaged_page_of_parquet_is_an_error(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [f"{i:050}" for i in range(1_000)]}), path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(byte ^ 255 for byte in data[4:200])
    path.write_bytes(data)
    assert "must be a readable Parquet file" in refused(path)


def test_a_part_without_the_column_is_an_error_that_names_the_part(tmp_path):
    pq.write_table(pa.table({"a": ["x"], "b": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"b": [2]}), tmp_path / "2.parquet")
    with pytest.raises(StillhouseError, match=r"2\.parquet.*'a'"):
        read(tmp_path, ["a"])


# The files that people have.


def lines_of(path):
    """The lines of a file, told apart by newlines alone."""
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    return [line.removesuffix("\r") for line in lines if line]


def test_sst2_keeps_its_trailing_blanks(shared):
    path = shared / "data" / "sst2" / "train.tsv"
    rows = read(path, ["sentence", "label"])
    assert len(rows) == 60_614
    assert ["\t".join(row) for row in rows] == lines_of(path)[1:]
    assert all(sentence.endswith(" ") for sentence, _ in rows[:100])


def test_mrpc_has_all_its_rows_and_quote_marks(shared):
    path = shared / "data" / "mrpc" / "train.tsv"
    assert Source(path).columns() == ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    rows = read(path)
    assert len(rows) == 4_080
    assert ["\t".join(row) for row in rows] == lines_of(path)[1:]
    assert '"the witness"' in rows[0][3]


def test_stsb_is_read_without_a_header_and_past_its_extra_columns(shared):
    path = shared / "data" / "stsb" / "train.tsv"
    lines = [line.split("\t") for line in lines_of(path)]
    assert len({len(line) for line in lines}) > 1, "the quirk is gone"
    rows = read(path, ["5", "6", "7"], header=False)
    assert len(rows) == 5_749
    assert rows == [tuple(line[4:7]) for line in lines]
    assert all(0 <= float(score) <= 5 for score, _, _ in rows)


def test_adult_and_letter_are_read_as_they_lie_there(shared):
    adult, letter = shared / "data" / "adult" / "adult.csv", shared / "data" / "letter" / "letter.tsv"
    rows = read(adult)
    assert len(rows) == 32_561
    assert [",".join(row) for row in rows] == lines_of(adult)[1:]
    assert "?" in set(chain.from_iterable(rows))
    assert len(read(letter)) == 20_000
