"""Training on several processes, and where memory does not suffice: nobody waits for ever, all hold equal numbers."""

import json
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError, TrainingError
from made_up_store import MadeUp
from with_torch import TINY, needs_torch, torch

pytestmark = needs_torch
SMALL = {**TINY, "pixel_scale": 50.0}
OPTIONS = {"preset": "paper", "camera": "front", "workers": 0, "device": "cpu", "epochs": 1, "precision": "float32"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(MadeUp((24, 24, 20)), out, (64, 36), ("front",))
    return out


def train(store, out, **options):
    from handloom.training.htt import train_htt
    from handloom.training.options import HTTOptions

    return train_htt([store], out, HTTOptions(**(OPTIONS | options)), SMALL)


class FewFit:
    """In place of the network's forward: more than `most` clips are too many for the memory."""

    def __init__(self, most, monkeypatch):
        from handloom.training.stage import Forward

        self.most, self.tried, self.left = most, [], []
        real = Forward.forward

        def forward(module, inputs, valid, intrinsics):
            self.tried.append(len(inputs))
            assert not [tensor for tensor in self.left if tensor() is not None], "a failed step is still in memory"
            output = real(module, inputs, valid, intrinsics)
            self.left.append(weakref.ref(output.joints_m))
            if len(inputs) > self.most:
                raise torch.OutOfMemoryError("made up")
            self.left.clear()
            return output

        monkeypatch.setattr(Forward, "forward", forward)


@pytest.mark.parametrize(
    ("most", "tried", "advice"),
    [(3, [8, 4, 2], "2 would fit: use --batch-clips 2"), (0, [8, 4, 2, 1], "not even one fits: use more memory")],
)
def test_a_batch_that_is_too_large_says_which_would_fit(store, tmp_path, monkeypatch, most, tried, advice):
    fake = FewFit(most, monkeypatch)
    with pytest.raises(TrainingError, match=f"does not suffice for a batch of 8 clips; {advice}, or a smaller network"):
        train(store, tmp_path / "r", batch_clips=8)
    assert fake.tried == tried


def test_memory_that_the_optimizer_lacks_is_reported_too(store, tmp_path, monkeypatch):
    def step(self, closure=None):
        raise torch.OutOfMemoryError("made up")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(TrainingError, match="batch of 4 clips; 2 would fit: use --batch-clips 2"):
        train(store, tmp_path / "r", batch_clips=4)


TWO = """
import json, os
from pathlib import Path
import torch
from handloom.training.htt import train_htt
from handloom.training.options import HTTOptions
from handloom.training.processes import Processes

average, kept, told, rank = Processes.average, [], [], os.environ["RANK"]

def recorded(self, values):
    before = torch.cat([value.flatten() for value in values]) if values else None
    average(self, values)
    if values:
        kept.append((before.tolist(), torch.cat([value.flatten() for value in values]).tolist()))

Processes.average = recorded
options = HTTOptions(batch_clips=2, **{options!r} | dict(preset="small"))
train_htt([Path({store!r})], Path({out!r}), options, {tiny!r}, progress=lambda *step: told.append(step))
Path({out!r} + rank + ".json").write_text(json.dumps(dict(kept=kept, told=told)))
"""
TOO_LARGE = """
import os
from pathlib import Path
import torch
from handloom.training.htt import train_htt
from handloom.training.options import HTTOptions
from handloom.training.stage import Forward

forward = Forward.forward

def few_fit(module, inputs, valid, intrinsics):
    if os.environ["RANK"] == "1" and len(inputs) > 2:
        raise torch.OutOfMemoryError("made up")
    return forward(module, inputs, valid, intrinsics)

Forward.forward = few_fit
train_htt([Path({store!r})], Path({out!r}), HTTOptions(batch_clips=8, **{options!r}), {tiny!r})
"""


def launched(code: str, store: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The code on two processes, with `folder` / "r" for the run."""
    script = folder / "two.py"
    script.write_text(code.format(store=str(store), out=str(folder / "r"), options=OPTIONS, tiny=SMALL))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_all_processes_keep_the_mean_of_their_statistics(store, tmp_path):
    """And every stage tells of itself under its own name."""
    done = launched(TWO, store, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (json.loads((tmp_path / f"r{rank}.json").read_text()) for rank in (0, 1))
    assert len(one["kept"]) == len(two["kept"]) > 1
    for (before, after), (other_before, other_after) in zip(one["kept"], two["kept"]):
        assert after == other_after
        assert before != other_before
        np.testing.assert_allclose(after, np.mean([before, other_before], 0), rtol=1e-5, atol=1e-6)
    stages = list(dict.fromkeys(stage for stage, _, _ in one["told"]))
    assert stages == ["train, frames", "features, train, clips", "train, clips"]
    for name in stages:
        counts = [(count, total) for stage, count, total in one["told"] if stage == name]
        assert counts == sorted(counts)
        assert counts[-1][0] == counts[-1][1]
    assert two["told"] == []


def test_memory_that_one_of_two_processes_lacks_ends_both(store, tmp_path):
    done = launched(TOO_LARGE, store, tmp_path)
    assert done.returncode != 0
    expected = "does not suffice for a batch of 4 clips (of 8 over 2 processes); 4 would fit: use --batch-clips 4"
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("option", "named"),
    [("backbone_from", "start"), ("start_from", "start"), ("backbone_weights", "backbone_weights")],
)
def test_a_run_is_not_continued_from_other_weights_of_the_same_name(store, tmp_path, option, named):
    from handloom.formats.weights import save_pretrained, write_tensors
    from handloom.models.htt import HTT
    from handloom.training.htt import config_for

    def put(seed):
        torch.manual_seed(seed)
        model = HTT(replace(config_for([Store(store)]), **SMALL))
        (tmp_path / str(seed)).mkdir()
        if option != "backbone_weights":
            save_pretrained(model, tmp_path / str(seed) / "w")
            return tmp_path / str(seed) / "w"
        write_tensors(tmp_path / str(seed) / "w.safetensors", model.backbone.state_dict())
        return tmp_path / str(seed) / "w.safetensors"

    first, other = put(1), put(2)
    train(store, tmp_path / "r", max_steps=1, **{option: first})
    with pytest.raises(
        InputError, match=rf"other settings \({named}: begun with sha256 \w{{16}}, now sha256 \w{{16}}\)"
    ):
        train(store, tmp_path / "r", max_steps=1, **{option: other})
    first.rename(tmp_path / "moved.safetensors" if first.is_file() else tmp_path / "moved")
    train(store, tmp_path / "r", max_steps=1, **{option: next(tmp_path.glob("moved*"))})


def test_two_stages_have_two_bars(capsys):
    from handloom.terminal import ProgressBar

    with ProgressBar("steps") as progress:
        progress("train, frames", 48, 48)
        progress("train, clips", 3, 16)
    shown = capsys.readouterr().err
    assert "training frames" in shown
    assert "48/48 steps" in shown
    assert "training clips" in shown
    assert "3/16 steps" in shown
