"""Ways to spoil what is sound: bytes, rows of text, JSON, TOML, files in directories; each draws from ``random``."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
from xxhash import xxh3_128_hexdigest

#: What stands in a value for text that ``json`` and ``tomli_w`` would not write.
_DEEP, _DIGITS, _FAR = "@deep@", "@digits@", "@far@"
_RAW = {_DEEP: "[" * 5000 + "]" * 5000, _DIGITS: "9" * 5000, _FAR: "1e400"}
NAMES = (
    "", " ", "../x", "../../outside/decoy.txt", "/proc/none", ".", "..", "a/b", "x\x00y", "\x1b[31mred\x1b[0m",
    "a\nb", "\u202eleft", "é", "文" * 300, "x" * 70_000, "text", "label", "logits", "LABEL_0", "nan", "None", "%s{0}",
    "0",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 7, 255, 65_536, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 0.0, -0.0,
    0.5, -1.5, 1e-320, 1e38, 1e39, 1e308, -1e308,
)  # fmt: skip
_TOKENS = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b"\n\n\n", b'"', b'""', b"'", b"\\", b"\t", b",", b";",
    b"|", b"\xed\xa0\x80", b"\xc3", "\u2028".encode(), "\u0085".encode(), b"{", b"}", b"[", b"]", b"null", b"NaN",
    b"-Infinity", b"1e400", b"9" * 400, b"\x1b[2J", b"\x1a", b"#", b"=", b"0x1p3", b"true", b"../../x",
)  # fmt: skip


def spoiled_bytes(random: Random, data: bytes) -> bytes:
    """A file's bytes after one to three accidents."""
    for _ in range(random.randint(1, 3)):
        data = random.choice(_ACCIDENTS)(random, data)
    return data


def _place(random: Random, data: bytes) -> int:
    return random.randint(0, len(data))


def _flip(random: Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 8, 64])):
        if found:
            found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return bytes(found)


def _insert(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    return data[:place] + random.choice(_TOKENS) * random.choice([1, 1, 1, 3]) + data[place:]


def _cut(random: Random, data: bytes) -> bytes:
    first, last = sorted((_place(random, data), _place(random, data)))
    return data[:first] + data[last:]


def _repeat(random: Random, data: bytes) -> bytes:
    first, last = sorted((_place(random, data), _place(random, data)))
    return data[:first] + data[first:last] * random.choice([2, 2, 3, 50]) + data[last:]


def _swap(random: Random, data: bytes) -> bytes:
    first, middle, last = sorted(_place(random, data) for _ in range(3))
    return data[:first] + data[middle:last] + data[first:middle] + data[last:]


def _overwrite(random: Random, data: bytes) -> bytes:
    place, number = _place(random, data), random.choice([0, 1, -1, 2**31 - 1, 2**63 - 1])
    return data[:place] + struct.pack("<q", number)[: random.choice([1, 4, 8])] + data[place + 8 :]


def _giant(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    return data[:place] + random.choice([b"a", b"a ", b'"', b"[", b"0", b"\xc3\xa9"]) * 400_000 + data[place:]


def _other(random: Random, data: bytes) -> bytes:
    zipped = BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("x.json", data)
    made = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1]}), made)
    text = data.decode("utf-8", "replace")
    return random.choice([
        b"", b"\n", b" ", b"\x00" * 64, b"\xef\xbb\xbf", b"null", b"[]", b"{}", b"0", b'"x"', b"PAR1", b"PAR1PAR1",
        b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"\x80\x04}.", random.randbytes(300), gzip.compress(data, mtime=0),
        zipped.getvalue(), made.getvalue().to_pybytes(), text.encode("utf-16"), text.encode("utf-32"),
        text.encode("cp1252", "replace"),
    ])  # fmt: skip


_ACCIDENTS = (
    _flip, _flip, _insert, _insert, _cut, _cut, lambda random, data: data[: _place(random, data)], _repeat, _swap,
    _overwrite, _giant, _other,
)  # fmt: skip


