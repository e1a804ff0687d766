"""Sound command lines, a line each, of every command that makes or reads something, in a folder of ``fuzz_inputs``."""

from __future__ import annotations

from fuzz_inputs import SMALL

_TEXT = "--text text --label label --recipe mask.toml --workers 1"
_TRAIN = " ".join(("--student", "bag", *SMALL))
Commands = dict[str, list[tuple[str, ...]]]


def _commands(lines: dict[str, str]) -> Commands:
    return {name: [tuple(line.split()) for line in text.strip().splitlines()] for name, text in lines.items()}


#: What stands after a command's name; ``new`` is what is not there yet.
SOUND = _commands({
    "augment": f"""
        films.csv {_TEXT} --out new
        films.tsv {_TEXT} --copies 3 --exact --seed 1 --keep-labels --out new
        films.txt --recipe mixed.toml --out new
        films.parquet {_TEXT} --protect film --protect /a+/ --out new
        films.csv --text text --pos-tagger classes --copies 1 --out new
        pairs.csv --text one --text-pair two --recipe mask.toml --pairs both --out new
        people.csv --features size,count,kind --label label --categorical count --copies 2 --munge-p 0.5 --out new
        films.csv {_TEXT} --out T --force
        films.csv {_TEXT} --out T
    """,
    "label": """
        T --teacher python:rules:score --out new
        T --teacher teacher --max-length 16 --batch-tokens 64 --dtype float32 --out new
        T --teacher python:rules:signals --signals logits,embedding --storage float16 --out new
        T --teacher python:rules:score --teacher python:rules:other --weight 2 --weight 1 --mean probabilities --out new
        F --teacher python:rules:score --out new
        T --teacher python:rules:score --out L
        T --teacher python:rules:score --out L --force
    """,
    "join": """
        T L --out new.parquet
        T LE --signals logits,embedding --out new.parquet
    """,
    "train": f"""
        T L {_TRAIN} --out new
        T L {_TRAIN} --dev films.csv --loss kl --temperature 2 --alpha 0.5 --out new
        T L {_TRAIN} --holdout 0.3 --patience 1 --monitor loss --out new
        T LE {_TRAIN} --loss cosine --out new
        T LT {_TRAIN} --tokens pieces --out new
        T L {_TRAIN} --vectors glove.txt --out new
        F LF --student mlp --width 4 --epochs 1 --out new
        T L {_TRAIN} --out S --force
        T L {_TRAIN} --out S
    """,
    "sweep": """
        T L --grid grid.toml --dev films.csv --workers 1 --out new
        T L --grid ranges.toml --random 2 --seed 3 --test films.csv --out new
        T L --grid grid.toml --dev films.csv --workers 1 --out R
    """,
    "evaluate": """
        S films.csv --resamples 20 --json
        S films.csv --cache L --baseline SP --resamples 20
        SE pairs.csv --text one --text-pair two --label label --resamples 0
        SM people.csv --seed 1 --resamples 5 --threads 1
        SE films.csv --cache LE --resamples 5
    """,
    "predict": """
        S films.csv --out new.csv
        SM people.jsonl --keep size,kind=sort --format tsv
        S.onnx films.txt --threads 1
        SP films.parquet --keep id --out new.jsonl
        S
    """,
    "report": """
        S R --no-speed --out new.html
        R --test films.csv --cache L --transfer T --resamples 5 --no-speed --out new.html
    """,
    "init": """
        films.csv --teacher python:rules:score --out new.toml
        people.csv --out new.toml
    """,
    "run": """
        chain.toml
        chain.toml --dry-run
    """,
    "teach": """
        films.csv --text text --label label --model teacher --epochs 1 --out new
    """,
    "export": """
        S --onnx new.onnx
    """,
    "show": """
        T --examples 2
        L
        E --json
        S --json
        R
        F
    """,
    "verify": """
        T
        L
        E
        S
        LT
    """,
    "gc": """
        T
        L
        E
    """,
})  # fmt: skip

#: What is done with each store; ``@`` stands for it.
USES = _commands({
    "T": f"""
        label @ --teacher python:rules:score --out new
        train @ L {_TRAIN} --out new
        join @ L --out new.parquet
        augment films.csv {_TEXT} --out @
        augment films.csv {_TEXT} --out @ --force
    """,
    "P": f"""
        label @ --teacher python:rules:score --out new
        train @ LP {_TRAIN} --out new
    """,
    "F": """
        label @ --teacher python:rules:score --out new
        train @ LF --student mlp --width 4 --epochs 1 --out new
        join @ LF --out new.parquet
    """,
    "U": f"""
        augment films.csv {_TEXT} --out @
    """,
    "L": f"""
        train T @ {_TRAIN} --out new
        join T @ --out new.parquet
        label T --teacher python:rules:score --out @
        evaluate S films.csv --cache @ --resamples 5
        label T --teacher python:rules:score --out @ --force
    """,
    "LE": f"""
        train T @ {_TRAIN} --loss cosine --out new
        join T @ --out new.parquet
        evaluate SE films.csv --cache @ --resamples 5
    """,
    "LT": f"""
        train T @ {_TRAIN} --tokens pieces --out new
        train T @ {_TRAIN} --out new
        label T --teacher teacher --dtype float32 --out @
    """,
    "E": f"""
        train T @ {_TRAIN} --out new
        join T @ --out new.parquet
        label T --teacher python:rules:score --teacher python:rules:other --out @
    """,
    "R": """
        sweep T L --grid grid.toml --dev films.csv --workers 1 --out @
        show @ --json
    """,
})  # fmt: skip
