"""Command lines with something wrong in them or in what they read, by kind; each is a function of ``random`` alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from fuzz_commands import SOUND, USES
from fuzz_inputs import RULES, SMALL
from fuzz_mutations import (
    copied,
    json_bytes,
    recommitted,
    resummed,
    spoiled_bytes,
    spoiled_folder,
    spoiled_json,
    spoiled_parquet,
    spoiled_rows,
    spoiled_toml,
    spoiled_value,
)


@dataclass(frozen=True)
class Case:
    """A command to run in a folder.

    Attributes:
        arguments: after ``stillhouse``.
        stdin: what it reads there.
        patience: seconds after which one that may rightly take long is told to stop, and must stop in good order.
        stop_after: seconds after which it is interrupted, whatever it is.
        signal: with what.
    """

    arguments: tuple[str, ...]
    stdin: bytes = b""
    patience: float | None = None
    stop_after: float | None = None
    signal: int = 2


Maker = Callable[[Random, Path, Path], Case]
_TRAIN = ("--student", "bag", *SMALL)
_PATHS = (
    "chain.toml", "T", "L", "S", "E", "R", "P", "F", "U", "K", "SM", "films.csv", "people.csv", "mask.toml",
    "grid.toml", "rules.py", "S.onnx", "odd-empty.parquet", "parts", "teacher", "nothing", ".", "..", "../outside",
    "../outside/decoy.txt", "link", "loop", "dangling", "/dev/null", "films.csv/x", "null.csv", "T/", "./T", "T/../T",
    "new/a/b", "/proc/self/mem", "/proc/self/fd/9",
)  # fmt: skip
#: Numbers that are too much work, and yet could be meant, are left out: more than a hundred, less than two to the 31.
_VALUES = (
    "", " ", "0", "1", "-1", "2", "7", "100", "007", "1e3", "0.5", "1.7", "-0.5", "nan", "inf", "-inf", "1e309",
    "1e-309", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "1" * 40, "9" * 5000, "true", "None", "null", "[]", "{}", "x", "é", "文", "\u202e", "\x1b[31m", "a\nb", "\t",
    "\udcff", "x" * 5000, "--", "-", "-x", "@x", "%s", "{0}", "$HOME", "~", "*", ",", ",,", "a,a", "=", "a=b", "a=",
    "=a", ":", "\\", '"', "'", "/(/", "//", "/.*/", ":stop-words:", "text", "label", "text,label", "all", "mask",
    "kl", "mse", "bag", "mlp", "bilstm", "cnn", "float32", "auto", "python:rules:nan", "python:rules:",
    "python:rules:broken", "sklearn:people.skops", "encoder:teacher", "mask.toml", "munge", "logits,logits",
    "embedding", "hidden", "utf-16", "latin-1", "cp037", "hex", "undefined", "0x10", "1_000", "\uff11", "1 ",
)  # fmt: skip
_NUMBER = re.compile(r"[0-9][0-9_]*")
#: Making ONNX takes seconds, and more of them on a busy machine.
_EXPORT = 60.0


def command_line(random: Random, bench: Path, work: Path) -> Case:
    """A sound command line with one to four accidents, or one of nothing but accidents; now and then a sound one."""
    from stillhouse.cli import stillhouse

    known = stillhouse.list_commands(None)  # type: ignore[arg-type]
    # What makes ONNX takes seconds.
    name = random.choice([each for each in known if each != "export" or random.random() < 0.15])
    options = [
        option for each in stillhouse.get_command(None, name).params for option in (*each.opts, *each.secondary_opts)
    ]  # type: ignore[arg-type,union-attr]
    options = [option for option in options if option.startswith("-")]
    words = list(random.choice(SOUND[name])) if name in SOUND and random.random() < 0.9 else []
    for _ in range(random.choice([0, 1, 1, 1, 2, 2, 3, 4]) if words else random.randint(1, 6)):
        words = _accident(random, words, options)
    if random.random() < 0.02:
        name = random.choice(["", "agument", "--help", "--version", "-h", "\x1b[31m", "x" * 3000, "\udcff", "_options"])
    # A cluster is not for thousands of cases; and the machine's own devices are left alone, whoever may replace them.
    words = ["local" if word == "ray" else word.replace("/dev/null", "null") for word in words]
    _place(work, bench, [name, *words])
    return Case((name, *words), b"a good film\n", _EXPORT if name == "export" else _patience(name, *words))


def _accident(random: Random, words: list[str], options: list[str]) -> list[str]:
    place = random.randrange(len(words) + 1)
    value = random.choice([random.choice(_VALUES), random.choice(_VALUES), random.choice(_PATHS), _any_text(random)])
    match random.randrange(9):
        case 0:
            return words[:place] + words[place + 1 :]
        case 1 | 2 | 3 if words:
            # The value of an option, or an argument.
            places = [n for n, word in enumerate(words) if not word.startswith("--")]
            place = random.choice(places) if places else 0
            return [*words[:place], value, *words[place + 1 :]]
        case 4 if len(words) > 1:
            other = random.randrange(len(words))
            words = list(words)
            words[place - 1], words[other] = words[other], words[place - 1]
            return words
        case 5 if words:
            return [*words[:place], random.choice(words), *words[place:]]
        case 6:
            return [*words, random.choice(["--nothing", "--ouut", "-o", "--seed=", "--no-force", "--out=new"]), value]
        case 7:
            return [*words[:place], value, *words[place:]]
        case _:
            # An option that exists, with a value that may be its own, wherever it stands.
            return (
                [*words, random.choice(options), *random.choice([(), (value,), (value,), (value,)])]
                if options
                else words
            )


def _any_text(random: Random) -> str:
    letters = [chr(random.choice([
        random.randint(1, 0x7F), random.randint(0x80, 0x2FFF), random.randint(0x1F000, 0x1FAFF),
    ])) for _ in range(random.randint(1, 12))]  # fmt: skip
    return "".join(letters).replace("/", "")


def _patience(*words: str) -> float | None:
    """A while for what a large number makes long, or what is a whole job."""
    is_long = any(_NUMBER.fullmatch(word.strip()) and len(word) < 300 and int(word) > 50 for word in words)
    return 2.0 if is_long or "quickstart" in words else 20.0 if {"run", "teach"} & set(words) else None


def _place(work: Path, bench: Path, words: list[str]) -> None:
    """Everything of the bench that a command line names, and a few odd things."""
    named = {
        part for word in words for part in re.split(r"[/,=:]", word) if part and len(part) < 100 and "\x00" not in part
    }
    always = {"mask.toml", "rules.py", "films.csv"}
    for name in sorted(os.listdir(bench)):
        if name in named | always:
            copied(bench, name, work)
    if "chain.toml" in named:
        _needed(bench, work, ["films.csv"])
    (work / "link").symlink_to("T")
    (work / "loop").symlink_to("loop")
    (work / "dangling").symlink_to("nowhere.csv")
    with contextlib.suppress(PermissionError):
        os.mknod(work / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (work / "null.csv").symlink_to("null")


def source(random: Random, bench: Path, work: Path) -> Case:
    """A file of rows that is damaged, odd, or of another format than its name says, for each command that reads one."""
    texts = ["films.csv", "films.tsv", "films.jsonl", "films.txt", "films.parquet"]
    odd = [name for name in sorted(os.listdir(bench)) if name.startswith("odd-")]
    chosen = random.choice(
        [*texts, *texts, "people.csv", "people.csv", "people.jsonl", "pairs.csv", "parts", random.choice(odd)]
    )
    data = (bench / chosen / "a.parquet" if chosen == "parts" else bench / chosen).read_bytes()
    ending = Path(chosen).suffix
    match random.randrange(8):
        case 0 | 1 | 2 if ending in (".csv", ".tsv"):
            data = spoiled_rows(random, data.decode(), "," if ending == ".csv" else "\t").encode(
                "utf-8", "surrogatepass"
            )
        case 0 | 1 | 2 if ending == ".jsonl":
            lines = data.splitlines()
            for _ in range(random.choice([1, 1, 3, len(lines)])):
                place = random.randrange(len(lines))
                lines[place] = spoiled_json(random, lines[place])
            data = b"\n".join(lines)
        case 3:
            ending = random.choice([".csv", ".tsv", ".jsonl", ".txt", ".parquet", ".CSV", ".gz", "", ".csv.gz"])
        case 4 if chosen.startswith("odd-"):
            pass
        case _:
            data = (
                spoiled_parquet(random, data)
                if ending == ".parquet" or chosen == "parts"
                else spoiled_bytes(random, data)
            )
    name = f"rows{ending}"
    if chosen == "parts":
        copied(bench, "parts", work)
        (work / "parts" / random.choice(["a.parquet", "c.parquet"])).write_bytes(data)
        name = "parts"
    else:
        (work / name).write_bytes(data)
    copied(bench, "mask.toml", work)
    return _reading(random, bench, work, chosen, name)


def _reading(random: Random, bench: Path, work: Path, chosen: str, name: str) -> Case:
    """A command that reads the file, which was made of ``chosen``."""
    encodings = [
        "utf-16",
        "utf-32",
        "latin-1",
        "ascii",
        "cp1252",
        "utf-7",
        "unicode_escape",
        "idna",
        "punycode",
        "utf-8-sig",
        "cp037",
    ]
    how = random.choice(
        [(), (), (), ("--quote",), ("--no-quote",), ("--no-header",), ("--encoding", random.choice(encodings))]
    )
    target = ("--task", random.choice(["regression", "multilabel", "classification"])) if random.random() < 0.25 else ()
    label = () if random.random() < 0.2 else ("--label", "label")
    if chosen.startswith("people"):
        student, inputs = "SM", ("--features", "all", *label, "--copies", "1")
    elif chosen.startswith("pairs"):
        student, inputs = "SE", ("--text", "one", "--text-pair", "two", *label, "--recipe", "mask.toml")
    else:
        student, inputs = "S", ("--text", "text", *label, "--recipe", "mask.toml")
    match random.randrange(8):
        case 0:
            copied(bench, student, work)
            out = random.choice([(), ("--out", "new.csv"), ("--out", "new.jsonl", "--keep", "label")])
            return Case(("predict", student, name, *how, *out))
        case 1:
            copied(bench, student, work)
            more = ("--text", "one", "--text-pair", "two", "--label", "label") if student == "SE" else ()
            return Case(
                ("evaluate", student, name, "--resamples", "10", *random.choice([(), ("--json",)]), *more, *how)
            )
        case 2 if student == "S":
            copied(bench, "T", work), copied(bench, "L", work)
            return Case(("train", "T", "L", *_TRAIN, "--dev", name, "--out", "new", *how))
        case 2 if student == "SM":
            copied(bench, "F", work), copied(bench, "LF", work)
            return Case(
                (
                    "train",
                    "F",
                    "LF",
                    "--student",
                    "mlp",
                    "--width",
                    "4",
                    "--epochs",
                    "1",
                    "--dev",
                    name,
                    "--out",
                    "new",
                    *how,
                )
            )
    return Case(("augment", name, *inputs, "--workers", "1", *target, *how, "--out", "new"))


def toml(random: Random, bench: Path, work: Path) -> Case:
    """A recipe, a grid or a pipeline with other values in it."""
    chosen = random.choice(["mask.toml", "mixed.toml", "grid.toml", "ranges.toml", "munge.toml", "chain.toml"])
    text = (
        (bench / chosen).read_bytes() if chosen != "munge.toml" else b'copies = 2\n[[step]]\nuse = "munge"\np = 0.5\n'
    )
    data = spoiled_toml(random, text, tomllib.loads(text.decode()))
    (work / chosen).write_bytes(data)
    patience = _patience(*re.findall(r"[0-9]+", data.decode("utf-8", "replace")))
    if chosen == "chain.toml":
        _needed(bench, work, ["films.csv"])
        return Case(("run", chosen, *random.choice([(), ("--dry-run",)])), b"", 5.0)
    if chosen in ("grid.toml", "ranges.toml"):
        for name in ("T", "L", "films.csv"):
            copied(bench, name, work)
        draws = ("--random", "2") if chosen == "ranges.toml" else ()
        return Case(
            ("sweep", "T", "L", "--grid", chosen, *draws, "--dev", "films.csv", "--workers", "1", "--out", "new"),
            b"",
            patience,
        )
    if chosen == "munge.toml":
        copied(bench, "people.csv", work)
        return Case(
            ("augment", "people.csv", "--features", "all", "--label", "label", "--recipe", chosen, "--out", "new"),
            b"",
            patience,
        )
    if random.random() < 0.3:
        copied(bench, "pairs.csv", work)
        inputs = ("pairs.csv", "--text", "one", "--text-pair", "two")
    else:
        copied(bench, "films.csv", work)
        inputs = ("films.csv", "--text", "text")
    return Case(
        ("augment", *inputs, "--label", "label", "--recipe", chosen, "--workers", "1", "--out", "new"), b"", patience
    )


def store(random: Random, bench: Path, work: Path) -> Case:
    """A transfer set, cache, ensemble or sweep with files damaged, swapped, missing, or edited to fit again."""
    name = random.choice([each for each in USES if each != "R" or random.random() < 0.4])
    looks = [("show", "@"), ("show", "@", "--json"), ("verify", "@"), ("gc", "@")]
    words = random.choice([*USES[name], *USES[name], *looks])
    _needed(bench, work, [*words, name])
    folder = work / name
    records = folder / "_manifest"
    has_part = (records / "000000.json").is_file()
    match random.randrange(5):
        case 0 | 1 if records.is_dir():
            # What is said of the store, which is what the other commands go by.
            about = records / random.choice(["about.json", "about.json", "about.json", "000000.json"])
            if about.is_file():
                about.write_bytes(spoiled_json(random, about.read_bytes()))
        case 2 if has_part:
            recommitted(random, folder)
        case _:
            spoiled_folder(random, folder, work.parent / "outside")
    return Case(tuple(name if word == "@" else word for word in words))


def _needed(bench: Path, work: Path, words: list[str]) -> None:
    for each in {"rules.py", "mask.toml", *words}:
        if (bench / each).exists() and each not in ("", "."):
            copied(bench, each, work)


def student(random: Random, bench: Path, work: Path) -> Case:
    """A student's directory or ONNX file damaged, or edited with checksums that fit."""
    name = random.choice(["S", "S", "SP", "SM", "SE", "S.onnx", "SM.onnx"])
    if not (bench / name).exists():
        name = name.partition(".")[0]
    place = copied(bench, name, work)
    if place.is_file():
        place.write_bytes(_spoiled_onnx(random, place.read_bytes()))
    else:
        if random.random() < 0.5:
            config = place / "config.json"
            config.write_bytes(spoiled_json(random, config.read_bytes()))
        else:
            spoiled_folder(random, place, work.parent / "outside")
        if random.random() < 0.7:
            resummed(place)
    rows = "people.jsonl" if name.startswith("SM") else "films.jsonl"
    labelled = "people.csv" if name.startswith("SM") else "films.csv"
    _needed(bench, work, [rows, labelled])
    uses: list[tuple[str, ...]] = [
        ("predict", name, rows), ("predict", name, rows, "--out", "new.csv"),
        ("predict", name, labelled, "--keep", "label"), ("evaluate", name, labelled, "--resamples", "5"),
    ]  # fmt: skip
    if place.suffix != ".onnx":
        uses += [("show", name), ("show", name, "--json"), ("verify", name), ("gc", name)]
        if random.random() < 0.1:
            uses = [("export", name, "--onnx", "new.onnx")]
        elif name == "S":
            _needed(bench, work, ["T", "L"])
            uses += [("train", "T", "L", *_TRAIN, "--out", "S"), ("train", "T", "L", *_TRAIN, "--out", "S", "--force")]
    words = random.choice(uses)
    return Case(words, b"", _EXPORT if words[0] == "export" else None)


