"""The contract of every student that reads texts, with words and with pieces: what a row is given is its own."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import save
from small_sets import cache_of, run, transfer_set
from tokenizers import Tokenizer, models, pre_tokenizers

from students import Reading, Student, Training, architectures, load_architecture
from students._config import Config
from students._subwords import Subwords
from students._words import Vocabulary
from transferset import StillhouseError, Task
from transferset.parameters import describe, parameters

pytestmark = pytest.mark.usefixtures("one_thread", "no_sync")
MOODS = {"good": 1, "fine": 1, "fun": 1, "bad": 0, "dull": 0, "slow": 0}
WORDS = ("film", "plot", "a", "the", *MOODS)
PIECES = ["[UNK]", "film", "plot", "a", "the", "good", "fi", "##ne", "##n", "fun", "bad", "du", "##ll", "slow"]
CLASSES = ("no", "yes")
TEXTS = ["good film", "", "the plot a dull film a dull plot", "bad", "fine fine fine fine fine", "unheard of x", "bad"]


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


ENCODINGS = {"words": Vocabulary(WORDS, "[MASK]", max_tokens=40), "pieces": Subwords(tokenizer().to_str(), 40)}
READING = [name for name, cls in architectures().items() if {"text", "pair"} & set(cls.kinds)]
STUDENTS = [(name, kind, tokens) for name in READING for kind in architectures()[name].kinds for tokens in ENCODINGS]
each_student = pytest.mark.parametrize(("name", "kind", "tokens"), STUDENTS)


def task_of(kind, target="classification"):
    inputs = {"text": ("text",), "pair": ("one", "other")}[kind]
    return Task(kind, inputs, "label", target, () if target == "regression" else CLASSES)


def small(name, **changes):
    """The architecture with no size above 8."""
    sizes = {each.name: 8 for each in parameters(architectures()[name]) if each.type is int and each.default > 8}
    return load_architecture(name, sizes | changes)


def make(name, kind, tokens, width=2, seed=0, **changes):
    task, architecture = task_of(kind), small(name, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture.build(ENCODINGS[tokens], task, width)
    output = "logits" if width == 2 else "embedding"
    return Student(Config(task, ENCODINGS[tokens], name, describe(architecture), output, width, {}), model)


def rows_of(kind, texts=TEXTS):
    columns = {"text": [texts], "pair": [texts, [*texts[2:], *texts[:2]]]}[kind]
    arrays = [pa.array(each, pa.string()) for each in columns]
    return pa.table(dict(zip(task_of(kind).inputs, arrays, strict=True)))


def answers(student, rows):
    """The network's answers for rows in one batch, padded to the longest."""
    inputs = student.encoding.encode([rows[name] for name in student.task.inputs])
    student.model.eval()
    with torch.inference_mode():
        return student.model(*map(torch.from_numpy, inputs.batch(np.arange(len(inputs))))).numpy()


@each_student
@pytest.mark.parametrize("width", [2, 5])
def test_each_row_has_finite_numbers(name, kind, tokens, width):
    student = make(name, kind, tokens, width)
    found = student.outputs(rows_of(kind))
    assert (found.shape, found.dtype) == ((len(TEXTS), width), np.float32)
    assert np.isfinite(found).all()
    assert student.outputs(rows_of(kind, [])).shape == (0, width)
    # Rows that differ have different ones.
    assert len(np.unique(found[:5].round(5), axis=0)) == 5


@each_student
def test_padding_changes_nothing(name, kind, tokens):
    """A text alone, beside a longer one, and in a batch of texts that are all as long."""
    student, rows = make(name, kind, tokens), rows_of(kind)
    alone = np.concatenate([answers(student, rows.slice(n, 1)) for n in range(len(rows))])
    np.testing.assert_allclose(answers(student, rows), alone, atol=1e-5)
    for n in range(len(rows)):
        np.testing.assert_allclose(answers(student, rows.take([n, n, n])), alone[[n, n, n]], atol=1e-5)
        np.testing.assert_allclose(answers(student, rows.take([2, n])), alone[[2, n]], atol=1e-5)
    # Columns of padding more than the longest text needs, as another text of the batch would bring them.
    arrays = student.encoding.encode([rows[name] for name in student.task.inputs]).batch(np.arange(len(rows)))
    wider = [np.pad(each, ((0, 0), (0, 4))) if each.ndim == 2 else each for each in arrays]
    with torch.inference_mode():
        found = student.model(*map(torch.from_numpy, wider)).numpy()
    np.testing.assert_allclose(found, alone, atol=1e-5)


@each_student
def test_an_empty_text_is_like_any_text_without_words(name, kind, tokens):
    student = make(name, kind, tokens)
    found = student.outputs(rows_of(kind, ["", "  ", "", "good film", "  "]))
    assert np.isfinite(found).all()
    if kind == "text":
        np.testing.assert_allclose(found[[1, 2, 4]], found[[0, 0, 0]], atol=1e-6)


@each_student
def test_the_order_of_rows_changes_nothing(name, kind, tokens):
    student, rows = make(name, kind, tokens), rows_of(kind)
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_allclose(student.outputs(rows.take(order)), student.outputs(rows)[order], atol=1e-5)


