"""Hands in the surroundings of another clip."""

import pytest

from with_torch import needs_torch, torch

pytestmark = needs_torch


def batch(clips=4, T=2, H=40, W=64):
    """Clip k is of the colour k + 1; its left wrist is at (20, 12 + 4 k), all else unknown; frame 1 knows none."""
    from handloom.training.htt_loss import Target
    from handloom.training.samples import Sample

    points, known = torch.zeros(clips, T, 2, 21, 2), torch.zeros(clips, T, 2, 21, dtype=torch.bool)
    points[:, 0, 0, 0], known[:, 0, 0, 0] = torch.tensor([20.0, 12.0]), True
    points[:, 0, 0, 0, 1] += 4 * torch.arange(clips)
    target = Target(
        points,
        torch.zeros(clips, T, 2, 21),
        known,
        torch.zeros(clips, T, dtype=torch.long),
        torch.zeros(clips, dtype=torch.long),
        torch.ones(clips, T, dtype=torch.bool),
    )
    colours = torch.arange(1, clips + 1, dtype=torch.uint8)[:, None, None, None, None]
    return Sample(
        colours.expand(clips, T, 3, H, W).clone(), torch.eye(3).expand(clips, 3, 3), target, torch.zeros(4, 2)
    )


def exchanged(share, seed=0):
    from handloom.training.surroundings import exchange_surroundings

    return exchange_surroundings(batch(), share, torch.Generator().manual_seed(seed))


def test_what_is_near_a_joint_stays_and_the_rest_is_of_one_other_clip():
    found = exchanged(1.0).inputs
    for clip in range(4):
        picture = found[clip, 0]
        # Our own hand, and where that of the other clip would be.
        other = int(picture[0, 0, 60]) - 1
        for wrist in (12 + 4 * clip, 12 + 4 * other):
            assert set(picture[:, wrist - 1 : wrist + 1, 19:22].unique().tolist()) == {clip + 1}
        colours = set(picture.unique().tolist())
        assert len(colours) == 2
        assert clip + 1 in colours
        far = picture[:, :, 40:].unique().tolist()
        assert len(far) == 1
        assert far != [clip + 1]


def test_where_no_joint_is_known_nothing_changes():
    found = exchanged(1.0).inputs
    assert torch.equal(found[:, 1], batch().inputs[:, 1])


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_share_of_the_clips_by_chance_that_can_be_repeated(share):
    counts = []
    for seed in range(40):
        found = exchanged(share, seed).inputs
        assert torch.equal(found, exchanged(share, seed).inputs)
        counts.append(sum(not torch.equal(one, other) for one, other in zip(found, batch().inputs)))
    assert sum(counts) / 160 == pytest.approx(share, abs=0.1)


def test_labels_stay_as_they_are():
    found = exchanged(1.0)
    for one, other in zip(found.target, batch().target):
        assert torch.equal(one, other)
