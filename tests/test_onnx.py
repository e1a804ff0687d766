"""ONNX Runtime says what torch says, in float32 nearly to the bit and in int8 closely."""

from __future__ import annotations

import logging
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import onnx
import transformers

from label._onnx import OnnxModel, export, quantize
from transferset import StillhouseError
from transferset import onnx as onnx_export

SIGNALS = ("logits", "embedding")
COMMON = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "num_labels": 3}
SIZES = {"intermediate_size": 64, "max_position_embeddings": 140}
ARCHITECTURES = {
    "bert": SIZES,
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": 1, "n_heads": 4, "max_position_embeddings": 140},
    "roberta": SIZES,
    "electra": {**SIZES, "embedding_size": 16},
    "deberta-v2": {**SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16},
    "albert": {**SIZES, "embedding_size": 16},
    "mpnet": SIZES,
    "modernbert": {
        **SIZES,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    },
}
SLOW = ("distilbert", "roberta", "electra", "mpnet")  # much like bert
PRODUCTS = {"electra": 7, "albert": 7, "modernbert": 4}  # otherwise: query, key, value, output, up, down
PAIRED = ("bert", "electra", "deberta-v2", "albert")

EACH = pytest.mark.parametrize(
    "architecture",
    [pytest.param(each, marks=pytest.mark.slow) if each in SLOW else each for each in ARCHITECTURES],
)


