"""Interactive 3D viewer in the browser: video frame, camera and both hands over time. Needs no network."""

import errno
import socket
import threading
import time
from collections.abc import Callable

import numpy as np
import viser
from jaxtyping import Float

from handloom.errors import InputError
from handloom.futures import Futures
from handloom.hands import HandTrack
from handloom.skeleton import HANDS
from handloom.view.scene import CameraShape, HandShapes, add_futures
from handloom.view.stage import directions, set_stage

FrameLookup = Callable[[int], np.ndarray | None]
"""RGB image (H, W, 3) uint8 of a frame index, or None where there is none."""

_SPEEDS = ("0.1x", "0.25x", "0.5x", "1x", "2x")
_REFRESH_S = 1 / 30
_NO_IMAGE_DISTANCE_M = 0.1


def serve(
    track: HandTrack,
    frames: FrameLookup | None,
    *,
    truth: HandTrack | None = None,
    futures: Futures | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    block: bool = True,
) -> viser.ViserServer:
    """Show a record at http://host:port (the next free port if that one is taken).

    The scene is the record's own frame, in metres: x right, y down, z forward. The far end of the camera's
    pyramid shows the video frame, behind the hands; it is centred, so an off-centre principal point moves it
    slightly.

    Args:
        track: what to show.
        frames: how to get the video frame of an index, or None without video.
        truth: what is true of the same frames, in the same space, to show beside.
        futures: how the hands may go on, to show as paths of wrists and fingertips; the viewer then opens at the
            last frame, where they begin.
        block: keep serving until interrupted.

    Returns:
        The server, whose `get_port()` tells the port.

    Raises:
        InputError: the record has no frames, its truth has others, or there is no such port or host.
    """
    if not len(track):
        raise InputError("the record has no frames to show")
    if truth is not None and (len(truth) != len(track) or truth.frame != track.frame):
        raise InputError(
            f"the truth has {len(truth)} frames in {truth.frame} space, the record {len(track)} in {track.frame} space"
        )
    if not 0 < port < 65536:
        raise InputError(f"the port must be 1 ... 65535, found {port}")
    _require_address(host, port)
    server = viser.ViserServer(host=host, port=port, label="Handloom", verbose=block)
    _Player(server, track, frames, truth, futures)
    if block:
        try:
            server.sleep_forever()
        except KeyboardInterrupt:
            server.stop()
    return server