def _spoiled_onnx(random: Random, data: bytes) -> bytes:
    if random.random() < 0.4:
        return spoiled_bytes(random, data)
    import onnx

    model = onnx.load_from_string(data)
    entry = random.choice(list(model.metadata_props))
    match random.randrange(4):
        case 0:
            model.metadata_props.remove(entry)
        case 1:
            entry.key = random.choice(["x", "stillhouse.base64/vocabulary.json", "stillhouse.text/features.json"])
        case _:
            entry.value = spoiled_json(random, entry.value.encode()).decode(errors="replace")
    return bytes(model.SerializeToString())


def checkpoint(random: Random, bench: Path, work: Path) -> Case:
    """What an interrupted training or sweep goes on from, damaged or edited."""
    if random.random() < 0.8:
        words: tuple[str, ...] = ("train", "T", "L", "--student", "bag", *SMALL[2:], "--epochs", "3", "--out", "K")
        _needed(bench, work, list(words))
        folder = work / "K" / "_checkpoint"
        chosen = random.choice(["state.json", "data/dataset.json", "*", "*"])
        if chosen == "*":
            spoiled_folder(random, folder, work.parent / "outside")
        elif (folder / chosen).is_file():
            (folder / chosen).write_bytes(spoiled_json(random, (folder / chosen).read_bytes()))
        return Case(words)
    words = ("sweep", "T", "L", "--grid", "grid.toml", "--dev", "films.csv", "--workers", "1", "--out", "R")
    _needed(bench, work, list(words))
    shutil.rmtree(next(path for path in sorted((work / "R").iterdir()) if path.name.startswith("bag-")))
    spoiled_folder(random, work / "R" / "_sweep", work.parent / "outside")
    return Case(words)


