"""What a store says of its own making, damaged: told with its place by whoever reads it."""

import json
import shutil
from dataclasses import asdict

import pytest

from handloom.datasets.check import check
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.verdicts import State
from handloom.errors import InputError
from handloom.formats.atomic import json_text
from handloom.simulate.simulation import Options
from handloom.simulate.studio import simulate
from made_up_store import MadeUp

SIZE = (32, 18)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return prepare_episodes(MadeUp((8, 6)), tmp_path_factory.mktemp("store") / "s", SIZE, ("front",)).store


@pytest.fixture
def store(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "s")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.clear(), "'made_of' is no table of names and digests"),
        (lambda v: v.update(made_of={"subject1/take/0": 3}), "'made_of' is no table of names and digests"),
        (lambda v: v.pop("shards"), "'shards' is no list"),
        (lambda v: v["shards"].__setitem__(1, 3), "'shards', number 1: int instead of an object"),
        (lambda v: v["shards"][1].pop("segments"), "'shards', number 1: no 'segments', or of a wrong kind"),
        (lambda v: v["shards"][0].update(length="8"), "'shards', number 0: no 'length', or of a wrong kind"),
        (lambda v: v["shards"].pop(), "it tells of other recordings than the store's own table"),
        (lambda v: v["made_of"].pop("subject2/take/1"), "it tells of other recordings than the store's own table"),
        (lambda v: v.pop("problems"), "'problems' is no list of places and reasons"),
        (lambda v: v.update(problems=[["here"]]), "'problems' is no list of places and reasons"),
    ],
)
def test_damaged_shards_json(store, change, message):
    path = store / "meta/shards.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    expected = f"{path} is damaged: {message}; delete {store} and prepare it again"
    with pytest.raises(InputError) as refusal:
        prepare_episodes(MadeUp((8, 6)), store, SIZE, ("front",))
    assert str(refusal.value) == expected
    schema = check(store)[0]
    assert (schema.item, schema.state, schema.message) == ("schema", State.FAIL, expected)


def test_damaged_handloom_json(store):
    path = store / "meta/handloom.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"left_out": 3}))
    with pytest.raises(InputError, match=r"handloom\.json is damaged: 'left_out' is no list of places and reasons"):
        prepare_episodes(MadeUp((8, 6)), store, SIZE, ("front",))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("plan.json", "{}", r"plan\.json is damaged: no settings or no layout .*; delete .*s\.part and prepare"),
        ("plan.json", '{"wanted": {', r"plan\.json ends in the middle"),
        (
            "shards/recording-subject1%2Ftake%2F0/about.json",
            "{}",
            r"about\.json is damaged: no 'name', .*; delete .*0, ",
        ),
    ],
)
def test_a_damaged_run_that_was_interrupted(tmp_path, name, text, message):
    class Broken(MadeUp):
        def read(self, name):
            if name == self.names[1]:
                raise InputError("pulled out")
            return super().read(name)

    with pytest.raises(InputError, match="pulled out"):
        prepare_episodes(Broken((8, 6)), tmp_path / "s", SIZE, ("front",))
    (tmp_path / "s.part" / name).write_text(text)
    with pytest.raises(InputError, match=message):
        prepare_episodes(MadeUp((8, 6)), tmp_path / "s", SIZE, ("front",))


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (-9, r"simulation\.json ends in the middle"),
        (None, r"simulation\.json is damaged: no count of recordings or frames; delete .* and simulate it again"),
    ],
)
def test_damaged_simulation_json(tmp_path, end, message):
    options = Options(subjects=1, repetitions=1, seconds=0.1)
    text = json_text({"rig": "h2o", "masks": False, "depth": False, **asdict(options)})
    (tmp_path / "simulation.json").write_text(text[:end])
    with pytest.raises(InputError, match=message):
        simulate("h2o", tmp_path, options)
