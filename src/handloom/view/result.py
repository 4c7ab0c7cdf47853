"""Open a result folder in the 3D viewer."""

from pathlib import Path

from handloom.errors import InputError
from handloom.formats.futures import FUTURES_FILE, read_futures
from handloom.formats.result import RUN_FILE, TRUTH_FILE, read_run, read_track
from handloom.video import FrameLookup, Recording, open_source
from handloom.view.viewer import serve


def view_result(result: Path, video: Path | None, host: str, port: int) -> None:
    """Serve the viewer until interrupted.

    Args:
        result: result folder or hands.parquet.
        video: the video; by default the one that run.json names, if it is still there.
        host, port: where to serve.

    Raises:
        InputError: no result there, or the video named does not exist or has other frames.
    """
    track = read_track(result)
    mirrored = False
    folder = result if result.is_dir() else result.parent
    truth = read_track(folder / TRUTH_FILE) if (folder / TRUTH_FILE).is_file() else None
    futures = read_futures(folder / FUTURES_FILE) if (folder / FUTURES_FILE).is_file() else None
    if (folder / RUN_FILE).is_file():
        run = read_run(folder)
        mirrored = bool(run.get("arguments", {}).get("mirrored"))
        source = run.get("input", {})
        if video is None and source.get("frames") and Path(source.get("path", "")).exists():
            video = Path(source["path"])
    if video is None:
        serve(track, None, truth=truth, futures=futures, host=host, port=port)
        return
    with open_source(video, mirrored=mirrored) as source:
        if not isinstance(source, Recording) or (source.info.frame_count or 0) < len(track):
            raise InputError(
                f"{video} has {source.info.frame_count} frames, the result {len(track)}; give its own video"
            )
        serve(track, FrameLookup(source), truth=truth, futures=futures, host=host, port=port)