def model(random: Random, bench: Path, work: Path) -> Case:
    """A teacher or word vectors: files of a model damaged, an estimator, and functions that do what they should not."""
    _needed(bench, work, ["T"])
    label = ("label", "T", "--dtype", "float32", "--out", "new")
    match random.randrange(6):
        case 0 | 1:
            spoiled_folder(random, copied(bench, "teacher", work), work.parent / "outside")
            kind = random.choice(["teacher", "teacher", "encoder:teacher"])
            return Case((*label, "--teacher", kind))
        case 2:
            config = copied(bench, "teacher", work) / random.choice(
                ["config.json", "tokenizer.json", "tokenizer_config.json"]
            )
            config.write_bytes(spoiled_json(random, config.read_bytes()))
            return Case((*label, "--teacher", "teacher"))
        case 3:
            file = copied(bench, "people.skops", work)
            file.write_bytes(spoiled_bytes(random, file.read_bytes()))
            _needed(bench, work, ["F"])
            return Case(("label", "F", "--teacher", "sklearn:people.skops", "--out", "new"))
        case 4:
            names = re.findall(r"^(?:def )?(\w+)(?:\(| = )", RULES, re.MULTILINE)
            if random.random() < 0.3:
                (work / "rules.py").write_bytes(spoiled_rules(random))
            return Case(("label", "T", "--teacher", f"python:rules:{random.choice(names)}", "--out", "new"))
    glove = work / "glove.txt"
    data = (bench / "glove.txt").read_bytes()
    glove.write_bytes(
        spoiled_rows(random, data.decode(), " ").encode() if random.random() < 0.5 else spoiled_bytes(random, data)
    )
    if random.random() < 0.5:
        _needed(bench, work, ["L"])
        return Case(("train", "T", "L", *_TRAIN, "--vectors", "glove.txt", "--out", "new"))
    (work / "near.toml").write_text('copies = 1\n[[step]]\nuse = "vectors"\nsource = "glove.txt"\nrate = 0.5\n')
    _needed(bench, work, ["films.csv"])
    return Case(("augment", "films.csv", "--text", "text", "--recipe", "near.toml", "--workers", "1", "--out", "new"))


