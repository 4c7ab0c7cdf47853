"""Shards on a local Ray cluster of two workers: the same bytes as from the pool of processes, and nothing twice."""

import sys

import pytest

from handloom.annotate import detect as detecting
from handloom.annotate.annotate import annotate
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.pool import local_engine
from handloom.cli import main
from handloom.errors import InputError
from made_up_capture import hands, make_capture, ring

try:
    import ray
except ImportError:
    ray = None
needs_ray = pytest.mark.skipif(ray is None, reason="Ray is not installed: pip install '.[ray]' (250 MB)")
OPTIONS = AnnotateOptions(shard_frames=20)


def test_without_ray_the_engine_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["annotate", str(tmp_path), "--out", str(tmp_path / "out"), "--engine", "ray"]) == 2
    assert "needs Ray" in (said := capsys.readouterr().err)
    assert "pip install '.[ray]'" in said


def test_an_address_is_for_ray(tmp_path, capsys):
    assert main(["annotate", str(tmp_path), "--out", str(tmp_path / "out"), "--ray-address", "a:1"]) == 2
    assert "--ray-address is for --engine ray" in capsys.readouterr().err


def _fails(_task):
    raise InputError("no good")


@needs_ray
def test_a_cluster_gives_the_same_bytes_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    from handloom.annotate.ray_engine import ray_engine

    scene = make_capture(tmp_path / "take", hands(70), ring(3))
    monkeypatch.setattr(detecting, "MediaPipeDetector", scene.detector)
    # The detector is faked in this process only; all later stages run elsewhere.
    for name in "ab":
        annotate(tmp_path / "take", tmp_path / name, OPTIONS, engine=local_engine(1), until="detect")
    annotate(tmp_path / "take", tmp_path / "a", OPTIONS, engine=local_engine(1))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        cluster, done = ray_engine(), []

        def stopped(function, tasks):
            for shard in cluster(function, tasks):
                if len(done) == 6:
                    raise KeyboardInterrupt
                done.append(shard)
                yield

        with pytest.raises(KeyboardInterrupt):
            annotate(tmp_path / "take", tmp_path / "b", OPTIONS, engine=stopped)
        folder = tmp_path / "b.stages" / "take"
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
        annotate(tmp_path / "take", tmp_path / "b", OPTIONS, engine=cluster)
        assert len(before) > 12 + 4 + 6
        assert all(path.stat().st_mtime_ns == time for path, time in before.items())
        with pytest.raises(InputError, match=r"^no good$"):
            list(cluster(_fails, [0, 1]))
    finally:
        ray.shutdown()
    one, other = (tmp_path / name / "data/chunk-000/file-000.parquet" for name in "ab")
    assert one.read_bytes() == other.read_bytes()
