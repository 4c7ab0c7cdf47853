(() => {
const data = JSON.parse(document.getElementById("data").textContent);
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
const view3d = skeletonView($("scene"), { ...data, poses: { ...data.poses, joints: poses.joints } }, {
  pose: () => (poses.t.length ? at(poses.t, now) : 0),
  follow: () => $("follow").checked,
  *trail(pose) {
    for (let i = pose; i > 0 && poses.t[pose] - poses.t[i - 1] <= 1.5; i--) {
      yield [i - 1, 0.6 * (1 - (poses.t[pose] - poses.t[i]) / 1.5)];
    }
  },
  cell: $("cell"), nohand: $("nohand"),
});
$("scene").addEventListener("keydown", (e) => {
  const act = { " ": () => setPlaying(!playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1) }[e.key];
  if (act) { e.preventDefault(); act(); }
});

// ---------------------------------------------------------------- plots over time
const PAD = { left: 46, right: 10 };
const charts = [];


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
$("follow").addEventListener("change", view3d.draw);
document.querySelectorAll("[data-seek]").forEach((button) => button.addEventListener("click", () => {
  setPlaying(false);
  setTime(Number(button.dataset.seek) - data.start_s);
}));
listeners.push(view3d.draw, () => {
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
