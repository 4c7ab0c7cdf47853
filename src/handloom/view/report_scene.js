// The 3D skeletons.
const low = data.poses.low_m, high = data.poses.high_m;
const middle = low.map((x, k) => (x + high[k]) / 2);
const radius = Math.max(0.12, Math.hypot(...low.map((x, k) => high[k] - x)) / 2);
const floor = high[1] + 0.04;
const view = { yaw: 0.5, pitch: 0.3, distance: 2.4 * radius, target: middle };
const scene = $("scene");

/** World point to [x, y, depth, pixels per metre]; null behind the viewer. */
function projector(w, h) {
  const { yaw, pitch, distance } = view;
  const cy = Math.cos(yaw), sy = Math.sin(yaw), cp = Math.cos(pitch), sp = Math.sin(pitch);
  const focal = 1.35 * Math.min(w, h);
  const target = $("follow").checked ? followed() : middle;
  return (p) => {
    const x = p[0] - target[0], y = p[1] - target[1], z = p[2] - target[2];
    const x1 = cy * x + sy * z, z1 = cy * z - sy * x;
    const depth = distance + cp * z1 + sp * y;
    if (depth < 0.02) return null;
    const scale = focal / depth;
    return [w / 2 + x1 * scale, h / 2 + (cp * y - sp * z1) * scale, depth, scale];
  };
}

/** The middle of the visible wrists and knuckles, or the last place where they were. */
function followed() {
  if (!poses.t.length) return middle;
  const pose = at(poses.t, now), seen = [];
  for (const hand of [0, 1]) for (const j of [0, 5, 9, 17]) seen.push(joint(pose, hand, j));
  const known = seen.filter(Boolean);
  if (known.length) view.target = [0, 1, 2].map((k) => known.reduce((sum, p) => sum + p[k], 0) / known.length);
  return view.target;
}

function drawFloor(g, project) {
  const cell = [0.05, 0.1, 0.2, 0.5, 1, 2, 5].find((size) => (2.4 * radius) / size <= 14) || 10;
  const span = Math.ceil((1.2 * radius) / cell) * cell, pairs = [];
  const cx = Math.round(middle[0] / cell) * cell, cz = Math.round(middle[2] / cell) * cell;
  for (let d = -span; d <= span + cell / 2; d += cell) pairs.push(
    [project([cx + d, floor, cz - span]), project([cx + d, floor, cz + span])],
    [project([cx - span, floor, cz + d]), project([cx + span, floor, cz + d])],
  );
  stroke(g, colour("--grid"), 1, pairs);
  $("cell").textContent = `floor squares ${cell >= 1 ? `${cell} m` : `${Math.round(cell * 100)} cm`}`;
}

function drawCamera(g, project) {
  if (!data.camera) return;
  const far = 0.3 * radius, [x, y] = data.camera.map((tangent) => tangent * far), eye = project([0, 0, 0]);
  const corners = [[-x, -y, far], [x, -y, far], [x, y, far], [-x, y, far]].map(project);
  stroke(g, colour("--muted"), 1.25, corners.flatMap((p, i) => [[eye, p], [p, corners[(i + 1) % 4]]]));
  if (eye) text(g, "camera", eye[0], eye[1] - 10, "--muted", "center");
}

function drawTrail(g, project, pose, hand) {
  for (let i = pose; i > 0 && poses.t[pose] - poses.t[i - 1] <= 1.5; i--) {
    const pair = [joint(i, hand, 0), joint(i - 1, hand, 0)];
    g.globalAlpha = 0.6 * (1 - (poses.t[pose] - poses.t[i]) / 1.5);
    if (pair[0] && pair[1]) stroke(g, data.hands[hand].colour, 1.5, [pair.map(project)]);
  }
  g.globalAlpha = 1;
}

