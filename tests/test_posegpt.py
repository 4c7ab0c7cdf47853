"""PoseGPT: neither half looks ahead, gradients reach what they should, drawing is repeatable."""

import pytest

from handloom.errors import InputError
from with_torch import needs_torch, torch

pytestmark = needs_torch


def config(**changes):
    from handloom.models.posegpt import PoseGPTConfig

    codec = {"codec_dim": 32, "codec_feedforward": 64, "codec_layers": 1, "entries": 8, "code_dim": 16, "frames": 32}
    return PoseGPTConfig(**({"label_dim": 8, "dim": 32, "heads": 4, "layers": 2} | codec | changes))


def network(**changes):
    from handloom.models.posegpt import PoseGPT

    torch.manual_seed(0)
    return PoseGPT(config(**changes)).eval()


def motion(frames=16):
    torch.manual_seed(3)
    return torch.randn(2, frames, 153), torch.ones(2, frames, 42, dtype=bool)


def test_a_beginning_has_the_code_that_it_has_in_the_whole():
    codec = network().codec
    features, known = motion()
    whole, part = codec.encode(features, known), codec.encode(features[:, :10], known[:, :10])
    assert torch.equal(whole.indices[:, :5], part.indices)
    torch.testing.assert_close(codec.decode(whole.vectors)[:, :10], codec.decode(part.vectors))


def test_a_step_is_the_nearest_entry_of_every_book():
    codec = network().codec
    coded = codec.encode(*motion())
    assert coded.indices.shape == (2, 8, 2)
    torch.testing.assert_close(codec.look_up(coded.indices), coded.vectors)
    coded.loss.backward()
    assert codec.codes.grad.abs().sum() > 0
    assert codec.to_code.weight.grad.abs().sum() > 0


def test_all_entries_learn_from_the_beginning_and_those_unused_begin_again():
    codec = network(entries=32).codec
    features, known = motion()
    before = len(codec.encode(features, known).indices[..., 0].unique())
    first = codec.encode(features, known, learns=True).indices
    assert before < 4 < 8 < len(first[..., 0].unique())
    codes = codec.codes.detach().clone()
    for _ in range(90):
        codec.encode(features[:1, :2], known[:1, :2], learns=True)
    assert ((codec.codes != codes).any(-1).sum(1) > 16).all()
    again = codec.encode(features[:1, :2], known[:1, :2])
    assert again.loss < 1e-9  # an entry lies where the only code is that came of late
    kept = codec.codes.detach().clone()
    codec.encode(features, known)
    assert torch.equal(codec.codes, kept)


def test_a_word_depends_on_those_before_it():
    model = network()
    action, length = torch.randn(2, 8), torch.tensor([16, 16])
    indices = torch.randint(8, (2, 8, 2))
    logits = model.logits(action, length, indices)
    assert logits.shape == (2, 17, 8)
    changed = indices.clone()
    changed[:, 4, 1] = (changed[:, 4, 1] + 1) % 8
    again = model.logits(action, length, changed)
    torch.testing.assert_close(again[:, :10], logits[:, :10])
    assert not torch.allclose(again[:, 10:], logits[:, 10:])
    told = model.logits(-action, length, indices)
    assert not torch.allclose(told[:, 0], logits[:, 0])


def test_it_learns_a_sequence_by_heart_and_draws_it():
    model = network()
    action, length, counted = torch.zeros(1, 8), torch.tensor([12]), torch.ones(1, 6, dtype=bool)
    indices = torch.randint(8, (1, 6, 2), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = model.loss(action, length, indices, counted)
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    drawn = model.continue_codes(action, length, indices[:, :2], 4, top=1)
    assert torch.equal(drawn, indices)
    several = [
        model.continue_codes(action, length, indices[:, :1], 5, 8, torch.Generator().manual_seed(seed))
        for seed in (5, 5)
    ]
    assert torch.equal(*several)


def test_words_drawn_one_by_one_are_those_of_the_whole_sequence():
    model = network().eval()
    action, length = torch.randn(3, 8), torch.tensor([12, 10, 8])
    indices = torch.randint(8, (3, 2, 2), generator=torch.Generator().manual_seed(2))
    drawn = model.continue_codes(action, length, indices, 4, top=1)
    likeliest = model.logits(action, length, drawn).argmax(-1)
    assert torch.equal(drawn[:, :2], indices)
    assert torch.equal(drawn.flatten(1)[:, 4:], likeliest[:, 4:-1])
    assert torch.equal(model.continue_codes(action, length, indices, 0), indices)


def test_sizes_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="books must divide code_dim"):
        network(code_dim=15)
