"""Pretrained models: what they are known by, and one line for whatever is wrong with them."""

import json
import logging
import shutil

import numpy as np
import pytest
from conftest import MASKED_LMS
from safetensors.numpy import load_file, save_file

from transferset import StillhouseError
from transferset.pretrained import best_dtype, fingerprint, input_embeddings, load_pretrained, longest_input

MASKED = ("AutoModelForMaskedLM", "a masked language model", "float32")


@pytest.fixture
def copied(tiny_masked_lm, tmp_path):
    """A copy of the tiny model, to be spoilt."""
    return shutil.copytree(tiny_masked_lm, tmp_path / "model")


@pytest.fixture
def offline(monkeypatch):
    """As HF_HUB_OFFLINE=1 does, which is read when the library is imported."""
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def error_of(function, *given):
    with pytest.raises(StillhouseError) as caught:
        function(*given)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500
    return str(caught.value)


def changed_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# Loading.


@pytest.mark.parametrize("kind", MASKED_LMS)
def test_tokenizer_and_model_are_loaded_in_eval_mode(kind, masked_lms):
    import torch

    tokenizer, model = load_pretrained(str(masked_lms[kind]), *MASKED)
    assert tokenizer.is_fast
    assert not model.training
    assert not any(module.training for module in model.modules())
    assert model.dtype == torch.float32
    assert model.config.pad_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_model_is_of_the_precision_asked_for(dtype, tiny_masked_lm):
    _, model = load_pretrained(str(tiny_masked_lm), *MASKED[:2], dtype)
    assert str(model.dtype) == f"torch.{dtype}"


def test_the_weights_are_those_of_the_file(tiny_masked_lm):
    _, model = load_pretrained(str(tiny_masked_lm), *MASKED)
    stored, weights = load_file(tiny_masked_lm / "model.safetensors"), model.state_dict()
    assert len(stored) > 10
    for name, values in stored.items():
        np.testing.assert_array_equal(weights[name].numpy(), values)


def test_the_best_precision_is_one_of_two():
    assert best_dtype() in ("float32", "bfloat16")
    assert best_dtype() == best_dtype()


@pytest.mark.parametrize("kind", MASKED_LMS)
def test_the_longest_input_is_what_the_model_can_take(kind, masked_lms):
    import torch

    tokenizer, model = load_pretrained(str(masked_lms[kind]), *MASKED)
    longest = longest_input(tokenizer, model)
    assert 90 <= longest <= 100
    token = tokenizer.convert_tokens_to_ids(tokenizer.tokenize("film")[0])
    with torch.inference_mode():
        assert model(input_ids=torch.full((1, longest), token)).logits.shape[1] == longest


def test_a_tokenizer_may_take_less_than_the_model(tiny_masked_lm):
    tokenizer, model = load_pretrained(str(tiny_masked_lm), *MASKED)
    assert longest_input(tokenizer, model) == 32
    tokenizer.model_max_length = 7
    assert longest_input(tokenizer, model) == 7


# Input embeddings.


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bert", "bert.embeddings.word_embeddings.weight"),
        ("distilbert", "distilbert.embeddings.word_embeddings.weight"),
        ("roberta", "roberta.embeddings.word_embeddings.weight"),
        ("deberta", "deberta.embeddings.word_embeddings.weight"),
        ("deberta-v2", "deberta.embeddings.word_embeddings.weight"),
    ],
)
def test_input_embeddings_are_the_table_in_the_file(kind, name, masked_lms):
    tokenizer, table = input_embeddings(str(masked_lms[kind]))
    np.testing.assert_array_equal(table, load_file(masked_lms[kind] / "model.safetensors")[name])
    assert table.dtype == np.float32
    assert tokenizer.encode("film", add_special_tokens=False).ids


