"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

const JOINTS = data.joint_colours.length, MISSING = -32768;
const poses = { t: floats(data.poses.t), frame: new Int32Array(bytes(data.poses.frame).buffer),
  joints: new Int16Array(bytes(data.poses.joints).buffer) };
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

/** Position of a joint in metres, or null where it is missing. */
function joint(pose, hand, index) {
  const i = ((pose * 2 + hand) * JOINTS + index) * 3;
  if (poses.joints[i] === MISSING) return null;
  return [0, 1, 2].map((k) => poses.joints[i + k] * data.poses.unit_m + data.poses.centre_m[k]);
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

// ---------------------------------------------------------------- time
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

// ---------------------------------------------------------------- the 3D skeleton
const low = data.poses.low_m, high = data.poses.high_m;
const middle = low.map((x, k) => (x + high[k]) / 2);
const radius = Math.max(0.12, Math.hypot(...low.map((x, k) => high[k] - x)) / 2);
const floor = high[1] + 0.04;
const view = { yaw: 0.5, pitch: 0.3, distance: 2.4 * radius, target: middle };
const scene = $("scene");

/** World point to [x, y, depth, pixels per metre]; null behind the viewer. */
function projector(w, h) {
  const { yaw, pitch, distance } = view;
  const cy = Math.cos(yaw), sy = Math.sin(yaw), cp = Math.cos(pitch), sp = Math.sin(pitch);
  const focal = 1.35 * Math.min(w, h);
  const target = $("follow").checked ? followed() : middle;
  return (p) => {
    const x = p[0] - target[0], y = p[1] - target[1], z = p[2] - target[2];
    const x1 = cy * x + sy * z, z1 = cy * z - sy * x;
    const depth = distance + cp * z1 + sp * y;
    if (depth < 0.02) return null;
    const scale = focal / depth;
    return [w / 2 + x1 * scale, h / 2 + (cp * y - sp * z1) * scale, depth, scale];
  };
}

/** The middle of the visible wrists and knuckles, or the last place where they were. */
function followed() {
  if (!poses.t.length) return middle;
  const pose = at(poses.t, now), seen = [];
  for (const hand of [0, 1]) for (const j of [0, 5, 9, 17]) seen.push(joint(pose, hand, j));
  const known = seen.filter(Boolean);
  if (known.length) view.target = [0, 1, 2].map((k) => known.reduce((sum, p) => sum + p[k], 0) / known.length);
  return view.target;
}

function drawFloor(g, project) {
  const cell = [0.05, 0.1, 0.2, 0.5, 1, 2, 5].find((size) => (2.4 * radius) / size <= 14) || 10;
  const span = Math.ceil((1.2 * radius) / cell) * cell, pairs = [];
  const cx = Math.round(middle[0] / cell) * cell, cz = Math.round(middle[2] / cell) * cell;
  for (let d = -span; d <= span + cell / 2; d += cell) pairs.push(
    [project([cx + d, floor, cz - span]), project([cx + d, floor, cz + span])],
    [project([cx - span, floor, cz + d]), project([cx + span, floor, cz + d])],
  );
  stroke(g, colour("--grid"), 1, pairs);
  $("cell").textContent = `floor squares ${cell >= 1 ? `${cell} m` : `${Math.round(cell * 100)} cm`}`;
}

function drawCamera(g, project) {
  if (!data.camera) return;
  const far = 0.3 * radius, [x, y] = data.camera.map((tangent) => tangent * far), eye = project([0, 0, 0]);
  const corners = [[-x, -y, far], [x, -y, far], [x, y, far], [-x, y, far]].map(project);
  stroke(g, colour("--muted"), 1.25, corners.flatMap((p, i) => [[eye, p], [p, corners[(i + 1) % 4]]]));
  if (eye) text(g, "camera", eye[0], eye[1] - 10, "--muted", "center");
}

function drawTrail(g, project, pose, hand) {
  for (let i = pose; i > 0 && poses.t[pose] - poses.t[i - 1] <= 1.5; i--) {
    const pair = [joint(i, hand, 0), joint(i - 1, hand, 0)];
    g.globalAlpha = 0.6 * (1 - (poses.t[pose] - poses.t[i]) / 1.5);
    if (pair[0] && pair[1]) stroke(g, data.hands[hand].colour, 1.5, [pair.map(project)]);
  }
  g.globalAlpha = 1;
}

/** One hand as [depth, draw] pieces, and at once what lies below it: trail and shadow. */
function handPieces(g, project, pose, hand) {
  const points = Array.from({ length: JOINTS }, (_, j) => joint(pose, hand, j));
  const flat = points.map((p) => p && project(p)), edge = colour("--edge");
  const shadow = points.map((p) => p && project([p[0], floor, p[2]])), below = shadow.find(Boolean);
  drawTrail(g, project, pose, hand);
  if (below) stroke(g, colour("--shadow"), 0.008 * below[3], data.bones.map((b) => [shadow[b.from], shadow[b.to]]));
  const pieces = data.bones.filter((b) => flat[b.from] && flat[b.to]).map((bone) => {
    const a = flat[bone.from], b = flat[bone.to], width = clamp(0.0035 * (a[3] + b[3]), 2, 14);
    return [(a[2] + b[2]) / 2, () => {
      stroke(g, edge, width + 2, [[a, b]]);
      stroke(g, bone.colour, width, [[a, b]]);
    }];
  });
  flat.forEach((p, j) => p && pieces.push([p[2] - (j ? 0.006 : 0.03), () => {
    g.beginPath();
    g.arc(p[0], p[1], clamp(0.0055 * p[3], 2.2, 11), 0, 7);
    g.fillStyle = data.joint_colours[j];
    g.fill();
    g.strokeStyle = edge;
    g.lineWidth = 1;
    g.stroke();
  }]));
  const [wrist, knuckle] = [flat[0], flat[9]];
  if (wrist && knuckle) {
    const dx = wrist[0] - knuckle[0], dy = wrist[1] - knuckle[1], length = Math.hypot(dx, dy) || 1;
    const { name, colour: own } = data.hands[hand];
    pieces.push([0, () => text(g, name, wrist[0] + (dx / length) * 30, wrist[1] + (dy / length) * 24, own, "center")]);
  }
  return pieces;
}

function drawScene() {
  const [g, w, h] = context(scene), project = projector(w, h), pose = at(poses.t, now);
  g.font = "600 13px system-ui, sans-serif";
  drawFloor(g, project);
  drawCamera(g, project);
  const pieces = poses.t.length ? [0, 1].flatMap((hand) => handPieces(g, project, pose, hand)) : [];
  pieces.sort((a, b) => b[0] - a[0]).forEach(([, draw]) => draw());
  $("nohand").hidden = pieces.length > 0;
}

const touches = new Map();
const zoom = (factor) => { view.distance = clamp(view.distance * factor, 0.4 * radius, 30 * radius); drawScene(); };
scene.addEventListener("pointerdown", (e) => {
  scene.setPointerCapture(e.pointerId);
  touches.set(e.pointerId, [e.clientX, e.clientY]);
});
scene.addEventListener("pointermove", (e) => {
  const before = touches.get(e.pointerId);
  if (!before) return;
  const gap = () => { const [a, b] = [...touches.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
  const wide = touches.size === 2 ? gap() : 0;
  touches.set(e.pointerId, [e.clientX, e.clientY]);
  if (touches.size === 2) return zoom(clamp(wide / Math.max(gap(), 1), 0.5, 2));
  view.yaw -= (e.clientX - before[0]) * 0.008;
  view.pitch = clamp(view.pitch + (e.clientY - before[1]) * 0.008, -1.55, 1.55);
  drawScene();
});
for (const end of ["pointerup", "pointercancel"]) scene.addEventListener(end, (e) => touches.delete(e.pointerId));
scene.addEventListener("wheel", (e) => {
  e.preventDefault();
  zoom(Math.exp(clamp(e.deltaY, -200, 200) * 0.0015));
}, { passive: false });
scene.addEventListener("keydown", (e) => {
  const act = { " ": () => setPlaying(!playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    "+": () => zoom(0.85), "-": () => zoom(1.18) }[e.key];
  if (act) { e.preventDefault(); act(); }
});
document.querySelectorAll("[data-view]").forEach((button) => button.addEventListener("click", () => {
  [view.yaw, view.pitch] = button.dataset.view.split(" ").map(Number);
  drawScene();
}));

// ---------------------------------------------------------------- plots over time
const PAD = { left: 46, right: 10 };
const charts = [];

/** Round steps of an axis, about `count` of them, as [value, step]. */
function ticks(bottom, top, count) {
  const raw = (top - bottom) / count, power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  const start = Math.ceil(bottom / size - 1e-9), end = Math.floor(top / size + 1e-9);
  return Array.from({ length: end - start + 1 }, (_, i) => [(start + i) * size, size]);
}

function drawTimeAxis(g, w, h, x) {
  const grid = colour("--grid");
  for (const [t, size] of ticks(0, data.end_s, Math.max(2, w / 90))) {
    stroke(g, grid, 1, [[[x(t), 4], [x(t), h - 18]]]);
    const s = t + data.start_s, m = Math.floor(s / 60 + 1e-9);
    const label = data.end_s >= 120 ? `${m}:${String(Math.round(s - 60 * m)).padStart(2, "0")}`
      : `${s.toFixed(clamp(-Math.floor(Math.log10(size)), data.start_s % 1 ? 1 : 0, 3))} s`;
    if (x(t) < w - 16) text(g, label, x(t), h - 8, "--muted", "center");
  }
}

function drawCoverage(g, w, h, x) {
  for (const [y, hand] of [[4, 0], [30, 1]]) {
    const shares = coverage.hands[hand];
    g.fillStyle = colour("--empty");
    g.fillRect(PAD.left, y, w - PAD.left - PAD.right, 20);
    g.fillStyle = data.hands[hand].colour;
    for (let i = 0, end; i < shares.length; i = end) {
      for (end = i + 1; shares[end] === shares[i];) end++;
      const a = x(coverage.edges[i]), b = x(coverage.edges[end]);
      g.globalAlpha = shares[i] / 255;
      g.fillRect(a, y, Math.max(b - a, 0.5), 20);
    }
    g.globalAlpha = 1;
    text(g, data.hands[hand].name, PAD.left - 8, y + 10, "--ink", "right");
  }
  g.fillStyle = colour("--bad");
  data.problems_s.forEach((t) => g.fillRect(x(t) - 1, 1, 2, 52));
}

function drawPlot(g, w, h, x, plot) {
  const y = (v) => 6 + (h - 28) * (1 - (v - plot.bottom) / ((plot.top - plot.bottom) * 1.06)), grid = colour("--grid");
  for (const [v] of ticks(plot.bottom, plot.top, 5)) {
    stroke(g, grid, 1, [[[PAD.left, y(v)], [w - PAD.right, y(v)]]]);
    text(g, String(Number(v.toPrecision(6))), PAD.left - 8, y(v), "--muted", "right");
  }
  g.save();
  g.beginPath();
  g.rect(PAD.left, 2, w - PAD.left - PAD.right, h - 22);
  g.clip();
  g.lineWidth = 1.5;
  plot.series.forEach((series, hand) => {
    let pen = false;
    g.strokeStyle = data.hands[hand].colour;
    g.beginPath();
    series.t.forEach((t, i) => {
      const v = series.v[i], known = !Number.isNaN(v);
      // A lone value between gaps gets a short dash, else it would not show.
      if (known && pen) g.lineTo(x(t), y(v)); else if (known) { g.moveTo(x(t), y(v)); g.lineTo(x(t) + 0.5, y(v)); }
      pen = known;
    });
    g.stroke();
  });
  g.restore();
}

document.querySelectorAll(".chart").forEach((box) => {
  const canvas = box.querySelector("canvas"), cursor = box.querySelector(".cursor");
  const plot = plots.find((p) => p.name === box.dataset.plot);
  const span = () => canvas.clientWidth - PAD.left - PAD.right;
  charts.push(() => {
    const [g, w, h] = context(canvas), x = (t) => PAD.left + (t / data.end_s) * span();
    g.font = "11px system-ui, sans-serif";
    drawTimeAxis(g, w, h, x);
    if (plot) drawPlot(g, w, h, x, plot); else drawCoverage(g, w, h, x);
  });
  listeners.push(() => {
    cursor.style.transform = `translateX(${PAD.left + (now / data.end_s) * span()}px)`;
    box.querySelectorAll("output").forEach((out, hand) => {
      const s = plot.series[hand], v = s.t.length ? s.v[at(s.t, now)] : NaN;
      out.textContent = Number.isNaN(v) ? "–" : v.toPrecision(3);
    });
  });
  const move = (e) => setTime(((e.clientX - canvas.getBoundingClientRect().left - PAD.left) / span()) * data.end_s);
  canvas.addEventListener("pointerdown", (e) => { setPlaying(false); move(e); });
  canvas.addEventListener("pointermove", (e) => { if (!playing) move(e); });
});

// ---------------------------------------------------------------- controls
const scrub = $("scrub");
scrub.max = data.end_s;
scrub.addEventListener("input", () => { setPlaying(false); setTime(Number(scrub.value)); });
$("play").addEventListener("click", () => setPlaying(!playing));
$("back").addEventListener("click", () => step(-1));
$("forward").addEventListener("click", () => step(1));
$("follow").addEventListener("change", drawScene);
document.querySelectorAll("[data-seek]").forEach((button) => button.addEventListener("click", () => {
  setPlaying(false);
  setTime(Number(button.dataset.seek) - data.start_s);
}));
listeners.push(drawScene, () => {
  scrub.value = now;
  const frame = poses.t.length ? poses.frame[at(poses.t, now)] : 0;
  $("readout").textContent = `frame ${frame.toLocaleString("en")} · ${clock(now)}`;
});
const redraw = () => { charts.forEach((draw) => draw()); setTime(now); };
const first = poses.joints.findIndex((x) => x !== MISSING);
if (first > 0) now = poses.t[Math.floor(first / (6 * JOINTS))];
new ResizeObserver(redraw).observe(document.body);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
redraw();
})();
