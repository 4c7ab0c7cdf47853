"""Which folder is a training that has no weights yet, and which is none at all."""

import pytest

from handloom.errors import InputError
from handloom.formats.weights_config import read_config, weights_folder


@pytest.mark.parametrize("place", ["training.json", "1-codec/training.json", "2-clips/training.json"])
def test_a_training_of_one_stage_or_several_is_told_to_go_on(tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("{}")
    for ask in (weights_folder, read_config):
        with pytest.raises(InputError, match="is not finished; the command that began it goes on"):
            ask(tmp_path)


def test_a_folder_of_trainings_is_none_itself(tmp_path):
    (tmp_path / "pose" / "model").mkdir(parents=True)
    (tmp_path / "pose" / "training.json").write_text("{}")
    assert weights_folder(tmp_path) == tmp_path
    with pytest.raises(InputError, match=r"holds no config\.json; give a folder with weights"):
        read_config(tmp_path)
    assert weights_folder(tmp_path / "pose") == tmp_path / "pose" / "model"
