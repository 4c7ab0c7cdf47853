const along = $("along"), log = $("log");
const draws = [...document.querySelectorAll("[data-lines]")].map((box) => lineChart(box, data.charts[box.dataset.lines], {
  log: () => log.checked,
  x: (series) => series.x[along.value],
  x_label: () => along.selectedOptions[0].textContent,
}));
const redraw = keepDrawn(draws);
along.addEventListener("change", redraw);
log.addEventListener("change", redraw);