@pytest.mark.parametrize("tokens", ENCODINGS)
@pytest.mark.parametrize("name", [name for name in READING if "pair" in architectures()[name].kinds])
def test_the_texts_of_a_pair_are_told_apart_and_each_counts(name, tokens):
    student = make(name, "pair", tokens)
    pairs = [("good film", "bad"), ("bad", "good film"), ("good film", "dull"), ("good", "bad"), ("good film", "bad")]
    one, turned, second, first, same = answers(
        student, pa.table({"one": [a for a, _ in pairs], "other": [b for _, b in pairs]})
    )
    np.testing.assert_allclose(one, same, atol=1e-6)
    for other in (turned, second, first):
        assert np.abs(one - other).max() > 1e-4


@each_student
def test_every_weight_has_a_gradient(name, kind, tokens):
    model = make(name, kind, tokens, dropout=0.0).model.train()
    rows = rows_of(kind)
    inputs = ENCODINGS[tokens].encode([rows[name] for name in task_of(kind).inputs])
    model(*map(torch.from_numpy, inputs.batch(np.arange(len(inputs))))).square().sum().backward()
    assert [weight for weight, each in model.named_parameters() if each.grad is None or not each.grad.any()] == []


@each_student
def test_dropout_acts_in_training_only(name, kind, tokens):
    student, rows = make(name, kind, tokens, dropout=0.5), rows_of(kind)
    np.testing.assert_array_equal(answers(student, rows), answers(student, rows))
    student.model.train()
    inputs = student.encoding.encode([rows[name] for name in student.task.inputs])
    batch = [torch.from_numpy(each) for each in inputs.batch(np.arange(len(inputs)))]
    with torch.random.fork_rng(devices=[]):
        assert not torch.equal(student.model(*batch), student.model(*batch))


@each_student
def test_weights_go_from_one_network_into_another(name, kind, tokens):
    one, other, rows = make(name, kind, tokens), make(name, kind, tokens, seed=1), rows_of(kind)
    assert (answers(one, rows) != answers(other, rows)).any()
    other.model.load_state_dict(one.model.state_dict())
    np.testing.assert_array_equal(answers(one, rows), answers(other, rows))


@each_student
@pytest.mark.parametrize("width", [2, 5])
def test_a_saved_student_gives_the_same_bits(tmp_path, name, kind, tokens, width):
    student = make(name, kind, tokens, width)
    student.save(tmp_path / "S", {})
    loaded = Student.load(tmp_path / "S")
    assert loaded.config == student.config
    np.testing.assert_array_equal(loaded.outputs(rows_of(kind)), student.outputs(rows_of(kind)))


@pytest.mark.parametrize("name", READING)
def test_features_are_refused_where_texts_are_read(name):
    class Cells:
        kind = "features"

    task = Task("features", ("size",), "label", classes=CLASSES)
    with pytest.raises(StillhouseError, match=f"{name}: must be given texts or pairs of texts, got features"):
        small(name).build(Cells(), task, 2)


def films(kind, rows, seed):
    """Rows of random words with one of mood each, and their classes: the mood, or whether two are of one mood."""
    random = np.random.default_rng(seed)
    words, moods = [word for word in WORDS if word not in MOODS], list(MOODS)
    texts, found = [], []
    for _ in range(2 * rows):
        text = list(random.choice(words, random.integers(0, 6)))
        mood = str(random.choice(moods))
        text.insert(int(random.integers(0, len(text) + 1)), mood)
        texts.append(" ".join(text))
        found.append(MOODS[mood])
    if kind == "text":
        return texts[:rows], found[:rows]
    return list(zip(texts[:rows], texts[rows:], strict=True)), [
        int(a == b) for a, b in zip(found[:rows], found[rows:], strict=True)
    ]


@pytest.fixture(scope="module")
def taught_set(tmp_path_factory):
    """A transfer set and its cache of each kind; the teacher's pieces lie beside the cache."""
    made = {}
    for kind in ("text", "pair"):
        folder = tmp_path_factory.mktemp(kind)
        rows, classes = films(kind, 320, 0)
        transfer = transfer_set(folder / "set", rows, [CLASSES[each] for each in classes], task_of(kind))
        logits = 4 * np.eye(2)[classes] - 2
        cache = cache_of(folder / "L", rows, logits, task_of(kind))
        table = np.random.default_rng(0).normal(size=(len(PIECES), 8)).astype(np.float16)
        cache.keep(
            {"tokenizer.json": tokenizer().to_str().encode(), "embeddings.safetensors": save({"embeddings": table})}
        )
        made[kind] = transfer, cache
    return made


@each_student
def test_training_lowers_the_loss_and_new_rows_are_told_apart(tmp_path, taught_set, name, kind, tokens):
    training = Training(epochs=12, batch_size=16, learning_rate=0.01, dtype="float32")
    reading = Reading(tokens=tokens, vectors="teacher" if tokens == "pieces" else "random")
    student, metrics = run(
        *taught_set[kind], tmp_path / "S", training, student=small(name, dropout=0.0), reading=reading
    )
    losses = [each["loss"] for each in metrics["history"]]
    assert losses[-1] < 0.5 * losses[0]
    rows, classes = films(kind, 200, 1)
    columns = [rows] if kind == "text" else zip(*rows, strict=True)
    table = pa.table(dict(zip(student.task.inputs, map(list, columns), strict=True)))
    # Of 200 coins 126 heads come once in five thousand times.
    assert (student.outputs(table).argmax(1) == classes).mean() > 0.75