def test_a_classifier_has_input_embeddings_too(tiny_teacher):
    _, table = input_embeddings(str(tiny_teacher))
    stored = load_file(tiny_teacher / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(table, stored)


def test_a_file_without_embeddings_is_refused(copied):
    weights = load_file(copied / "model.safetensors")
    kept = {name: values for name, values in weights.items() if "word_embeddings" not in name and "decoder" not in name}
    assert len(kept) < len(weights)
    save_file(kept, copied / "model.safetensors", {"format": "pt"})
    assert error_of(input_embeddings, str(copied)).startswith(f"{copied}: must hold its input embeddings")


@pytest.mark.parametrize(
    "load",
    [lambda name: load_pretrained(name, *MASKED), input_embeddings],
)
def test_loading_leaves_the_global_generators_alone(load, tiny_masked_lm, tiny_teacher):
    import torch

    for folder in (tiny_masked_lm, tiny_teacher) if load is input_embeddings else (tiny_masked_lm,):
        before, numpy_before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002 - what is tested
        load(str(folder))
        assert torch.equal(torch.get_rng_state(), before)
        assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


# What a model is known by.


def test_a_model_in_another_place_has_the_same_fingerprint(tiny_masked_lm, copied):
    assert fingerprint(str(copied)) == fingerprint(str(tiny_masked_lm))
    assert fingerprint(f"{copied}/") == fingerprint(str(tiny_masked_lm))


def test_files_that_say_nothing_about_the_model_do_not_count(tiny_masked_lm, copied):
    (copied / "README.md").write_text("a model")
    (copied / ".gitattributes").write_text("*.bin")
    (copied / "runs").mkdir()
    assert fingerprint(str(copied)) == fingerprint(str(tiny_masked_lm))


def one_weight(folder):
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = weights[name] + np.float32(1e-3)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def the_config(folder):
    changed_json(folder / "config.json", layer_norm_eps=1e-3)


def two_words(folder):
    stored = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = stored["model"]["vocab"]
    vocabulary["good"], vocabulary["bad"] = vocabulary["bad"], vocabulary["good"]
    (folder / "tokenizer.json").write_text(json.dumps(stored))


def the_case(folder):
    changed_json(folder / "tokenizer_config.json", do_lower_case=False)


def added_tokens(folder):
    (folder / "added_tokens.json").write_text("{}")


@pytest.mark.parametrize("change", [one_weight, the_config, two_words, the_case, added_tokens])
def test_a_change_in_what_decides_is_another_fingerprint(change, tiny_masked_lm, copied):
    change(copied)
    assert fingerprint(str(copied)) != fingerprint(str(tiny_masked_lm))


def test_models_of_all_kinds_have_fingerprints_of_their_own(masked_lms, tiny_masked_lm, tiny_teacher):
    folders = [*masked_lms.values(), tiny_masked_lm, tiny_teacher]
    assert len({fingerprint(str(folder)) for folder in folders}) == len(folders)


# What is wrong with a model.


def without_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def without_config(folder):
    (folder / "config.json").unlink()


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def cut_short(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def garbage_for_config(folder):
    (folder / "config.json").write_text("{not json")


def a_list_for_config(folder):
    (folder / "config.json").write_text("[]")


def garbage_for_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{not json")


def another_width(folder):
    changed_json(folder / "config.json", hidden_size=18)


def one_layer_more(folder):
    changed_json(folder / "config.json", num_hidden_layers=3)


def of_an_unknown_kind(folder):
    changed_json(folder / "config.json", model_type="nosuchmodel")


@pytest.mark.parametrize(
    "spoil",
    [
        without_tokenizer,
        without_config,
        without_weights,
        cut_short,
        garbage_for_config,
        a_list_for_config,
        garbage_for_tokenizer,
        another_width,
        one_layer_more,
        of_an_unknown_kind,
    ],
)
def test_a_broken_model_is_one_line_that_names_it(spoil, copied):
    spoil(copied)
    assert error_of(load_pretrained, str(copied), *MASKED).startswith(f"{copied}: ")
    if spoil is not one_layer_more:
        assert error_of(input_embeddings, str(copied)).startswith(f"{copied}: ")
    assert len(fingerprint(str(copied))) == 32


def test_a_model_of_another_task_is_refused(tiny_teacher):
    error = error_of(load_pretrained, str(tiny_teacher), *MASKED)
    assert error.startswith(f"{tiny_teacher}: must be a masked language model with all its weights, got none of cls.")


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere", "../nowhere"])
@pytest.mark.parametrize("load", [fingerprint, input_embeddings, lambda name: load_pretrained(name, *MASKED)])
def test_a_path_to_nothing_is_no_name_on_the_hub(load, name):
    assert error_of(load, name) == f"{name}: must be the directory of a Hugging Face model, got nothing there"


@pytest.mark.parametrize("name", ["bert-base-nowhere", "no-such/model", "no such model", "a/b/c", "x" * 100, "model:7"])
@pytest.mark.parametrize("load", [fingerprint, input_embeddings, lambda name: load_pretrained(name, *MASKED)])
def test_a_name_that_cannot_be_reached_is_one_line(load, name, offline, caplog, capfd):
    with caplog.at_level(logging.WARNING):
        assert error_of(load, name).startswith(f"{name}: must be ")
    assert capfd.readouterr().err == ""


def test_an_empty_folder_is_refused(tmp_path):
    assert error_of(load_pretrained, str(tmp_path), *MASKED) == (
        f"{tmp_path}: must be a Hugging Face model, got no config.json in it"
    )


def test_a_model_without_a_padding_token_is_refused(copied):
    from transformers import PreTrainedTokenizerFast

    changed_json(copied / "config.json", pad_token_id=None)
    fast = PreTrainedTokenizerFast(tokenizer_file=str(copied / "tokenizer.json"), mask_token="[MASK]")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink()
    fast.save_pretrained(copied)
    error = error_of(load_pretrained, str(copied), *MASKED)
    assert error == f"{copied}: tokenizer or config.json must name a padding token, got none"


@pytest.mark.parametrize(
    "change", [{"num_hidden_layers": "x"}, {"vocab_size": -1}, {"hidden_size": 10**30}, {"num_attention_heads": 0}]
)
def test_a_config_that_describes_what_cannot_be_is_one_line(copied, change):
    changed_json(copied / "config.json", **change)
    assert error_of(load_pretrained, str(copied), *MASKED).startswith(f"{copied}: must be ")