def spoiled_rows(random: Random, text: str, separator: str) -> str:
    """A table of text after one to three accidents that keep it a table."""
    rows = [line.split(separator) for line in text.splitlines()]
    cells = [
        "", " ", "?", "NaN", "nan", "inf", "-inf", "1e999", "9" * 40, "1e-400", "0x10", "01", "-0", "TRUE", "null",
        "|", "a|b", "a||", "1.5", "2024-01-01", "\ufeff", "\x00", "x" * 50_000, '"', '"a', 'a"b"', "=1+1", "pos",
        "\u202e", "\x1b[31m",
    ]  # fmt: skip
    for _ in range(random.randint(1, 3)):
        row = random.randrange(len(rows))
        column = random.randrange(max(1, len(rows[row])))
        match random.randrange(10):
            case 0:
                rows[row][column : column + 1] = [random.choice(cells)]
            case 1:
                value = random.choice(cells)
                rows[1:] = [[*each[:column], value, *each[column + 1 :]] for each in rows[1:]]
            case 2:
                rows[row] = rows[row][:-1]
            case 3:
                rows[row] = [*rows[row], random.choice(cells)]
            case 4:
                rows = [each[:column] + each[column + 1 :] for each in rows]
            case 5:
                rows[0][column : column + 1] = [random.choice([*rows[0], *cells, "key", "copy", "edits", "source"])]
            case 6:
                rows.insert(row, random.choice([[""], [], rows[0], ["\x00"]]))
            case 7:
                rows = rows[: random.randint(1, 3)]
            case 8:
                rows = rows[1:] or [[]]
            case 9:
                rows = [rows[0], *(each for each in rows[1:] for _ in range(random.choice([2, 40])))]
        rows = rows or [[""]]
    return random.choice(["\n", "\n", "\r\n", "\r"]).join(separator.join(each) for each in rows)


def hostile_value(random: Random, is_toml: bool = False) -> Any:
    """A value that nobody expects in a file of settings."""
    values: list[Any] = [
        random.choice(NAMES), random.choice(NUMBERS), random.choice([True, False]), [], {}, [[]], [{}], {"a": {}},
        float("nan"), float("inf"), _DEEP, _DIGITS, _FAR, ["a", 1], [True], [-1], list(range(300)), {"x" * 99: 1},
        {"": ""}, [random.choice(NAMES)] * 2, [random.choice(NUMBERS)] * 3,
    ]  # fmt: skip
    return random.choice(values if is_toml else [*values, None, None, "\ud800", ["\ud800"], {"\ud800": None}, [None]])


def spoiled_value(random: Random, value: Any, is_toml: bool = False) -> Any:
    """A tree of plain values with one to three places changed."""
    value = copy.deepcopy(value)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        places = list(_places(value))
        if not places:
            return hostile_value(random, is_toml)
        holder, key = random.choice(places)
        match random.randrange(8):
            case 0:
                del holder[key]
            case 1:
                other, theirs = random.choice(places)
                holder[key] = copy.deepcopy(other[theirs])
            case 2 if isinstance(holder, dict):
                holder[random.choice([*NAMES, "use", "step", "rate"])] = holder.pop(key)
            case 3 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case 4 if isinstance(holder[key], int | float):
                holder[key] = random.choice(NUMBERS)
            case 5 if isinstance(holder[key], str):
                holder[key] = random.choice(NAMES)
            case _:
                holder[key] = hostile_value(random, is_toml)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def _raw(text: str) -> str:
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text


def json_bytes(value: Any) -> bytes:
    return _raw(json.dumps(value)).encode()


def spoiled_json(random: Random, data: bytes) -> bytes:
    """A JSON file with other values in it; one in four is no JSON any more."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if value is None or random.random() < 0.25:
        return spoiled_bytes(random, data)
    return json_bytes(spoiled_value(random, value))


def spoiled_toml(random: Random, data: bytes, value: dict[str, Any]) -> bytes:
    """A TOML file of ``value`` with other values in it; one in four is no TOML any more."""
    if random.random() < 0.25:
        return spoiled_bytes(random, data)
    try:
        return _raw(tomli_w.dumps(spoiled_value(random, value, is_toml=True))).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, AttributeError):  # what TOML has no word for
        return spoiled_bytes(random, data)


def spoiled_safetensors(random: Random, data: bytes) -> bytes:
    """Weights with another header, or damaged."""
    length = int.from_bytes(data[:8], "little")
    if random.random() < 0.4 or length > len(data):
        return spoiled_bytes(random, data)
    header = spoiled_json(random, data[8 : 8 + length])
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def spoiled_parquet(random: Random, data: bytes) -> bytes:
    """A damaged Parquet file, or a whole one of other columns, types or rows."""
    if random.random() < 0.4:
        return spoiled_bytes(random, data)
    try:
        table = pq.read_table(pa.BufferReader(data), use_threads=False, pre_buffer=False)
    except pa.ArrowException:
        return spoiled_bytes(random, data)
    sink = pa.BufferOutputStream()
    pq.write_table(_other_table(random, table), sink)
    return sink.getvalue().to_pybytes()


def _other_table(random: Random, table: pa.Table) -> pa.Table:
    if not table.num_columns:
        return table
    place = random.randrange(table.num_columns)
    name, rows = table.column_names[place], len(table)
    other = random.choice([
        pa.nulls(rows), pa.nulls(rows, table.schema.types[place]), pa.array(range(rows)),
        pa.array([float("nan")] * rows), pa.array([b"x" * 16] * rows, pa.binary(16)), pa.array([b"x"] * rows),
        pa.array(["\x1b[31m"] * rows), pa.array([""] * rows),
        pa.array([[1.0, 2.0]] * rows, pa.list_(pa.float32(), 2)),
        pa.array([[None, float("inf")]] * rows, pa.list_(pa.float32(), 2)),
        pa.array([[]] * rows, pa.list_(pa.string())), pa.array([[{"rule": "mask"}]] * rows), pa.array([2**40] * rows),
        pa.array([-1] * rows, pa.int32()), table.column(random.randrange(table.num_columns)),
    ])  # fmt: skip
    return random.choice([
        lambda: table.set_column(place, name, other), lambda: table.set_column(place, name, other),
        lambda: table.remove_column(place), lambda: table.slice(0, random.choice([0, 1, rows - 1])),
        lambda: pa.concat_tables([table, table.slice(0, 1)]), lambda: table.rename_columns(table.column_names[::-1]),
        lambda: table.append_column(name, other), lambda: pa.table({}),
    ])()  # fmt: skip


def spoiled_file(random: Random, file: Path) -> None:
    """A file spoiled as its kind can be."""
    of_kind: dict[str, Callable[[Random, bytes], bytes]] = {
        ".json": spoiled_json, ".safetensors": spoiled_safetensors, ".parquet": spoiled_parquet,
    }  # fmt: skip
    file.write_bytes(of_kind.get(file.suffix, spoiled_bytes)(random, file.read_bytes()))


def spoiled_folder(random: Random, folder: Path, outside: Path) -> None:
    """One to three files of a folder spoiled, or put in another's place."""
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        with contextlib.suppress(OSError):  # what was spoiled before may be in the way
            _spoil_one(random, folder, outside)