/** One hand as [depth, draw] pieces, and at once what lies below it: trail and shadow. */
function handPieces(g, project, pose, hand) {
  const points = Array.from({ length: JOINTS }, (_, j) => joint(pose, hand, j));
  const flat = points.map((p) => p && project(p)), edge = colour("--edge");
  const shadow = points.map((p) => p && project([p[0], floor, p[2]])), below = shadow.find(Boolean);
  drawTrail(g, project, pose, hand);
  if (below) stroke(g, colour("--shadow"), 0.008 * below[3], data.bones.map((b) => [shadow[b.from], shadow[b.to]]));
  const pieces = data.bones.filter((b) => flat[b.from] && flat[b.to]).map((bone) => {
    const a = flat[bone.from], b = flat[bone.to], width = clamp(0.0035 * (a[3] + b[3]), 2, 14);
    return [(a[2] + b[2]) / 2, () => {
      stroke(g, edge, width + 2, [[a, b]]);
      stroke(g, bone.colour, width, [[a, b]]);
    }];
  });
  flat.forEach((p, j) => p && pieces.push([p[2] - (j ? 0.006 : 0.03), () => {
    g.beginPath();
    g.arc(p[0], p[1], clamp(0.0055 * p[3], 2.2, 11), 0, 7);
    g.fillStyle = data.joint_colours[j];
    g.fill();
    g.strokeStyle = edge;
    g.lineWidth = 1;
    g.stroke();
  }]));
  const [wrist, knuckle] = [flat[0], flat[9]];
  if (wrist && knuckle) {
    const dx = wrist[0] - knuckle[0], dy = wrist[1] - knuckle[1], length = Math.hypot(dx, dy) || 1;
    const { name, colour: own } = data.hands[hand];
    pieces.push([0, () => text(g, name, wrist[0] + (dx / length) * 30, wrist[1] + (dy / length) * 24, own, "center")]);
  }
  return pieces;
}

/** The true hand: thin, grey, under its prediction where they meet. */
function truthPieces(g, project, pose, hand) {
  const flat = Array.from({ length: JOINTS }, (_, j) => joint(pose, hand, j, poses.truth)).map((p) => p && project(p));
  return data.bones.filter((b) => flat[b.from] && flat[b.to]).map((bone) => {
    const a = flat[bone.from], b = flat[bone.to];
    return [(a[2] + b[2]) / 2 + 0.004, () => {
      stroke(g, colour("--truth-edge"), 5, [[a, b]]);
      stroke(g, colour("--truth"), 2.5, [[a, b]]);
    }];
  });
}

const truthShown = () => poses.truth && $("truth").checked;

function drawScene() {
  const [g, w, h] = context(scene), project = projector(w, h), pose = at(poses.t, now);
  g.font = "600 13px system-ui, sans-serif";
  drawFloor(g, project);
  drawCamera(g, project);
  const pieces = poses.t.length ? [0, 1].flatMap((hand) => handPieces(g, project, pose, hand)) : [];
  $("nohand").hidden = pieces.length > 0;
  if (truthShown() && poses.t.length) for (const hand of [0, 1]) pieces.push(...truthPieces(g, project, pose, hand));
  pieces.sort((a, b) => b[0] - a[0]).forEach(([, draw]) => draw());
}

const touches = new Map();
const zoom = (factor) => { view.distance = clamp(view.distance * factor, 0.4 * radius, 30 * radius); drawScene(); };
scene.addEventListener("pointerdown", (e) => {
  scene.setPointerCapture(e.pointerId);
  touches.set(e.pointerId, [e.clientX, e.clientY]);
});
scene.addEventListener("pointermove", (e) => {
  const before = touches.get(e.pointerId);
  if (!before) return;
  const gap = () => { const [a, b] = [...touches.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
  const wide = touches.size === 2 ? gap() : 0;
  touches.set(e.pointerId, [e.clientX, e.clientY]);
  if (touches.size === 2) return zoom(clamp(wide / Math.max(gap(), 1), 0.5, 2));
  view.yaw -= (e.clientX - before[0]) * 0.008;
  view.pitch = clamp(view.pitch + (e.clientY - before[1]) * 0.008, -1.55, 1.55);
  drawScene();
});
for (const end of ["pointerup", "pointercancel"]) scene.addEventListener(end, (e) => touches.delete(e.pointerId));
scene.addEventListener("wheel", (e) => {
  e.preventDefault();
  zoom(Math.exp(clamp(e.deltaY, -200, 200) * 0.0015));
}, { passive: false });
scene.addEventListener("keydown", (e) => {
  const act = { " ": () => setPlaying(!playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    "+": () => zoom(0.85), "-": () => zoom(1.18) }[e.key];
  if (act) { e.preventDefault(); act(); }
});
document.querySelectorAll("[data-view]").forEach((button) => button.addEventListener("click", () => {
  [view.yaw, view.pitch] = button.dataset.view.split(" ").map(Number);
  drawScene();
}));
