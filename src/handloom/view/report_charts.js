// Plots and lanes over time.
const PAD = { left: 46, right: 10 };
const charts = [];

function drawTimeAxis(g, w, h, x) {
  for (const [t, size] of ticks(0, data.end_s, Math.max(2, w / 90))) {
    stroke(g, "--grid", 1, [[[x(t), 4], [x(t), h - 18]]]);
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
    g.fillStyle = hands[hand].colour;
    for (let i = 0, end; i < shares.length; i = end) {
      for (end = i + 1; shares[end] === shares[i];) end++;
      const a = x(coverage.edges[i]), b = x(coverage.edges[end]);
      g.globalAlpha = shares[i] / 255;
      g.fillRect(a, y, Math.max(b - a, 0.5), 20);
    }
    g.globalAlpha = 1;
    text(g, hands[hand].name, PAD.left - 8, y + 10, "--ink", "right");
  }
  g.fillStyle = colour("--bad");
  data.problems_s.forEach((t) => g.fillRect(x(t) - 1, 1, 2, 52));
}

function drawPlot(g, w, h, x, plot) {
  const y = (v) => 6 + (h - 28) * (1 - (v - plot.bottom) / ((plot.top - plot.bottom) * 1.06));
  for (const [v] of ticks(plot.bottom, plot.top, 5)) {
    stroke(g, "--grid", 1, [[[PAD.left, y(v)], [w - PAD.right, y(v)]]]);
    text(g, String(Number(v.toPrecision(6))), PAD.left - 8, y(v), "--muted", "right");
  }
  g.save();
  g.beginPath();
  g.rect(PAD.left, 2, w - PAD.left - PAD.right, h - 22);
  g.clip();
  g.lineWidth = 1.5;
  plot.series.forEach((series, hand) => {
    g.strokeStyle = hands[hand].colour;
    curve(g, Array.from(series.t, (t, i) => [x(t), Number.isNaN(series.v[i]) ? null : y(series.v[i])]));
  });
  g.restore();
}

document.querySelectorAll(".chart").forEach((box) => {
  const canvas = box.querySelector("canvas"), cursor = box.querySelector(".cursor");
  const plot = plots.find((p) => p.name === box.dataset.plot), lane = lanes.find((l) => l.name === box.dataset.lane);
  const span = () => canvas.clientWidth - PAD.left - PAD.right;
  charts.push(() => {
    const [g, w, h] = context(canvas), x = (t) => PAD.left + (t / data.end_s) * span();
    g.font = "11px system-ui, sans-serif";
    drawTimeAxis(g, w, h, x);
    if (plot) drawPlot(g, w, h, x, plot); else if (lane) drawLane(g, w, h, x, lane); else drawCoverage(g, w, h, x);
  });
  listeners.push(() => {
    cursor.style.transform = `translateX(${PAD.left + (now / data.end_s) * span()}px)`;
    if (lane) return showLane(box, lane);
    box.querySelectorAll("output").forEach((out, hand) => {
      const s = plot.series[hand], v = s.t.length ? s.v[at(s.t, now)] : NaN;
      out.textContent = Number.isNaN(v) ? "–" : v.toPrecision(3);
    });
  });
  const move = (e) => setTime(((e.clientX - canvas.getBoundingClientRect().left - PAD.left) / span()) * data.end_s);
  canvas.addEventListener("pointerdown", (e) => { setPlaying(false); move(e); });
  canvas.addEventListener("pointermove", (e) => { if (!playing) move(e); });
});