def _spoil_one(random: Random, folder: Path, outside: Path) -> None:
    """One file of a folder spoiled, or put in another's place."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if not files:
        return
    # Small files say what is what: they are taken as often as the large ones.
    file, other = random.choice(files), random.choice(files)
    match random.randrange(12):
        case 0:
            file.unlink()
        case 1:
            file.unlink()
            file.mkdir()
        case 2:
            file.unlink()
            file.symlink_to(random.choice([outside / "decoy.txt", outside, folder, file, other, Path("nowhere")]))
        case 3:
            data = file.read_bytes()
            file.write_bytes(other.read_bytes())
            other.write_bytes(data)
        case 4:
            name = random.choice([
                "x", ".x.tmp", "config.json", "000001.json", "000000.json", "part-000007-0123456789abcdef.parquet",
                "about.json", "lock", "model.safetensors", "README.md",
            ])  # fmt: skip
            if not (file.parent / name).is_dir():
                shutil.copy(other, file.parent / name)
        case 5 if file.parent != folder:
            parent = file.parent
            shutil.rmtree(parent)
            random.choice([lambda: None, lambda: parent.write_text("x"), lambda: parent.symlink_to(outside)])()
        case _:
            spoiled_file(random, file)


def recommitted(random: Random, store: Path) -> None:
    """A store whose first part was replaced by another one, with a record that fits it."""
    record_file = store / "_manifest" / "000000.json"
    record = json.loads(record_file.read_bytes())
    old = store / record["file"]
    data = spoiled_parquet(random, old.read_bytes())
    old.unlink()
    checksum = xxh3_128_hexdigest(data)
    name = f"part-000000-{checksum[:16]}.parquet"
    (store / name).write_bytes(data)
    record |= {"file": name, "bytes": len(data), "checksum": checksum}
    if random.random() < 0.5:
        try:
            record["rows"] = pq.read_metadata(pa.BufferReader(data)).num_rows
        except (pa.ArrowException, OSError):
            record["rows"] = random.choice([0, 1, 10**12])
    record_file.write_text(json.dumps(record))


def resummed(folder: Path) -> None:
    """Makes the checksums in a student's config those of its files, as somebody who edits them would."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        config["checksums"] = {
            name: xxh3_128_hexdigest((folder / name).read_bytes())
            for name in ("model.safetensors", "vocabulary.json", "tokenizer.json", "features.json")
            if (folder / name).is_file()
        }
        (folder / "config.json").write_text(json.dumps(config))
    except (OSError, ValueError, TypeError, RecursionError):
        return


def copied(bench: Path, name: str, work: Path) -> Path:
    """A file or folder of the bench in the folder where a command will run."""
    if not os.path.lexists(work / name):
        if (bench / name).is_dir():
            shutil.copytree(bench / name, work / name, symlinks=True)
        else:
            shutil.copyfile(bench / name, work / name)
    return work / name
