const draws = [...document.querySelectorAll("[data-lines]")].map((box) => lineChart(box, data.charts[box.dataset.lines]));
if (data.scene) {
  const buttons = [...document.querySelectorAll("[data-pose]")];
  let shown = 0;
  const drawHands = skeletonView(data.scene, { pose: () => shown, follow: () => true, distance: 3.6 });
  buttons.forEach((button, i) => button.addEventListener("click", () => {
    shown = i;
    buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
    drawHands();
  }));
  draws.push(drawHands);
}
keepDrawn(draws);
