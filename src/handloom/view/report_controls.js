// The 3D view, buttons, keys, and the first drawing.
const drawHands = skeletonView(data.scene, {
  pose: () => at(poses.t, now),
  follow: () => $("follow").checked,
  *trail(pose) {
    for (let i = pose; i > 0 && poses.t[pose] - poses.t[i - 1] <= 1.5; i--) {
      yield [i - 1, 0.6 * (1 - (poses.t[pose] - poses.t[i]) / 1.5)];
    }
  },
  labels: labelsNow,
});
$("scene").addEventListener("keydown", (e) => {
  const act = { " ": () => setPlaying(!playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1) }[e.key];
  if (act) { e.preventDefault(); act(); }
});
const scrub = $("scrub");
scrub.max = data.end_s;
scrub.addEventListener("input", () => { setPlaying(false); setTime(Number(scrub.value)); });
$("play").addEventListener("click", () => setPlaying(!playing));
$("back").addEventListener("click", () => step(-1));
$("forward").addEventListener("click", () => step(1));
$("follow").addEventListener("change", drawHands);
document.querySelectorAll("[data-seek]").forEach((button) => button.addEventListener("click", () => {
  setPlaying(false);
  setTime(Number(button.dataset.seek) - data.start_s);
}));
listeners.push(drawHands, () => {
  scrub.value = now;
  const frame = poses.t.length ? poses.frame[at(poses.t, now)] : 0;
  $("readout").textContent = `frame ${frame.toLocaleString("en")} · ${clock(now)}`;
});
now = data.first_s;
keepDrawn([...charts, () => setTime(now)]);
