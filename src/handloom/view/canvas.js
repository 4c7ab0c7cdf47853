"use strict";
// What every page reads and draws with. Pages join these files into one function.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const paint = (style) => (style.startsWith("--") ? colour(style) : style);
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

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

/** Lines between pairs of points; the style is a colour or a page variable. */
function stroke(g, style, width, pairs) {
  g.strokeStyle = paint(style);
  g.lineWidth = width;
  g.beginPath();
  for (const [a, b] of pairs) if (a && b) { g.moveTo(a[0], a[1]); g.lineTo(b[0], b[1]); }
  g.stroke();
}

/** One line through points [x, y], with a gap where y is null. */
function curve(g, points) {
  let pen = false;
  g.beginPath();
  for (const [x, y] of points) {
    // A lone value between gaps gets a short dash, else it would not show.
    if (y !== null && pen) g.lineTo(x, y); else if (y !== null) { g.moveTo(x, y); g.lineTo(x + 0.5, y); }
    pen = y !== null;
  }
  g.stroke();
}

/** Text around a point; the style is as that of a stroke. */
function text(g, words, x, y, style, align) {
  g.fillStyle = paint(style);
  g.textAlign = align;
  g.textBaseline = "middle";
  g.fillText(words, x, y);
}

/** Round steps of an axis, about `count` of them, as [value, step]. */
function ticks(bottom, top, count) {
  const raw = (top - bottom) / count, power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  const start = Math.ceil(bottom / size - 1e-9), end = Math.floor(top / size + 1e-9);
  return Array.from({ length: end - start + 1 }, (_, i) => [(start + i) * size, size]);
}

/** Draws everything now, and again when the page changes its size or its colours. */
function keepDrawn(draws) {
  const redraw = () => draws.forEach((draw) => draw());
  new ResizeObserver(redraw).observe(document.body);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
  return redraw;
}
