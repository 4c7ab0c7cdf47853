"""The authors' checkpoints: read whole, never executed, refused with the reason."""

import os
import pickle
import re

import numpy as np
import pytest

import htt_golden
from handloom.cli import main
from handloom.errors import InputError
from with_torch import needs_torch, torch

pytestmark = needs_torch


@pytest.fixture(scope="module")
def released():
    """Weights as the released code saves them, of the size for H2O."""
    weights = htt_golden.released_weights(joints=42, objects=8, actions=36)
    return {key: torch.from_numpy(np.asarray(value)) for key, value in weights.items()}


def saved(path, state_dict, **changes):
    """A checkpoint with all that the released code puts into it, the scheduler as a whole object."""
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam([parameter], lr=3e-5)
    parameter.sum().backward()
    optimizer.step()
    content = {
        "epoch": 45,
        "network": "HTT",
        "state_dict": state_dict,
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 15, gamma=0.5),
    }
    torch.save({**content, **changes}, path)
    return path


def message(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr().err.strip()
    assert printed.startswith("handloom: ")
    assert "\n" not in printed
    return printed


def test_a_checkpoint_as_the_authors_save_it(released, tmp_path, capsys):
    """With `module.` before every key, as DataParallel has it; the values come through to the bit."""
    from handloom.formats.weights import load_pretrained
    from handloom.models.htt import HTT, HTTConfig

    path = saved(tmp_path / "checkpoint_45.pth", {f"module.{key}": value for key, value in released.items()})
    assert main(["import-weights", "htt", str(path), "--out", str(tmp_path / "htt")]) == 0
    printed = capsys.readouterr().out
    assert "epoch 45" in printed
    assert "grab book" in printed
    model = load_pretrained(HTT, HTTConfig, tmp_path / "htt")
    assert model.config.hands == ("left", "right")
    assert len(model.config.actions) == 36
    stacked = released["transformer_pose.encoder.layers.1.self_attn.in_proj_weight"]
    layer = model.pose_block.layers[1]
    assert torch.equal(torch.cat([layer.queries_keys.weight, layer.values.weight]), stacked)
    assert torch.equal(model.action_head.weight, released["action_classification.classifier.weight"])
    assert "already holds weights" in message(capsys, "import-weights", "htt", path, "--out", tmp_path / "htt")


def test_fpha_is_told_by_its_numbers(tmp_path):
    from handloom.formats.htt_checkpoint import read_htt_checkpoint

    weights = {key: torch.from_numpy(np.asarray(value)) for key, value in htt_golden.released_weights().items()}
    model, about = read_htt_checkpoint(saved(tmp_path / "c.pth", weights))
    assert (model.config.hands, len(model.config.objects), about["epoch"]) == (("right",), 26, 45)


def test_other_classes_need_their_names(released, tmp_path, capsys):
    other = {**released}
    for name, shape in (("weight", (3, 512)), ("bias", (3,))):
        other[f"action_classification.classifier.{name}"] = torch.zeros(shape)
    path = saved(tmp_path / "c.pth", other)
    command = ("import-weights", "htt", path, "--out", tmp_path / "out")
    assert "knows 3 actions and 8 objects, but 0 and 0 names were given" in message(capsys, *command)
    names = {"actions": "cut\nstir\npour water\n", "objects": "\n".join(f"thing {k}" for k in range(8))}
    for kind, text in names.items():
        (tmp_path / kind).write_text(text)
    lists = ("--actions", tmp_path / "actions", "--objects", tmp_path / "objects")
    assert main([str(argument) for argument in (*command, *lists)]) == 0
    assert "pour water" in capsys.readouterr().out
    (tmp_path / "actions").write_text("cut\nstir\n")
    assert "3 actions and 8 objects, but 2 and 8" in message(capsys, *command, *lists, "--overwrite")
    (tmp_path / "actions").write_text("cut\nstir\ncut\n")
    assert "line 3: 'cut' is given twice" in message(capsys, *command, *lists, "--overwrite")
    (tmp_path / "actions").write_text("cut\n\nstir\n")
    assert "line 2 is empty" in message(capsys, *command, *lists, "--overwrite")


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", ["scheduler", "optimizer", "epoch", "state_dict"])
@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_in_a_malicious_checkpoint_runs(released, tmp_path, capsys, place, legacy):
    mark, path = tmp_path / "ran", tmp_path / "evil.pth"
    content = {"epoch": 1, "network": "HTT", "state_dict": {}, "optimizer": {}, "scheduler": {}}
    content[place] = {"a": Malicious(mark)} if place == "state_dict" else Malicious(mark)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert re.search(
        "(posix|nt).system.*nothing in it was executed",
        message(capsys, "import-weights", "htt", path, "--out", tmp_path / "out"),
    )
    assert not mark.exists()
    assert not (tmp_path / "out").exists()
    if not legacy and place == "epoch":
        torch.load(path, weights_only=False)
        assert mark.exists(), "the checkpoint was harmless, so this test proves nothing"


def test_a_bare_pickle_runs_nothing_either(tmp_path, capsys):
    mark, path = tmp_path / "ran", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Malicious(mark)))
    message(capsys, "import-weights", "htt", path, "--out", tmp_path / "out")
    assert not mark.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated(released, tmp_path, share):
    from handloom.formats.htt_checkpoint import read_htt_checkpoint

    path = saved(tmp_path / "c.pth", {"a": torch.zeros(1000)})
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"c\.pth (is truncated or no|cannot be read)"):
        read_htt_checkpoint(path)


