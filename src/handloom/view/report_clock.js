// The data of the report, and the one clock that everything follows.
const poses = { t: floats(data.poses.t), frame: new Int32Array(bytes(data.poses.frame).buffer) };
const hands = data.scene.hands;
const coverage = { edges: floats(data.coverage.edges), hands: data.coverage.hands.map(bytes) };
const plots = data.plots.map((plot) => ({
  ...plot, series: plot.series.map((s) => ({ t: floats(s.t), v: floats(s.v) })),
}));

/** Index of the last time that is not after t (but for rounding), at least 0. */
function at(times, t) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= t + data.step_s / 10) low = middle; else high = middle - 1;
  }
  return low;
}

let now = 0, playing = false, last = 0;
const listeners = [];

function setTime(t) {
  now = clamp(t, 0, data.end_s);
  listeners.forEach((listen) => listen());
}

function setPlaying(on) {
  playing = on && poses.t.length > 1;
  $("play").setAttribute("aria-pressed", playing);
  $("play").textContent = playing ? "Pause" : "Play";
  last = performance.now();
  if (playing) requestAnimationFrame(tick);
}

function tick(stamp) {
  if (!playing) return;
  const step = Math.max(0, (stamp - last) / 1000) * Number($("rate").value);
  last = stamp;
  setTime(now + step >= data.end_s ? 0 : now + step);
  requestAnimationFrame(tick);
}

function step(count) {
  setPlaying(false);
  if (poses.t.length) setTime(poses.t[clamp(at(poses.t, now) + count, 0, poses.t.length - 1)]);
}

const clock = (t) => {
  const s = t + data.start_s, m = Math.floor(s / 60);
  return m > 0 ? `${m}:${(s - 60 * m).toFixed(2).padStart(5, "0")}` : `${s.toFixed(2)} s`;
};
