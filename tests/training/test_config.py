import json
import subprocess
import sys

import pytest

from optimizers.training import TrainConfig


def test_notation_is_kept_canonical():
    config = TrainConfig(racers=["adam( lr = 1e-3 )", "momentum(lr=0.010)"])
    assert config.racers == ("adam", "momentum(lr=0.01)")
    config = TrainConfig(racers=("adam",), schedule="warmup( total_iters=5 ) cosine", augment="flip crop")
    assert (config.schedule, config.augment) == ("warmup+cosine", "crop+flip")


def test_json_round_trip():
    config = TrainConfig(racers=("adam", "gd(lr=0.1)"), epochs=3, limit=500, precision="fp32", seed=2**40)
    assert TrainConfig.from_json(config.to_json()) == config
    assert TrainConfig.from_json('{"racers": ["adam"]}') == TrainConfig(racers=("adam",))


@pytest.mark.parametrize(
    ("setting", "value", "names"),
    [
        ("racers", (), "at least one optimizer"),
        ("racers", "adam", "at least one optimizer"),
        ("racers", ("adamm",), "Did you mean adam?"),
        ("racers", ("adam(lr=-1)",), "lr of adam is -1"),
        ("data", "cifar", "Did you mean cifar10?"),
        ("data", None, "'None'"),
        ("model", "resnet", "keras_cnn"),
        ("device", "tpu", "device is 'tpu', but takes auto, cpu or cuda"),
        ("precision", "fp16", "precision is 'fp16', but takes auto, fp32, tf32 or bf16"),
        ("epochs", 0, "epochs is 0, but takes a whole number from 1"),
        ("epochs", 2.5, "epochs is 2.5"),
        ("epochs", True, "epochs is True"),
        ("batch_size", "32", "batch_size is '32'"),
        ("seed", -1, "seed is -1"),
        ("limit", 0, "limit is 0"),
        ("threads", 0, "threads is 0"),
        ("schedule", "cosin", "Did you mean cosine?"),
        ("schedule", 3, "3 is no schedule"),
        ("clip_norm", 0, "clip_norm is 0, but takes a finite number above 0"),
        ("clip_value", float("inf"), "clip_value is inf"),
        ("weight_decay", -0.1, "weight_decay is -0.1, but takes a finite number from 0"),
        ("weight_decay", True, "weight_decay is True"),
        ("dropout", 1.0, "dropout is 1.0, but takes a number from 0 to below 1"),
        ("label_smoothing", "0.1", "label_smoothing is '0.1'"),
        ("augment", "crop+flipp", "Did you mean flip?"),
        ("augment", None, "augment is None"),
        ("data", "folder:", "names no folder"),
        (
            "data",
            "digits",
            "keras_cnn takes pictures of at least 18 × 18 pixels, not 8 × 8: train simple_cnn or ",
        ),
        ("data", "docs8", "keras_cnn takes pictures, not texts: train text_cnn on docs8"),
        ("model", "text_cnn", "text_cnn takes texts, not pictures: train keras_cnn or "),
        ("seeds", 0, "seeds is 0, but takes a whole number from 1 to 100"),
        ("start_from", "", "start_from is ''"),
    ],
)
def test_a_bad_setting_gets_one_sentence(setting, value, names):
    with pytest.raises(ValueError, match=r"\w") as problem:
        TrainConfig(**{"racers": ("adam",), setting: value})
    sentence = str(problem.value)
    assert names in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_augmentation_is_of_pictures():
    with pytest.raises(ValueError, match="changes pictures, and docs8 has none"):
        TrainConfig(("adam",), data="docs8", model="text_cnn", augment="flip")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{", "JSON"),
        ("[1]", '"racers"'),
        ("{}", '"racers"'),
        ('{"racers": ["adam"], "epoch": 3}', "Did you mean epochs?"),
        ('{"racers": ["adam"], "epochs": "3"}', "epochs is '3'"),
        ('{"racers": [3]}', "3 is no optimizer"),
    ],
)
def test_a_bad_recipe_gets_one_sentence(text, names):
    with pytest.raises(ValueError, match=r"\w") as problem:
        TrainConfig.from_json(text)
    assert names in str(problem.value)


def test_importing_the_lab_is_light():
    program = "import sys, json, optimizers.training; print(json.dumps(sorted(sys.modules)))"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"torch", "numba", "matplotlib", "sklearn", "sqlalchemy", "streamlit", "dask"}
    assert not heavy & set(json.loads(modules.stdout))