def test_missing_file_and_folder(tmp_path, capsys):
    command = ("import-weights", "htt")
    assert "does not exist" in message(capsys, *command, tmp_path / "no.pth", "--out", tmp_path / "out")
    assert "is a folder" in message(capsys, *command, tmp_path, "--out", tmp_path / "out")
    for name, content in (("zero.mp4", ""), ("text.txt", "some text\n")):
        (tmp_path / name).write_text(content)
        said = message(capsys, *command, tmp_path / name, "--out", tmp_path / "out")
        assert said.endswith(f"{name} is truncated or no PyTorch checkpoint; give a whole .pth file")


POSE = "image_to_hand_pose.mlp.0.weight"
IN_PROJ = "transformer_action.encoder.layers.0.self_attn.in_proj_weight"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({POSE: (512, 511)}, rf"{POSE} has shape \(512, 511\), expected \(512, 512\)"),
        ({IN_PROJ: (1500, 512)}, rf"{IN_PROJ} has shape \(1000, 512\), expected \(1024, 512\)"),
        ({"meshregnet.base_net.layer2.0.downsample.0.weight": (128, 64, 3, 3)}, "downsample.0.weight has shape"),
        ({POSE: None}, f"lacks {POSE}"),
        ({IN_PROJ: None}, rf"lacks {IN_PROJ} \(and 1 more\)"),
        ({"obj_classification.classifier.weight": None}, "lacks obj_classification.classifier.weight"),
        ({"obj_classification.classifier.weight": (8,)}, "classifier.weight has shape .8,., expected 2 dimensions"),
        ({"image_to_hand_pose.mlp.4.weight": (60, 512)}, "estimates 20 joints; Handloom knows hands of 21"),
        ({"depth_head.weight": (3, 3)}, "has an unknown depth_head.weight; it is no checkpoint of HTT"),
        ({"meshregnet.base_net.layer9.weight": (3, 3)}, "has an unknown meshregnet.base_net.layer9.weight"),
        ({"transformer_pe.pe": (1, 5000, 512)}, "transformer_pe.pe is not the sine table"),
        ({"transformer_pe.pe": (5,)}, "transformer_pe.pe is not the sine table"),
        ({"action_token": "text"}, "action_token is no array of numbers"),
        ({"image_to_olabel_embed.bias": float("nan")}, "image_to_olabel_embed.bias is not finite"),
    ],
)
def test_weights_that_do_not_fit_are_named(released, change, expected):
    from handloom.formats.htt_checkpoint import model_of_state_dict

    weights = {**released}
    for key, value in change.items():
        if value is None:
            del weights[key]
        elif isinstance(value, tuple):
            weights[key] = torch.ones(value)
        else:
            weights[key] = value if isinstance(value, str) else torch.full_like(weights[key], value)
    with pytest.raises(InputError, match=expected):
        model_of_state_dict(weights, "it")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"network": "MeshRegNet", "state_dict": {}}, "holds the network 'MeshRegNet', not HTT"),
        ({"weights": {}}, "expected a dictionary with the field state_dict"),
        ([1, 2], "expected a dictionary with the field state_dict"),
        ({"state_dict": {}}, "lacks image_to_hand_pose.mlp.4.weight; it is no checkpoint of HTT"),
    ],
)
def test_other_files(tmp_path, content, expected):
    from handloom.formats.htt_checkpoint import read_htt_checkpoint

    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(InputError, match=expected):
        read_htt_checkpoint(tmp_path / "c.pth")


def test_a_damaged_or_foreign_weights_folder(tmp_path):
    from handloom.formats.weights import load_pretrained, save_pretrained
    from handloom.models.htt import HTT, HTTConfig
    from test_htt_model import small_model

    folder = tmp_path / "w"
    save_pretrained(small_model(), folder)
    config = (folder / "config.json").read_text()
    for damaged, expected in (
        (config.replace('"HTT"', '"Other"'), "holds weights of Other, not of HTT"),
        (config.replace('"spacing"', '"stride"'), "unknown settings stride"),
        (config.replace('"heads": 4', '"heads": 5'), "dim must be even and a multiple of heads"),
        (config.replace('"dim": 32', '"dim": 64'), "has shape"),
        (config[:50], "ends in the middle"),
    ):
        (folder / "config.json").write_text(damaged)
        with pytest.raises(InputError, match=expected):
            load_pretrained(HTT, HTTConfig, folder)
    (folder / "config.json").write_text(config)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match="truncated or not a safetensors file"):
        load_pretrained(HTT, HTTConfig, folder)
