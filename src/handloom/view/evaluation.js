(() => {
const data = JSON.parse($("data").textContent);
const draws = [...document.querySelectorAll("[data-lines]")].map((box) => lineChart(box, data.charts[box.dataset.lines]));
if (data.scene) {
  const poses = { ...data.scene.poses, joints: new Int16Array(bytes(data.scene.poses.joints).buffer) };
  const buttons = [...document.querySelectorAll("[data-pose]")];
  let shown = 0;
  const view = skeletonView($("scene"), { ...data.scene, poses }, {
    pose: () => shown, follow: () => true, trail: () => [], distance: 3.6, cell: $("cell"), nohand: $("nohand"),
  });
  buttons.forEach((button, i) => button.addEventListener("click", () => {
    shown = i;
    buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
    view.draw();
  }));
  draws.push(view.draw);
}
keepDrawn(draws);
})();