def spoiled_rules(random: Random) -> bytes:
    """A module that may not be one any more; nothing in it can be turned into harm by an accident."""
    return spoiled_bytes(random, b"def score(rows):\n    return [[1.0, 2.0] for row in rows]\n")


def stdin(random: Random, bench: Path, work: Path) -> Case:
    """Lines of standard input that are no texts or no objects of a student's features."""
    name = random.choice(["S", "SP", "SM", "SM", "SE"])
    copied(bench, name, work)
    if name == "SM":
        lines = (bench / "people.jsonl").read_bytes().splitlines()
        for _ in range(random.choice([0, 1, 3])):
            place = random.randrange(len(lines))
            lines[place] = (
                json_bytes(spoiled_value(random, json.loads(lines[place]))) if lines[place][:1] == b"{" else b"{}"
            )
        data = b"\n".join(lines)
    else:
        data = (bench / "films.txt").read_bytes()
    if random.random() < 0.7:
        data = spoiled_bytes(random, data)
    out = random.choice(
        [(), (), ("--out", "new.jsonl"), ("--format", "csv"), ("--keep", "size"), ("--keep", "text,label")]
    )
    return Case(("predict", name, *random.choice([(), ("-",)]), *out), data)


def interrupt(random: Random, bench: Path, work: Path) -> Case:
    """A sound command that is told to stop somewhere on its way, by Ctrl-C or as a queue does it."""
    name = random.choice(["augment", "label", "train", "join", "predict", "sweep", "evaluate", "verify", "show"])
    words = random.choice(SOUND[name])
    _place(work, bench, list(words))
    case = Case((name, *words), b"a good film\n" * 50)
    return replace(
        case,
        stop_after=random.choice([0.0, 0.01, 0.05, 0.1, 0.2, 0.4]) * random.random(),
        signal=random.choice([2, 15]),
    )


#: What makes the cases of a kind, and how many of 10,000 it makes.
KINDS: dict[str, tuple[Maker, int]] = {
    "command line": (command_line, 2600),
    "source": (source, 2400),
    "toml": (toml, 1000),
    "store": (store, 1500),
    "student": (student, 1200),
    "checkpoint": (checkpoint, 300),
    "model": (model, 400),
    "stdin": (stdin, 400),
    "interrupt": (interrupt, 200),
}
