/** A line chart in a figure of page.figure. Its values follow the pointer and stand in the legend.
 *
 * `chart`: `x_label`, `y_label`, `bottom` and `top` of the y axis (null: from the data), `series` in the order of the
 * legend, [{colour, x, y, dots, mean}], null for what is unknown; `mean`,
 * {x, y}, is a smoother line for one too noisy to read. `page`, where given: `log()` whether y is logarithmic,
 * `x(series)` the values along x. Returns its draw function. */
function lineChart(box, chart, page = {}) {
  const canvas = box.querySelector("canvas"), outputs = [...box.querySelectorAll("output")];
  const PAD = { left: 52, right: 14, top: 8, bottom: 36 };
  const along = page.x || ((series) => series.x);
  const isLog = () => Boolean(page.log && page.log()) && chart.series.some((s) => s.y.some((v) => v > 0));
  let pointer = null;

  /** Least and greatest of the known values, widened where they are one. */
  function span(values, low, high) {
    const known = values.filter((v) => v !== null);
    let a = low ?? known.reduce((m, v) => Math.min(m, v), Infinity), b = high ?? known.reduce((m, v) => Math.max(m, v), -Infinity);
    if (!(a <= b)) [a, b] = [0, 1];
    if (a === b) [a, b] = a ? [a - Math.abs(a) / 10, a + Math.abs(a) / 10] : [0, 1];
    return [a, b];
  }

  function scales(w, h) {
    const log = isLog(), use = (v) => (log ? (v > 0 ? Math.log10(v) : null) : v);
    const [x0, x1] = span(chart.series.flatMap(along), chart.left, chart.right);
    const room = (range) => (chart.bottom === undefined || log ? [range[0], range[1] + 0.04 * (range[1] - range[0])] : range);
    const [y0, y1] = room(span(chart.series.flatMap((s) => s.y).map((v) => (v === null ? v : use(v))),
      log ? undefined : chart.bottom, log ? undefined : chart.top));
    return {
      log, x0, x1, y0, y1,
      x: (v) => PAD.left + ((v - x0) / (x1 - x0)) * (w - PAD.left - PAD.right),
      y: (v) => (use(v) === null ? null : PAD.top + (1 - (use(v) - y0) / (y1 - y0)) * (h - PAD.top - PAD.bottom)),
      back: (px) => x0 + ((px - PAD.left) / (w - PAD.left - PAD.right)) * (x1 - x0),
    };
  }

  const short = (v) => (Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(1) : String(Number(v.toPrecision(6))));

  function yTicks(s) {
    if (!s.log) return ticks(s.y0, s.y1, 7).map(([v]) => v);
    const marks = [];
    const steps = s.y1 - s.y0 < 0.7 ? [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] : s.y1 - s.y0 < 2 ? [1, 2, 5] : [1];
    for (let power = Math.floor(s.y0); power <= s.y1; power++) for (const m of steps) {
      const v = m * 10 ** power;
      if (Math.log10(v) >= s.y0 - 1e-9 && Math.log10(v) <= s.y1 + 1e-9) marks.push(v);
    }
    return marks;
  }

  function line(g, s, series, width) {
    const points = along(series).map((x, i) => [s.x(x), series.y[i] === null ? null : s.y(series.y[i])]);
    g.lineWidth = width;
    curve(g, points);
    if (series.dots) for (const [x, y] of points) if (y !== null) {
      g.beginPath();
      g.arc(x, y, 3, 0, 7);
      g.fill();
    }
  }

  function draw() {
    const [g, w, h] = context(canvas), s = scales(w, h);
    g.font = "11px system-ui, sans-serif";
    for (const v of yTicks(s)) {
      stroke(g, "--grid", 1, [[[PAD.left, s.y(v)], [w - PAD.right, s.y(v)]]]);
      text(g, short(v), PAD.left - 8, s.y(v), "--muted", "right");
    }
    for (const [v] of ticks(s.x0, s.x1, Math.max(3, w / 60))) {
      stroke(g, "--grid", 1, [[[s.x(v), PAD.top], [s.x(v), h - PAD.bottom]]]);
      text(g, short(v), Math.min(s.x(v), w - 12), h - PAD.bottom + 11, "--muted", "center");
    }
    text(g, `${page.x_label ? page.x_label() : chart.x_label}${s.log ? ", y logarithmic" : ""}`, (w + PAD.left) / 2, h - 8, "--muted", "center");
    chart.series.forEach((series) => {
      g.strokeStyle = g.fillStyle = series.colour;
      g.globalAlpha = series.mean ? 0.3 : 1;
      line(g, s, series, series.mean ? 1 : 2);
      g.globalAlpha = 1;
      if (series.mean) line(g, s, series.mean, 2);
    });
    if (pointer !== null) stroke(g, "--muted", 1, [[[s.x(pointer), PAD.top], [s.x(pointer), h - PAD.bottom]]]);
    chart.series.forEach((series, i) => { if (outputs[i]) outputs[i].textContent = reading(series); });
  }

  /** The value nearest to the pointer along x, or the last one. */
  function reading({ mean, ...own }) {
    const series = mean || own, xs = along(series);
    let best = -1;
    series.y.forEach((v, i) => {
      if (v === null) return;
      if (best < 0 || pointer === null || Math.abs(xs[i] - pointer) < Math.abs(xs[best] - pointer)) best = i;
    });
    if (best < 0) return "–";
    const value = Number(series.y[best].toPrecision(3));
    return pointer === null && !chart.last ? "" : short(value);
  }

  canvas.addEventListener("pointermove", (e) => {
    const s = scales(canvas.clientWidth, canvas.clientHeight);
    pointer = clamp(s.back(e.clientX - canvas.getBoundingClientRect().left), s.x0, s.x1);
    draw();
  });
  canvas.addEventListener("pointerleave", () => { pointer = null; draw(); });
  return draw;
}
