/** Hands in 3D on a canvas, to turn by dragging and to zoom; the frame around it is that of page_skeletons.stage.
 *
 * `scene` (of page_skeletons.skeleton_data): `hands` [{name, colour, plain, true}], `bones` [{from, to, colour}],
 * `joint_colours`, `camera` (half width and height of the view at depth 1, or null) and `poses` {joints (int16 in base64,
 * pose by hand by joint by axis, -32768 missing), unit_m, centre_m, low_m, high_m}. A `plain` hand is drawn in its own
 * colour, a `true` one thin, and only while the page's switch `truth` is on. `page`: `pose()` which one to draw,
 * `follow()` whether the hands stay in the middle; where given, `trail(pose)` the earlier poses of the wrists' trail as
 * [pose, opacity], newest first; `labels()` what is said of now, as [{words, colour, true}]; `distance` from which to
 * look, in radii of all there is. Returns draw. */
function skeletonView(scene, page) {
const MISSING = -32768, JOINTS = scene.joint_colours.length, poses = scene.poses;
const joints = new Int16Array(bytes(poses.joints).buffer);
const canvas = $("scene"), truth = $("truth");
const truthShown = () => Boolean(truth && truth.checked);
const found = [], trueHands = [];
scene.hands.forEach((hand, i) => (hand.true ? trueHands : found).push(i));

/** Position of a joint in metres, or null where it is missing. */
function joint(pose, hand, index) {
  const i = ((pose * scene.hands.length + hand) * JOINTS + index) * 3;
  if (!(i < joints.length) || joints[i] === MISSING) return null;
  return [0, 1, 2].map((k) => joints[i + k] * poses.unit_m + poses.centre_m[k]);
}

const low = poses.low_m, high = poses.high_m;
const middle = low.map((x, k) => (x + high[k]) / 2);
const radius = Math.max(0.12, Math.hypot(...low.map((x, k) => high[k] - x)) / 2);
const floor = high[1] + 0.04;
const view = { yaw: 0.5, pitch: 0.3, distance: (page.distance || 2.4) * radius, target: middle };

/** World point to [x, y, depth, pixels per metre]; null behind the viewer. */
function projector(w, h) {
  const { yaw, pitch, distance } = view;
  const cy = Math.cos(yaw), sy = Math.sin(yaw), cp = Math.cos(pitch), sp = Math.sin(pitch);
  const focal = 1.35 * Math.min(w, h);
  const target = page.follow() ? followed() : middle;
  return (p) => {
    const x = p[0] - target[0], y = p[1] - target[1], z = p[2] - target[2];
    const x1 = cy * x + sy * z, z1 = cy * z - sy * x;
    const depth = distance + cp * z1 + sp * y;
    if (depth < 0.02) return null;
    const scale = focal / depth;
    return [w / 2 + x1 * scale, h / 2 + (cp * y - sp * z1) * scale, depth, scale];
  };
}

/** The middle of the visible wrists and knuckles, or the last place where they were. The truth moves nothing: it can
 * be switched off. */
function followed() {
  const known = found.flatMap((hand) => [0, 5, 9, 17].map((j) => joint(page.pose(), hand, j))).filter(Boolean);
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
  stroke(g, "--grid", 1, pairs);
  $("cell").textContent = `floor squares ${cell >= 1 ? `${cell} m` : `${Math.round(cell * 100)} cm`}`;
}

function drawCamera(g, project) {
  if (!scene.camera) return;
  const far = 0.3 * radius, [x, y] = scene.camera.map((tangent) => tangent * far), eye = project([0, 0, 0]);
  const corners = [[-x, -y, far], [x, -y, far], [x, y, far], [-x, y, far]].map(project);
  stroke(g, "--muted", 1.25, corners.flatMap((p, i) => [[eye, p], [p, corners[(i + 1) % 4]]]));
  if (eye) text(g, "camera", eye[0], eye[1] - 10, "--muted", "center");
}

function drawTrail(g, project, pose, hand) {
  let newer = joint(pose, hand, 0);
  for (const [earlier, opacity] of page.trail ? page.trail(pose) : []) {
    const older = joint(earlier, hand, 0);
    g.globalAlpha = opacity;
    if (newer && older) stroke(g, scene.hands[hand].colour, 1.5, [[newer, older].map(project)]);
    newer = older;
  }
  g.globalAlpha = 1;
}

const flatJoints = (project, pose, hand) => scene.joint_colours.map((_, j) => joint(pose, hand, j)).map((p) => p && project(p));

/** The bones of a hand as [depth, draw] pieces, a wider edge under each; both `back` by so many metres. */
function bonePieces(g, hand, flat, { edge, rim, back, width }) {
  const { plain, colour: own } = scene.hands[hand];
  return scene.bones.filter((b) => flat[b.from] && flat[b.to]).flatMap((bone) => {
    const pair = [flat[bone.from], flat[bone.to]], depth = (pair[0][2] + pair[1][2]) / 2, wide = width(...pair);
    return [[depth + back.edge, () => stroke(g, edge, wide + rim, [pair])],
      [depth + back.bone, () => stroke(g, plain ? own : bone.colour, wide, [pair])]];
  });
}

/** One hand as pieces, and at once what lies below it: trail and shadow. */
function handPieces(g, project, pose, hand) {
  const flat = flatJoints(project, pose, hand), { name, colour: own, plain } = scene.hands[hand];
  const shadow = flatJoints((p) => project([p[0], floor, p[2]]), pose, hand), below = shadow.find(Boolean);
  drawTrail(g, project, pose, hand);
  if (below) stroke(g, "--shadow", 0.008 * below[3], scene.bones.map((b) => [shadow[b.from], shadow[b.to]]));
  const width = (a, b) => clamp(0.0035 * (a[3] + b[3]), 2, 14);
  const pieces = bonePieces(g, hand, flat, { edge: "--edge", rim: 2, back: { edge: 0, bone: 0 }, width });
  flat.forEach((p, j) => p && pieces.push([p[2] - (j ? 0.006 : 0.03), () => {
    g.beginPath();
    g.arc(p[0], p[1], clamp(0.0055 * p[3], 2.2, 11), 0, 7);
    g.fillStyle = plain ? own : scene.joint_colours[j];
    g.fill();
    g.strokeStyle = colour("--edge");
    g.lineWidth = 1;
    g.stroke();
  }]));
  const [wrist, knuckle] = [flat[0], flat[9]];
  if (wrist && knuckle) {
    const dx = wrist[0] - knuckle[0], dy = wrist[1] - knuckle[1], length = Math.hypot(dx, dy) || 1;
    pieces.push([0, () => text(g, name, wrist[0] + (dx / length) * 30, wrist[1] + (dy / length) * 24, own, "center")]);
  }
  return pieces;
}

/** A true hand: thin, and under its prediction where they meet. No joints cover the ends of its bones, so that the edges
 * lie under all of them. */
const truePieces = (g, project, pose, hand) => bonePieces(g, hand, flatJoints(project, pose, hand),
  { edge: "--truth-edge", rim: 2.5, back: { edge: 0.05, bone: 0.004 }, width: () => 2.5 });

/** The labels of now in the corner, one per line. */
function showLabels() {
  const lines = (page.labels ? page.labels() : []).filter((label) => !label.true || truthShown()).map((label) => {
    const line = document.createElement("span");
    line.textContent = label.words;
    line.className = label.true ? "key true" : "key";
    line.style.setProperty("--c", label.colour);
    return line;
  });
  $("labels").replaceChildren(...lines);
  $("labels").hidden = !lines.length;
}

function draw() {
  const [g, w, h] = context(canvas), project = projector(w, h), pose = page.pose();
  g.font = "600 13px system-ui, sans-serif";
  drawFloor(g, project);
  drawCamera(g, project);
  const pieces = found.flatMap((hand) => handPieces(g, project, pose, hand));
  $("nohand").hidden = pieces.length > 0;
  if (truthShown()) pieces.push(...trueHands.flatMap((hand) => truePieces(g, project, pose, hand)));
  pieces.sort((a, b) => b[0] - a[0]).forEach(([, draw]) => draw());
  showLabels();
}

const touches = new Map();
const zoom = (factor) => { view.distance = clamp(view.distance * factor, 0.4 * radius, 30 * radius); draw(); };
canvas.addEventListener("pointerdown", (e) => {
  canvas.setPointerCapture(e.pointerId);
  touches.set(e.pointerId, [e.clientX, e.clientY]);
});
canvas.addEventListener("pointermove", (e) => {
  const before = touches.get(e.pointerId);
  if (!before) return;
  const gap = () => { const [a, b] = [...touches.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
  const wide = touches.size === 2 ? gap() : 0;
  touches.set(e.pointerId, [e.clientX, e.clientY]);
  if (touches.size === 2) return zoom(clamp(wide / Math.max(gap(), 1), 0.5, 2));
  view.yaw -= (e.clientX - before[0]) * 0.008;
  view.pitch = clamp(view.pitch + (e.clientY - before[1]) * 0.008, -1.55, 1.55);
  draw();
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => touches.delete(e.pointerId));
canvas.addEventListener("wheel", (e) => {
  e.preventDefault();
  zoom(Math.exp(clamp(e.deltaY, -200, 200) * 0.0015));
}, { passive: false });
canvas.addEventListener("keydown", (e) => {
  const factor = { "+": 0.85, "-": 1.18 }[e.key];
  if (factor) { e.preventDefault(); zoom(factor); }
});
document.querySelectorAll("[data-view]").forEach((button) => button.addEventListener("click", () => {
  [view.yaw, view.pitch] = button.dataset.view.split(" ").map(Number);
  draw();
}));
if (truth) truth.addEventListener("change", draw);
return draw;
}
