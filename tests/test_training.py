"""How a student is trained: settings in their ranges, epochs enough for small sets, and rates that rise and fall."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from students import Reading, Training
from students._run import fast_dtype
from students.training import LEAST_EPOCHS, LEAST_STEPS, MONITORS, SCHEDULES
from transferset import StillhouseError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "train: epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "train: batch-size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, r"train: learning-rate must be above 0, got 0\.0"),
        ({"learning_rate": -1.0}, r"train: learning-rate must be above 0, got -1\.0"),
        ({"learning_rate": math.nan}, "train: learning-rate must be above 0, got nan"),
        ({"learning_rate": math.inf}, "train: learning-rate must be above 0, got inf"),
        ({"warmup": 1.5}, r"train: warmup must be between 0 and 1, got 1\.5"),
        ({"weight_decay": -0.1}, r"train: weight-decay must be at least 0, got -0\.1"),
        ({"weight_decay": math.nan}, "train: weight-decay must be at least 0, got nan"),
        ({"copies": -1}, "train: copies must be at least 0, got -1"),
        ({"patience": 0}, "train: patience must be at least 1, got 0"),
        ({"holdout": 1.0}, r"train: holdout must be at least 0 and below 1, got 1\.0"),
        ({"holdout": -0.1}, r"train: holdout must be at least 0 and below 1, got -0\.1"),
        ({"holdout": math.nan}, "train: holdout must be at least 0 and below 1, got nan"),
        ({"schedule": "cosin"}, "train: schedule: must be one of linear, cosine, constant, .* did you mean 'cosine'?"),
        ({"dtype": "bfloat"}, "train: dtype: must be one of auto, float32, bfloat16, .* did you mean 'bfloat16'?"),
        ({"monitor": "acuracy"}, "train: monitor: must be one of loss, accuracy, .* did you mean 'accuracy'?"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, message):
    with pytest.raises(StillhouseError, match=message):
        Training(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"most_words": 0}, "train: most-words must be at least 1, got 0"),
        ({"max_tokens": 0}, "train: max-tokens must be at least 1, got 0"),
        ({"tokens": "peices"}, "train: tokens: must be one of words, pieces, got 'peices': did you mean 'pieces'?"),
    ],
)
def test_a_way_of_reading_out_of_range_is_refused(setting, message):
    with pytest.raises(StillhouseError, match=message):
        Reading(**setting)


def test_the_ends_of_the_ranges_are_in_them():
    Training(epochs=1, batch_size=1, warmup=0.0, weight_decay=0.0, copies=0, patience=1, holdout=0.0)
    Training(warmup=1.0, holdout=0.999)
    assert [Training(monitor=each).monitor for each in MONITORS] == list(MONITORS)


STEPS = st.integers(1, 300)


@settings(deadline=None, max_examples=60)
@given(STEPS, st.floats(0, 1), st.sampled_from(SCHEDULES), st.floats(1e-6, 10))
def test_the_rate_rises_to_its_height_and_never_passes_it(steps, warmup, schedule, height):
    rates = [Training(learning_rate=height, warmup=warmup, schedule=schedule).rate(n, steps) for n in range(steps)]
    assert all(0 < rate <= height for rate in rates)
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    # The peak is no later than the end of the warm-up.
    assert top <= max(1.0, warmup * steps)


def test_without_a_warm_up_the_first_step_has_the_whole_rate():
    for schedule in SCHEDULES:
        assert Training(learning_rate=0.5, warmup=0.0, schedule=schedule).rate(0, 10) == 0.5


def test_linear_and_cosine_are_torchs():
    steps = 40
    weight = torch.nn.Parameter(torch.zeros(1))
    for schedule, theirs in (
        ("linear", lambda each: torch.optim.lr_scheduler.LinearLR(each, 1.0, 0.0, steps)),
        ("cosine", lambda each: torch.optim.lr_scheduler.CosineAnnealingLR(each, steps)),
    ):
        optimizer = torch.optim.SGD([weight], lr=0.3)
        scheduler = theirs(optimizer)
        ours = Training(learning_rate=0.3, warmup=0.0, schedule=schedule)
        for step in range(steps):
            assert ours.rate(step, steps) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
            optimizer.step()
            scheduler.step()


def test_constant_rises_and_stays():
    training = Training(learning_rate=1.0, warmup=0.4, schedule="constant")
    assert [training.rate(step, 10) for step in range(10)] == [0.25, 0.5, 0.75, *[1.0] * 7]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5_000_000), st.integers(1, 4096))
def test_small_sets_are_seen_often_enough_and_large_ones_a_few_times(rows, batch_size):
    epochs = Training(batch_size=batch_size).epochs_for(rows)
    steps = -(-rows // batch_size)
    assert epochs >= LEAST_EPOCHS
    assert epochs * steps >= LEAST_STEPS
    assert epochs == LEAST_EPOCHS or (epochs - 1) * steps < LEAST_STEPS


@pytest.mark.parametrize("epochs", [1, 7])
def test_as_many_epochs_as_were_asked_for(epochs):
    assert Training(epochs=epochs).epochs_for(3) == Training(epochs=epochs).epochs_for(10**9) == epochs


def test_a_precision_by_name():
    assert fast_dtype("float32") is torch.float32
    assert fast_dtype("bfloat16") is torch.bfloat16
    assert fast_dtype("auto") in (torch.float32, torch.bfloat16)