class Signals(nn.Module):
    """Logits, and the state of the first token."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        given = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, **types)
        return given.logits, given.hidden_states[-1][:, 0]


@cache
def tiny(architecture: str) -> tuple[Signals, bytes]:
    """A random model, and its export."""
    config = transformers.AutoConfig.for_model(architecture, **{**COMMON, **ARCHITECTURES[architecture]})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
        for name, weight in model.named_parameters():
            if weight.ndim == 2:  # as decided as a trained one, and with a large channel or two
                nn.init.normal_(weight, std=0.3)
            elif name.endswith("LayerNorm.weight"):
                weight.data[3] = 4.0
    module = Signals(model).eval()
    return module, export(module, SIGNALS, architecture in PAIRED)


def batch(texts: int, tokens: int, pair: bool, seed: int = 0):
    """Random texts, the later ones shorter."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(3, 60, (texts, tokens))
    lengths = np.linspace(tokens, max(1, tokens // 3), texts).astype(int)
    mask = (np.arange(tokens) < lengths[:, None]).astype(np.int64)
    ids = np.where(mask == 1, ids, 1)
    types = ((np.arange(tokens) > tokens // 4) & (mask == 1)).astype(np.int64) if pair else None
    return ids, mask, types


def in_torch(module: nn.Module, arrays):
    with torch.no_grad():
        return [each.numpy() for each in module(*(None if each is None else torch.from_numpy(each) for each in arrays))]


@EACH
def test_an_export_says_what_the_model_says_for_any_shape(architecture):
    module, data = tiny(architecture)
    model = OnnxModel(data, SIGNALS)
    for texts in (1, 64):
        for tokens in (1, 2, 3, 17, 128):
            arrays = batch(texts, tokens, architecture in PAIRED)
            for wanted, got in zip(in_torch(module, arrays), model(*arrays), strict=True):
                assert got.dtype == np.float32
                np.testing.assert_allclose(got, wanted, atol=1e-4, rtol=1e-4)


@EACH
def test_int8_is_near_and_smaller(architecture):
    module, data = tiny(architecture)
    pair = architecture in PAIRED
    small = quantize(data, [batch(16, 17, pair, seed) for seed in range(3)])
    graph = onnx.load_model_from_string(small).graph
    assert sum(each.op_type == "DynamicQuantizeMatMul" for each in graph.node) == PRODUCTS.get(architecture, 6)
    arrays = batch(64, 17, pair, seed=9)
    for wanted, got in zip(in_torch(module, arrays), OnnxModel(small, SIGNALS)(*arrays), strict=True):
        assert not np.array_equal(wanted, got)
        assert np.abs(got - wanted).mean() < 0.1 * wanted.std()


def test_signals_come_in_the_order_asked_for():
    _, data = tiny("bert")
    arrays = batch(2, 5, True)
    logits, embedding = OnnxModel(data, SIGNALS)(*arrays)
    swapped = OnnxModel(data, SIGNALS[::-1])(*arrays)
    assert np.array_equal(swapped[0], embedding)
    assert np.array_equal(swapped[1], logits)


@pytest.mark.parametrize("small", [False, True])
def test_the_same_batch_has_the_same_bits_in_any_thread(small):
    _, data = tiny("bert")
    model = OnnxModel(quantize(data) if small else data, SIGNALS)
    batches = [batch(32, tokens, True, tokens) for tokens in (5, 17, 40, 90)]
    alone = [model(*each) for each in batches]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda number: model(*batches[number % 4]), range(80)))
    for number, given in enumerate(together):
        for wanted, got in zip(alone[number % 4], given, strict=True):
            assert np.array_equal(wanted, got)
    again = OnnxModel(quantize(data) if small else data, SIGNALS)
    assert np.array_equal(again(*batches[0])[0], alone[0][0])


class Outliers(nn.Module):
    """A product whose input has a channel a hundred times the others, as a transformer's has, and some dull ones."""

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.words = nn.Embedding(60, 64, _weight=torch.randn(60, 64, generator=generator))
        self.words.weight.data[:, 7] *= 100
        self.words.weight.data[:, 9] = 0
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 5, bias=False)
        self.first.weight.data = torch.randn(64, 64, generator=generator) / 8
        self.second.weight.data = torch.randn(5, 64, generator=generator) / 8
        self.shared = shared

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        state = self.first(self.words(input_ids))
        if self.shared:
            state = self.first(torch.relu(state))
        return ((self.second(state) * attention_mask[:, :, None]).sum(1),)


def test_smoothing_makes_a_product_with_outliers_more_exact():
    module = Outliers().eval()
    data = export(module, ("logits",), pair=False)
    arrays = batch(32, 9, False, seed=5)
    (wanted,) = in_torch(module, arrays)
    rough, smooth = (
        np.abs(OnnxModel(quantize(data, calibration), ("logits",))(*arrays)[0] - wanted).mean()
        for calibration in ((), [batch(32, 9, False)])
    )
    assert smooth < rough / 3


def test_int8_is_what_it_is_defined_to_be():
    """The first product, computed here by hand: uint8 activations in one range, int8 weights by output."""
    module = Outliers().eval()
    module.second = nn.Identity()
    data = export(module, ("logits",), pair=False)
    arrays = batch(1, 1, False, seed=3)
    x = module.words.weight.detach().numpy()[arrays[0].ravel()]
    weights, bias = module.first.weight.detach().numpy().T, module.first.bias.detach().numpy()
    scales = np.abs(weights).max(0) / 127
    low, high = min(0.0, x.min()), max(0.0, x.max())
    step = (high - low) / 255
    zero = np.rint(-low / step)
    activations = (np.clip(np.rint(x / step) + zero, 0, 255) - zero) * step
    wanted = activations @ (np.rint(weights / scales) * scales) + bias
    np.testing.assert_allclose(OnnxModel(quantize(data), ("logits",))(*arrays)[0], wanted, rtol=1e-4, atol=1e-3)


def test_places_that_share_weights_share_them_in_int8():
    module = Outliers(shared=True).eval()
    small = quantize(export(module, ("logits",), pair=False), [batch(32, 9, False)])
    graph = onnx.load_model_from_string(small).graph
    assert sum(each.op_type == "DynamicQuantizeMatMul" for each in graph.node) == 3
    assert sum(each.data_type == onnx.TensorProto.INT8 for each in graph.initializer) == 2
    arrays = batch(8, 9, False, seed=5)
    (wanted,) = in_torch(module, arrays)
    assert np.abs(OnnxModel(small, ("logits",))(*arrays)[0] - wanted).mean() < 0.05 * np.abs(wanted).mean()


def test_large_matrices_are_quantized_too():
    module = nn.Module()
    module.words, module.up = nn.Embedding(9, 1100), nn.Linear(1100, 2200)
    module.forward = lambda input_ids, attention_mask, token_type_ids=None: (module.up(module.words(input_ids)).sum(1),)
    data = export(module.eval(), ("logits",), pair=False)
    assert len(quantize(data)) < 0.3 * len(data)


def test_nothing_is_said_while_exporting(capfd, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings(record=True) as heard, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        quantize(export(Outliers().eval(), ("logits",), pair=False))
    assert not heard
    assert capfd.readouterr() == ("", "")
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert logging.getLogger("torch.onnx").level == level
    assert not os.listdir(tmp_path)


def one_line(call) -> str:
    with pytest.raises(StillhouseError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith("onnx: ")
    assert "\n" not in message
    assert len(message) < 300
    return message


def test_a_model_that_cannot_be_exported_is_one_line():
    class Asks(nn.Module):
        def forward(self, input_ids, attention_mask, token_type_ids=None):
            ids = input_ids * 2 if input_ids.sum().item() > 10 else input_ids
            return ((ids * attention_mask).sum(1, keepdim=True).float(),)

    assert "exportable" in one_line(lambda: export(Asks().eval(), ("logits",), pair=False))


def test_a_model_that_says_something_else_in_onnx_is_refused():
    class Counts(nn.Module):
        calls = 0

        def forward(self, input_ids, attention_mask, token_type_ids=None):
            self.calls += 1
            return ((input_ids * attention_mask).sum(1, keepdim=True).float() * float(self.calls),)

    assert "what it says in torch" in one_line(lambda: export(Counts().eval(), ("logits",), pair=False))


def test_a_model_over_two_gib_is_one_line(monkeypatch):
    monkeypatch.setattr(onnx_export, "LARGEST", 1000)
    assert "2 GiB" in one_line(lambda: export(Outliers().eval(), ("logits",), pair=False))


def test_a_model_without_products_cannot_be_quantized():
    class Plain(nn.Module):
        def forward(self, input_ids, attention_mask, token_type_ids=None):
            return ((input_ids * attention_mask).sum(1, keepdim=True).float(),)

    assert "products" in one_line(lambda: quantize(export(Plain().eval(), ("logits",), pair=False)))


def test_without_the_extra_the_line_to_install_it(monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxscript" else object())
    message = one_line(lambda: export(Outliers(), ("logits",), pair=False))
    assert "onnxscript must be installed" in message
    assert "pip install 'stillhouse[onnx]'" in message


def test_inputs_are_not_touched():
    module, data = tiny("bert")
    before = {name: each.clone() for name, each in module.state_dict().items()}
    copy, arrays = bytes(bytearray(data)), batch(4, 6, True)
    kept = [each.copy() for each in arrays]
    small = quantize(data, [arrays])
    OnnxModel(small, SIGNALS)(*arrays)
    assert data == copy
    assert all(np.array_equal(one, other) for one, other in zip(kept, arrays, strict=True))
    assert all(torch.equal(each, module.state_dict()[name]) for name, each in before.items())
    assert quantize(data, [arrays]) == small


def test_importing_it_loads_no_heavy_library():
    import subprocess
    import sys

    code = "import sys, label._onnx; print({'onnx', 'onnxruntime', 'onnxscript'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=True
    )
    assert done.stdout.strip() == "set()"
