// Buttons, keys, and the first drawing.
const scrub = $("scrub");
scrub.max = data.end_s;
scrub.addEventListener("input", () => { setPlaying(false); setTime(Number(scrub.value)); });
$("play").addEventListener("click", () => setPlaying(!playing));
$("back").addEventListener("click", () => step(-1));
$("forward").addEventListener("click", () => step(1));
$("follow").addEventListener("change", drawScene);
if (poses.truth) $("truth").addEventListener("change", drawScene);
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