def _require_address(host: str, port: int) -> None:
    """Viser waits for ever for an address that cannot be had. A port that is taken is no fault: it tries the next."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except (OSError, UnicodeError) as failure:
        if getattr(failure, "errno", None) != errno.EADDRINUSE:
            reason = getattr(failure, "strerror", None) or failure
            raise InputError(
                f"cannot serve on {host}, port {port}: {reason}; choose another --host or --port"
            ) from None


class _Player:
    """The controls, and what they do to the scene."""

    def __init__(
        self,
        server: viser.ViserServer,
        track: HandTrack,
        frames: FrameLookup | None,
        truth: HandTrack | None,
        futures: Futures | None,
    ) -> None:
        self._server, self._track, self._frames, self._truth = server, track, frames, truth
        self._lock, self._playing = threading.Lock(), threading.Event()
        # With futures, the one moment counts at which they begin.
        looked_at = _shown(track if futures is None else track[-1:], futures)
        far = float(np.percentile(looked_at[:, 2], 98))
        behind_hands = bool(frames) and track.frame == "camera" and far > _NO_IMAGE_DISTANCE_M
        image_distance = round(1.15 * far, 2) if behind_hands else _NO_IMAGE_DISTANCE_M
        set_stage(server, looked_at, *directions(track))
        self._hands = [HandShapes(server, hand) for hand in range(len(HANDS))]
        self._true_hands = [] if truth is None else [HandShapes(server, hand, truth=True) for hand in range(len(HANDS))]
        self._camera = CameraShape(server, track.camera, image_distance) if track.camera else None
        self._add_playback()
        self._add_display(image_distance)
        if futures is not None:
            add_futures(server, futures)
        first = int(np.argmax(track.present.any(1))) if futures is None else len(track) - 1
        self._slider.value = first
        self._show(first)

    def _add_playback(self) -> None:
        gui, last = self._server.gui, len(self._track) - 1
        self._slider = gui.add_slider("Frame", min=0, max=max(1, last), step=1, initial_value=0)
        self._clock = gui.add_text("Time", "", disabled=True)
        records = [("", self._track)] + ([("True ", self._truth)] if self._truth else [])
        self._labels = [
            (gui.add_text(f"{who}{kind}".capitalize(), "", disabled=True), texts)
            for kind, say in (("action", _action_texts), ("object", _object_texts))
            for who, record in records
            if any(texts := say(record))
        ]
        self._button = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY)
        steps = gui.add_button_group("Step", ("−10", "−1", "+1", "+10"))
        self._speed = gui.add_dropdown("Speed", _SPEEDS, initial_value="1x")
        self._slider.on_update(lambda _: self._show(self._slider.value))
        self._button.on_click(lambda _: self._toggle())
        steps.on_click(lambda _: self._go(self._slider.value + int(steps.value.replace("−", "-"))))

    def _add_display(self, image_distance: float) -> None:
        gui = self._server.gui
        with gui.add_folder("Show"):
            for name, shapes in zip(HANDS, self._hands):
                box = gui.add_checkbox(f"{name.capitalize()} hand", initial_value=True)
                box.on_update(lambda event, root=shapes.root: setattr(root, "visible", event.target.value))
            if self._true_hands:
                box = gui.add_checkbox("Truth", initial_value=True)
                box.on_update(lambda event: self._show_truth(event.target.value))
            if self._camera and self._frames:
                camera = self._camera
                self._image_on = gui.add_checkbox("Video frame", initial_value=True)
                self._image_on.on_update(lambda _: self._show(self._slider.value))
                far = gui.add_slider(
                    "Frame at, m", min=0.02, max=2 * image_distance, step=0.01, initial_value=image_distance
                )
                far.on_update(lambda _: camera.set_distance(far.value))
        with gui.add_folder("Trust"):
            gui.add_markdown(f"Camera: **{self._track.camera_source}**  \nScale: **{self._track.scale_source}**")

    def _show(self, index: int) -> None:
        track, index = self._track, min(index, len(self._track) - 1)
        with self._lock, self._server.atomic():
            for hand, shapes in enumerate(self._hands):
                shapes.show(track.joints_m[index, hand], track.valid[index, hand])
            for hand, shapes in enumerate(self._true_hands):
                assert self._truth is not None
                shapes.show(self._truth.joints_m[index, hand], self._truth.valid[index, hand])
            for box, texts in self._labels:
                box.value = texts[index] or "–"
            if self._camera:
                self._camera.frustum.image = self._frames(index) if self._frames and self._image_on.value else None
                if track.frame == "world" and track.world_from_camera is not None:
                    self._camera.move(track.world_from_camera[index])
            seen = [name for name, present in zip(HANDS, track.present[index]) if present]
            self._clock.value = f"{track.times_s[index]:.3f} s · {' + '.join(seen) or 'no hand'}"

    def _show_truth(self, visible: bool) -> None:
        for shapes in self._true_hands:
            shapes.root.visible = visible

    def _go(self, index: int) -> None:
        self._slider.value = int(np.clip(index, 0, len(self._track) - 1))

    def _toggle(self) -> None:
        if self._playing.is_set():
            self._playing.clear()
        elif len(self._track) > 1:
            self._playing.set()
            threading.Thread(target=self._play, daemon=True).start()
        self._button.label = "Pause" if self._playing.is_set() else "Play"
        self._button.icon = viser.Icon.PLAYER_PAUSE if self._playing.is_set() else viser.Icon.PLAYER_PLAY

    def _play(self) -> None:
        """Advance with the clock, so that a slow connection skips frames and does not slow the motion."""
        times = self._track.times_s
        shown, at, before = -1, times[self._slider.value], time.perf_counter()
        while self._playing.is_set():
            time.sleep(_REFRESH_S)
            now = time.perf_counter()
            if self._slider.value != shown and shown >= 0:  # moved by hand
                at = times[self._slider.value]
            at += (now - before) * float(self._speed.value.rstrip("x"))
            before = now
            if at > times[-1]:
                at = times[0]
            shown = int(np.searchsorted(times, at, side="right")) - 1
            self._go(shown)


def _action_texts(track: HandTrack) -> list[str]:
    """The action of each frame with its score; empty outside of all segments."""
    says = [f"{action.label} · {action.score:.2f}" for action in track.actions]
    return [says[row] if row >= 0 else "" for row in track.action_labels]


def _object_texts(track: HandTrack) -> list[str]:
    """The likeliest object of each frame with its probability; empty without an estimate."""
    if track.object_probabilities is None:
        return [""] * len(track)
    return [
        f"{track.object_names[row]} · {probabilities[row]:.2f}" if row >= 0 else ""
        for row, probabilities in zip(track.object_labels, track.object_probabilities)
    ]


def _shown(track: HandTrack, futures: Futures | None) -> Float[np.ndarray, "points 3"]:
    """All points that are to be seen; made-up ones in front of the camera if there are none."""
    points = [track.joints_m[track.valid]]
    if futures is not None:
        points.append(futures.joints_m[:, :, futures.valid].reshape(-1, 3))
    known = np.concatenate(points)
    return known if len(known) else np.array([[-0.2, -0.2, 0.4], [0.2, 0.2, 0.6]])
