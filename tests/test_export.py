"""Export to ONNX: one file that says what torch says, for any rows, or one line and no file."""

import copy
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from tiny_students import TABLE, make_student, rows_of, task_of
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from stillhouse.cli import stillhouse
from students import Student, architecture_name, architectures, load_architecture
from students._config import Config
from students._features import learn_features
from students._recurrent import with_operators
from students._samples import samples
from students._subwords import Subwords
from students._words import Vocabulary
from students.bag import Bag
from students.export import export, to_onnx
from students.mlp import Mlp
from students.onnx_student import OnnxStudent
from transferset import StillhouseError, Task
from transferset.parameters import describe

pytestmark = pytest.mark.usefixtures("one_thread")
EVERY = [
    (name, kind, "logits") for name, architecture in sorted(architectures().items()) for kind in architecture.kinds
]

AXES = {
    "ids": ["rows", "tokens"],
    "lengths": ["rows"],
    "other_ids": ["rows", "other_tokens"],
    "other_lengths": ["rows"],
    "numbers": ["rows", ""],
    "codes": ["rows", ""],
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A student with its ONNX file, made when it is first asked for."""
    made = {}

    def make(*which):
        if which not in made:
            student, file = make_student(*which[:2], output=which[2]), tmp_path_factory.mktemp("onnx") / "S.onnx"
            assert export(student, file) < 1e-5
            made[which] = student, file
        return made[which]

    return make


def random_student(architecture, task, encoding, reach):
    """A student with random weights whose outputs reach about so far."""
    name, sizes = architecture_name(architecture), describe(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = architecture.build(encoding, task, task.outputs)
    student = Student(Config(task, encoding, name, sizes, "logits", task.outputs, {}), model)
    if encoding.kind == "words":
        model.vectors.weight.data.mul_(0.4 / model.vectors.weight.std())
    found = student.run(samples(encoding, task, 64, 17))
    with torch.no_grad():
        model.output.weight.mul_(reach / np.abs(found).max())
        model.output.bias.mul_(reach / np.abs(found).max())
    return student


@pytest.mark.parametrize("name", ["bilstm", "cnn"])
def test_a_student_of_real_size_says_the_same_to_a_ten_thousandth(tmp_path, name):
    """Of the default sizes, and with logits of about 10."""
    words = Vocabulary(tuple(f"w{n}" for n in range(2000)))
    student = random_student(load_architecture(name, {}), task_of(), words, 10.0)
    assert np.abs(student.run(samples(words, student.task, 64, 128))).max() > 3
    assert export(student, tmp_path / "S.onnx") < 1e-4
    rows = rows_of(student.task, [" ".join(f"w{(n * k) % 2000}" for k in range(n)) for n in range(1, 60)])
    difference = np.abs(OnnxStudent.load(tmp_path / "S.onnx").outputs(rows) - student.outputs(rows)).max()
    assert difference < 1e-4


def test_scores_as_large_as_prices_are_as_near_as_float32_is(tmp_path):
    task = task_of("features", "regression")
    student = random_student(Mlp(width=64), task, learn_features([TABLE], task), 1e6)
    assert export(student, tmp_path / "S.onnx") < 1.0


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("tokens", [1, 2, 17, 128])
@pytest.mark.parametrize("which", [*EVERY, ("bag", "text", "embedding")], ids="-".join)
def test_every_student_says_in_onnx_what_it_says_in_torch(exported, which, tokens, rows):
    student, file = exported(*which)
    inputs = samples(student.encoding, student.task, rows, tokens)
    assert len(inputs) == rows
    assert which[1] == "features" or inputs.sides[0].lengths.max() == tokens
    arrays = inputs.batch(np.arange(rows))
    found = OnnxStudent.load(file, 1).answer(inputs.names, arrays)
    with torch.inference_mode():
        wanted = student.model.eval()(*map(torch.from_numpy, arrays)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert rows == 1 or wanted.std(axis=0).min() > 0.01, "rows that do not differ show nothing"


@pytest.mark.parametrize("which", EVERY, ids="-".join)
def test_rows_are_read_from_one_file_alone(exported, which, tmp_path):
    student, file = exported(*which)
    alone = tmp_path / "elsewhere" / "student.onnx"
    alone.parent.mkdir()
    alone.write_bytes(file.read_bytes())
    loaded = OnnxStudent.load(alone)
    assert loaded.config == student.config
    rows = rows_of(student.task, ["good film", "", "the plot " * 200, "bad", "[MASK] unheard"])
    assert len(np.unique(student.outputs(rows), axis=0)) > 3
    np.testing.assert_allclose(loaded.outputs(rows), student.outputs(rows), atol=1e-4)


@pytest.mark.parametrize("which", EVERY, ids="-".join)
def test_the_graph_has_the_names_and_free_axes_that_are_promised(exported, which):
    student, file = exported(*which)
    graph = onnx.load(file).graph
    names = samples(student.encoding, student.task, 2, 3).names
    assert tuple(each.name for each in graph.input) == names
    assert [each.name for each in graph.output] == ["outputs"]
    axes = {each.name: [axis.dim_param for axis in each.type.tensor_type.shape.dim] for each in graph.input}
    assert axes == {name: AXES[name] for name in names}
    assert [axis.dim_param or axis.dim_value for axis in graph.output[0].type.tensor_type.shape.dim] == [
        "rows",
        student.config.width,
    ]
    onnx.checker.check_model(onnx.load(file), full_check=True)


@pytest.mark.parametrize("inputs", [("size", "count"), ("colour",), ("sure", "colour")])
def test_tables_without_numbers_or_without_categories_are_exported(tmp_path, inputs):
    task = Task("features", inputs, "label", classes=("neg", "pos"))
    features = learn_features([TABLE], task)
    model = Mlp(width=4).build(features, task, 2)
    student = Student(Config(task, features, "mlp", {"width": 4}, "logits", 2, {}), model)
    assert export(student, tmp_path / "S.onnx") < 1e-5
    found = OnnxStudent.load(tmp_path / "S.onnx")
    assert found.config == student.config
    np.testing.assert_allclose(found.outputs(TABLE), student.outputs(TABLE), atol=1e-5)


def test_a_student_of_pieces_is_exported_with_its_tokenizer(tmp_path):
    pieces = Tokenizer(models.WordLevel({"[UNK]": 0, "good": 1, "film": 2, "café": 3}, "[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    encoding = Subwords(pieces.to_str())
    student = make_student()
    model = Bag(hidden=4, vector_width=4).build(encoding, student.task, 3)
    student = Student(replace(student.config, encoding=encoding), model)
    export(student, tmp_path / "S.onnx")
    found = OnnxStudent.load(tmp_path / "S.onnx")
    assert found.config == student.config
    rows = rows_of(student.task, ["good café", "", "film good film", "unheard of"])
    np.testing.assert_allclose(found.outputs(rows), student.outputs(rows), atol=1e-5)


def test_a_student_of_short_texts_is_compared_on_short_texts(tmp_path):
    student = make_student(max_tokens=4)
    assert samples(student.encoding, student.task, 5, 128).sides[0].lengths.max() == 4
    assert export(student, tmp_path / "S.onnx") < 1e-5


def test_exporting_leaves_all_as_it_was_and_says_nothing(tmp_path, capfd):
    student = make_student("bilstm")
    student.model.train()
    before, state = copy.deepcopy(student.model.state_dict()), torch.get_rng_state()
    export(student, tmp_path / "S.onnx")
    assert student.model.training
    assert list(student.model.state_dict()) == list(before)
    assert all(torch.equal(each, before[name]) for name, each in student.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert "forward" not in vars(student.model.encoder.forwards)
    assert capfd.readouterr() == ("", "")


class Recurrent(nn.Module):
    """A network of someone else's: layers of every kind, states that are given and states that are read."""

    def __init__(self, kind, layers, bidirectional, bias, batch_first, outputs):
        super().__init__()
        self.vectors = nn.Embedding(12, 6)
        self.batch_first = batch_first
        self.recurrent = kind(6, 5, layers, bias, batch_first, bidirectional=bidirectional)
        self.start = nn.Parameter(torch.randn(layers * (1 + bidirectional), 1, 5))
        self.output = nn.Linear(5 * (2 + bidirectional), outputs)

    def forward(self, ids, lengths):
        vectors = self.vectors(ids)
        state = self.start.expand(-1, ids.shape[0], -1).contiguous()
        gru = isinstance(self.recurrent, nn.GRU)
        found, last = self.recurrent(
            vectors if self.batch_first else vectors.transpose(0, 1), state if gru else (state, -state)
        )
        states = found if self.batch_first else found.transpose(0, 1)
        last_cell = last[-1] if gru else last[1][-1]
        return self.output(torch.cat([states[:, -1], last_cell], 1)) / lengths[:, None]


@pytest.mark.parametrize(
    ("kind", "layers", "bidirectional", "bias", "batch_first"),
    [(nn.LSTM, 2, True, True, False), (nn.LSTM, 1, False, False, True), (nn.GRU, 2, True, True, True)],
)
def test_recurrent_layers_of_any_make_are_exported(tmp_path, kind, layers, bidirectional, bias, batch_first):
    student = make_student()
    torch.manual_seed(1)
    student.model = Recurrent(kind, layers, bidirectional, bias, batch_first, student.config.width)
    assert export(student, tmp_path / "S.onnx") < 1e-5
    nodes = [each.op_type for each in onnx.load(tmp_path / "S.onnx").graph.node]
    assert nodes.count(kind.__name__) == layers
    assert len(nodes) < 60, "no step of the example is written out"


class Placed(nn.Module):
    """A network of someone else's with a vector for each place, and so for no more places than texts have."""

    def __init__(self, places, outputs):
        super().__init__()
        self.vectors, self.places = nn.Embedding(12, 8), nn.Embedding(places, 8)
        self.output = nn.Linear(8, outputs)

    def forward(self, ids, lengths):
        steps = torch.arange(ids.shape[1])
        vectors = (self.vectors(ids) + self.places.weight[: ids.shape[1]]) * (steps < lengths[:, None])[:, :, None]
        return self.output(vectors.sum(1))


def test_a_network_that_takes_only_short_texts_is_exported(tmp_path):
    student = make_student(max_tokens=20)
    student.model = Placed(20, student.config.width)
    assert export(student, tmp_path / "S.onnx") < 1e-5


class Network(nn.Module):
    """A network that calls a function."""

    def __init__(self, function, outputs=3):
        super().__init__()
        self.vectors = nn.Embedding(12, outputs)
        self.function = function

    def forward(self, ids, lengths):
        return self.function(self.vectors(ids), lengths)


def another_in_onnx(vectors, lengths):
    return vectors.sum(1) * (2.0 if torch.compiler.is_exporting() else 1.0)


def a_little_more_in_onnx(vectors, lengths):
    """By more than a ten thousandth, but not by one of the largest output."""
    return torch.tanh(vectors.sum(1)) * 10 + (2e-4 if torch.compiler.is_exporting() else 0.0)


def another_for_long_texts(vectors, lengths):
    return vectors.sum(1) if torch.compiler.is_exporting() or vectors.shape[1] < 100 else vectors.sum(1) + 1


def of_another_length(vectors, lengths):
    return vectors[:, :7].reshape(-1, 21)[:, :3] if vectors.shape[1] == 7 else vectors.sum(1)


def packed(vectors, lengths):
    return nn.utils.rnn.pack_padded_sequence(vectors, lengths, True, False).data[: len(lengths)]


def not_a_number(vectors, lengths):
    return vectors.sum(1) / (lengths[:, None] - lengths[:, None])


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (another_in_onnx, "onnx: an exported student must say what it says in torch, got a difference of "),
        (a_little_more_in_onnx, "onnx: an exported student must say what it says in torch, got a difference of 0.0002"),
        (another_for_long_texts, "onnx: an exported student must say what it says in torch, got a difference of 1"),
        (not_a_number, "onnx: an exported student must say what it says in torch, got a difference of nan"),
        (of_another_length, "onnx: a student must be exportable by torch.onnx, got: "),
        (packed, "onnx: a student must be exportable by torch.onnx, got: "),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_no_file(tmp_path, function, says):
    student = make_student()
    student.model = Network(function)
    with pytest.raises(StillhouseError) as error:
        export(student, tmp_path / "S.onnx")
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_lstm_with_projections_is_refused():
    student = make_student()
    student.model = nn.ModuleDict({"lstm": nn.LSTM(4, 4, proj_size=2)})
    with pytest.raises(StillhouseError, match="must have no projection, got proj_size=2"):
        to_onnx(student)


def test_a_packed_sequence_is_refused_by_name():
    layer = with_operators(nn.LSTM(2, 2))
    with pytest.raises(StillhouseError, match="a packed sequence cannot be exported"):
        layer(nn.utils.rnn.pack_padded_sequence(torch.zeros(3, 1, 2), torch.tensor([2])))


def test_a_file_is_replaced_only_by_force_and_only_by_a_whole_one(tmp_path):
    file = tmp_path / "S.onnx"
    file.write_bytes(b"mine")
    with pytest.raises(StillhouseError, match="must not be there yet, got a file: use --force"):
        export(make_student(), file)
    broken = make_student()
    broken.model = Network(another_in_onnx)
    with pytest.raises(StillhouseError):
        export(broken, file, force=True)
    assert file.read_bytes() == b"mine"
    export(make_student(), file, force=True)
    assert OnnxStudent.load(file).config == make_student().config
    assert [each.name for each in tmp_path.iterdir()] == ["S.onnx"]


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(StillhouseError, match="must be a file, got a directory"):
        export(make_student(), tmp_path, force=True)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_gives_the_line_that_installs_it(monkeypatch, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(StillhouseError, match=rf"{package} must be installed: run `pip install 'stillhouse\[onnx\]'`"):
        to_onnx(make_student())


def test_a_student_that_protobuf_cannot_hold_is_refused():
    student = make_student()
    student.model = nn.Embedding(2**21, 2**9, device="meta")
    with pytest.raises(StillhouseError, match=r"must be smaller than 2 GiB in float32, got 4\.0 GiB"):
        to_onnx(student)


def test_the_command_exports_and_says_how_exactly(tmp_path, capsys):
    make_student().save(tmp_path / "S", {})
    arguments = ["export", str(tmp_path / "S"), "--onnx", str(tmp_path / "S.onnx")]
    stillhouse(arguments, standalone_mode=False)
    said = capsys.readouterr()
    assert "S.onnx: 0.0 MB, differs from torch by at most " in said.out
    assert said.err == ""
    with pytest.raises(StillhouseError, match="must not be there yet"):
        stillhouse(arguments, standalone_mode=False)
    stillhouse([*arguments, "--force"], standalone_mode=False)
