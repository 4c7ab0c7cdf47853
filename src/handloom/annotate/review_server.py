"""The page on which a person corrects labels: served on this machine, without any other server."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

from handloom.annotate.review import Edits, Seen, Solved, doubts, seen_in, solve_frame
from handloom.annotate.review_page import PAGE
from handloom.annotate.run import Run
from handloom.annotate.timeline import timeline
from handloom.errors import HandloomError, InputError
from handloom.formats.atomic import json_text
from handloom.formats.episode import CameraStream
from handloom.formats.pictures import picture_getter
from handloom.skeleton import BONES, HANDS

_QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 90)


class Review:
    """One recording under review: what the page shows of a frame, and what becomes of a person's positions."""

    def __init__(self, run: Run, name: str) -> None:
        recording = run.open(name)
        self.folder, self._shard = recording.folder, run.options.shard_frames
        self.cameras = list(recording.cameras)
        self.names = [camera.name for camera in self.cameras]
        self.clock = timeline(self.cameras, recording.synchronise().offsets)
        self.edits = Edits(self.folder)
        labels, seen_by_two = recording.labels(self.clock)
        order = np.argsort(-doubts(labels, seen_by_two), kind="stable")
        self._order, self._labels = order[seen_by_two[order].any(1)].tolist(), labels
        self._pictures = [self._getter(view) for view in range(len(self.cameras))]
        self._lock = threading.Lock()

    @property
    def queue(self) -> list[int]:
        """Frames, the worst first; those that a person has saved last."""
        return sorted(self._order, key=lambda frame: str(frame) in self.edits.frames)

    def frame(self, frame: int, positions: dict[str, Any] | None = None) -> dict[str, Any]:
        """What every view saw, the 3D that follows, and its image in every view.

        Args:
            frame: number of the frame.
            positions: a person's image positions that are not saved yet; by default the saved ones.

        Raises:
            InputError: no such frame.
        """
        if not 0 <= frame < len(self.clock.times_s):
            raise InputError(f"there are frames 0 ... {len(self.clock.times_s) - 1}, not {frame}")
        edits = Edits(self.folder)
        if positions is not None:
            edits.frames[str(frame)] = positions
        seen = edits.onto(frame, self._seen(frame), self.names)
        solved = solve_frame(self.cameras, self.poses(frame), seen)
        views = [self._view(view, seen, solved) for view in range(len(self.cameras))]
        return {
            "frame": frame,
            "views": views,
            "joints": solved.joints,
            "error_px": solved.error_px,
            "positions": edits.frames.get(str(frame), {}),
        }

    def save(self, frame: int, positions: dict[str, Any]) -> None:
        """Keep a person's positions. Raises InputError, OutputError."""
        with self._lock:
            self.edits.set(frame, positions, self.cameras)

    def picture(self, view: int, frame: int) -> bytes:
        """JPEG of a frame; grey where the camera has none."""
        camera = self.cameras[view].camera
        number = int(self.clock.index[view, frame])
        with self._lock:
            image = None if number < 0 else self._pictures[view](number)
        if image is None:
            image = np.full((camera.height, camera.width, 3), 128, np.uint8)
        return bytes(cv2.imencode(".jpg", image[..., ::-1], list(_QUALITY))[1].tobytes())

    def poses(self, frame: int) -> np.ndarray:
        """camera_from_world of every camera."""
        return np.concatenate([c.poses(self.clock.index[v, frame : frame + 1]) for v, c in enumerate(self.cameras)])

    def _seen(self, frame: int) -> Seen:
        return seen_in(self.folder, frame, len(self.clock.times_s), self._shard)

    def _view(self, view: int, seen: Seen, solved: Solved) -> dict[str, Any]:
        return {
            "keypoints": seen.keypoints_px[view],
            "used": seen.weight[view] > 0,
            "manual": seen.manual[view],
            "reprojected": solved.reprojected_px[view],
        }

    def _getter(self, view: int) -> Callable[[int], np.ndarray | None]:
        camera = self.cameras[view]
        poses = np.broadcast_to(np.eye(4), (len(camera), 4, 4))
        getter = picture_getter(CameraStream(camera.name, camera.camera, poses, camera.pictures))
        return lru_cache(8)(getter)


@dataclass(frozen=True, eq=False)
class Reviews:
    """All recordings of a run, opened when asked for, and how labels are written to the store."""

    run: Run
    names: tuple[str, ...]
    store: Callable[[], str]
    writing: threading.Lock = field(default_factory=threading.Lock)

    @lru_cache(4)  # noqa: B019 - as long as the server
    def of(self, name: str) -> Review:
        """The review of a recording. Raises InputError: there is none of this name."""
        if name not in self.names:
            raise InputError(f"there is no recording {name!r}")
        return Review(self.run, name)


def review_server(reviews: Reviews, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is ready to run; port 0 takes any free one. Raises InputError: the address is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            self._answer(lambda: _get(reviews, address.path, query))

        def do_POST(self) -> None:
            if self.headers.get_content_type() != "application/json":  # other pages' forms cannot send this
                self._send(415, "text/plain", b"expected JSON")
                return
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            self._answer(lambda: _post(reviews, self.path, body))

        def _answer(self, work: Callable[[], tuple[str, bytes]]) -> None:
            try:
                kind, content = work()
            except (HandloomError, KeyError, ValueError, TypeError, AttributeError) as failure:
                self._send(400, "application/json", json.dumps({"error": str(failure)}).encode())
            else:
                self._send(200, kind, content)

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as failure:
        raise InputError(f"cannot serve on {host}:{port}: {failure.strerror or failure}; choose another port") from None


def _get(reviews: Reviews, path: str, query: dict[str, str]) -> tuple[str, bytes]:
    if path == "/":
        return "text/html; charset=utf-8", PAGE.encode()
    if path == "/favicon.ico":
        return "image/x-icon", b""
    if path == "/about":
        return _json({"recordings": reviews.names, "bones": BONES, "hands": HANDS})
    review = reviews.of(query["recording"])
    if path == "/queue":
        cameras = [{"name": c.name, "width": c.camera.width, "height": c.camera.height} for c in review.cameras]
        return _json({"frames": review.queue, "saved": [int(key) for key in review.edits.frames], "cameras": cameras})
    if path == "/frame":
        return _json(review.frame(int(query["frame"])))
    if path == "/picture":
        return "image/jpeg", review.picture(int(query["view"]), int(query["frame"]))
    raise InputError(f"nothing at {path}")


def _post(reviews: Reviews, path: str, body: dict[str, Any]) -> tuple[str, bytes]:
    if path == "/store":
        with reviews.writing:
            return _json({"stored": reviews.store()})
    review = reviews.of(body["recording"])
    if path == "/solve":
        return _json(review.frame(int(body["frame"]), body["positions"]))
    if path == "/save":
        review.save(int(body["frame"]), body["positions"])
        return _json({"saved": int(body["frame"])})
    raise InputError(f"nothing at {path}")


def _json(values: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json_text(values).encode()
