// Data of the page, drawing helpers, and the one clock that everything follows.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

const JOINTS = data.joint_colours.length, MISSING = -32768;
const poses = { t: floats(data.poses.t), frame: new Int32Array(bytes(data.poses.frame).buffer),
  joints: new Int16Array(bytes(data.poses.joints).buffer),
  truth: data.poses.truth && new Int16Array(bytes(data.poses.truth).buffer) };
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

/** Position of a joint in metres, or null where it is missing; of the true hand if `from` is poses.truth. */
function joint(pose, hand, index, from = poses.joints) {
  const i = ((pose * 2 + hand) * JOINTS + index) * 3;
  if (from[i] === MISSING) return null;
  return [0, 1, 2].map((k) => from[i + k] * data.poses.unit_m + data.poses.centre_m[k]);
}

/** Sizes a canvas to its box and the screen's pixels, and returns its context in CSS pixels. */
function context(canvas) {
  const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.lineCap = g.lineJoin = "round";
  g.clearRect(0, 0, w, h);
  return [g, w, h];
}

function stroke(g, style, width, pairs) {
  g.strokeStyle = style;
  g.lineWidth = width;
  g.beginPath();
  for (const [a, b] of pairs) if (a && b) { g.moveTo(a[0], a[1]); g.lineTo(b[0], b[1]); }
  g.stroke();
}

/** Text around a point; the style is a colour or a page variable. */
function text(g, words, x, y, style, align) {
  g.fillStyle = style.startsWith("--") ? colour(style) : style;
  g.textAlign = align;
  g.textBaseline = "middle";
  g.fillText(words, x, y);
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
