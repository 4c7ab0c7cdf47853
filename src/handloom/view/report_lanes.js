// Lanes over time: runs of actions and objects, the true ones below the found ones.
const ROW = { height: 24, gap: 4, top: 4 };
const lanes = data.lanes.map((lane) => ({
  ...lane, rows: lane.rows.map((row) => row.cells ? { ...row, cells: { edges: floats(row.cells.edges),
    label: new Int16Array(bytes(row.cells.label).buffer), sure: bytes(row.cells.sure) } } : row),
}));

/** Last of the increasing numbers that is not after t, or -1. */
const before = (numbers, t) => (numbers.length && t + data.step_s / 10 >= numbers[0] ? at(numbers, t) : -1);

/** What a row says at time t, as { label, sure, from, to }, or null. Of overlapping runs, that which began last. */
function current(row, t) {
  if (row.runs) {
    const run = row.runs.filter((r) => r.from <= t + data.step_s / 10 && t + data.step_s / 10 < r.to).at(-1);
    return run || null;
  }
  const { edges, label, sure } = row.cells, i = Math.min(before(edges, t), label.length - 1);
  if (i < 0 || label[i] < 0) return null;
  let a = i, b = i + 1;
  while (a > 0 && label[a - 1] === label[i]) a--;
  while (b < label.length && label[b] === label[i]) b++;
  return { label: label[i], sure: sure[i] / 255, from: edges[a], to: edges[b] };
}

/** One stretch of a label: a tint that grows with confidence, a bar in full colour, and the name where it fits. */
function drawRun(g, name, fill, a, b, y, sures) {
  const width = Math.max(b - a, 1);
  g.fillStyle = fill;
  for (const [from, to, sure] of sures) {
    g.globalAlpha = 0.1 + 0.55 * sure;
    // Whole pixels: tints that share a pixel would show as stripes.
    g.fillRect(Math.round(from), y, Math.round(to) - Math.round(from), ROW.height);
  }
  g.globalAlpha = 1;
  g.fillRect(a, y + ROW.height - 3, Math.max(width - 1, 0.5), 3);
  if (width < 24) return;
  let words = name;
  while (words.length > 1 && g.measureText(words).width > width - 8) words = `${words.replace(/…$/, "").slice(0, -1)}…`;
  if (words.length > 2) text(g, words, a + 5, y + ROW.height / 2 - 1, "--ink", "left");
}

function drawLane(g, w, h, x, lane) {
  let y = ROW.top;
  for (const row of lane.rows) {
    const height = row.lines * (ROW.height + ROW.gap) - ROW.gap;
    g.fillStyle = colour("--empty");
    g.fillRect(PAD.left, y, w - PAD.left - PAD.right, height);
    if (row.runs) for (const run of row.runs) {
      const a = x(clamp(run.from, 0, data.end_s)), b = x(clamp(run.to, 0, data.end_s));
      drawRun(g, lane.labels[run.label], lane.colours[run.label], a, b, y + run.line * (ROW.height + ROW.gap), [[a, b, run.sure]]);
    } else drawCells(g, x, lane, row.cells, y);
    text(g, row.name, PAD.left - 6, y + height / 2, "--ink", "right");
    y += height + 2 * ROW.gap;
  }
}

function drawCells(g, x, lane, cells, y) {
  for (let i = 0, end; i < cells.label.length; i = end) {
    for (end = i + 1; end < cells.label.length && cells.label[end] === cells.label[i];) end++;
    if (cells.label[i] < 0) continue;
    const sures = Array.from({ length: end - i }, (_, k) => [x(cells.edges[i + k]), x(cells.edges[i + k + 1]), cells.sure[i + k] / 255]);
    drawRun(g, lane.labels[cells.label[i]], lane.colours[cells.label[i]], x(cells.edges[i]), x(cells.edges[end]), y, sures);
  }
}

const seconds = (t) => (t + data.start_s).toFixed(2);

/** Writes what the rows of a lane say now, with score and times, below the lane. */
function showLane(box, lane) {
  box.querySelectorAll("output").forEach((out, i) => {
    const row = lane.rows[i], found = current(row, now);
    out.textContent = found ? [lane.labels[found.label], ...(row.true ? [] : [found.sure.toFixed(2)]),
      `${seconds(found.from)} to ${seconds(found.to)} s`].join(" · ") : "–";
    out.style.setProperty("--c", found ? lane.colours[found.label] : "transparent");
  });
}

/** What the rows say now, for the corner of the 3D view. */
function labelsNow() {
  return lanes.flatMap((lane) => lane.rows.map((row) => {
    const found = current(row, now), name = found && lane.labels[found.label];
    return found && { words: `${name} ${row.true ? "(truth)" : found.sure.toFixed(2)}`, colour: lane.colours[found.label], true: row.true };
  })).filter(Boolean);
}
