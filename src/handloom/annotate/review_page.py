"""The review page: one document, no other file, nothing from the network."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Handloom: review of labels</title>
<style>
 body { margin: 0; font: 14px system-ui, sans-serif; background: #14171c; color: #e6e6e6; }
 header { display: flex; gap: 8px; align-items: center; padding: 8px 12px; background: #1e232b; flex-wrap: wrap; }
 button, select { font: inherit; color: inherit; background: #323a46; border: 0; padding: 5px 10px; }
 button:hover { background: #46515f; } #message { margin-left: auto; opacity: .8; }
 main { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 8px; padding: 8px; }
 figure { margin: 0; background: #000; position: relative; } canvas { width: 100%; display: block; cursor: crosshair; }
 figcaption { position: absolute; left: 6px; top: 4px; text-shadow: 0 0 4px #000; pointer-events: none; }
</style>
<header>
 <select id="recording" title="recording"></select>
 <button id="back" title="b">Back</button><button id="next" title="n">Next worst</button>
 <span id="where"></span>
 <button id="undo">Forget changes</button><button id="save" title="s">Save frame</button>
 <button id="store">Write store</button><span id="message"></span>
</header>
<main id="views"></main>
<script>
"use strict";
const $ = (id) => document.getElementById(id), COLOURS = ["#4fc3f7", "#ffb74d"];
let about, queue, place = 0, state, cameras = [], drawn = [], positions = {}, held = null;
let asking = false, again = false, turn = 0.5;
const say = (text) => { $("message").textContent = text; };
async function ask(path, body) {
  const options = body && {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
  const answer = await (await fetch(path, options || {})).json();
  if (answer.error) { say(answer.error); throw new Error(answer.error); }
  return answer;
}
const recording = () => encodeURIComponent($("recording").value);
async function openRecording() {
  queue = await ask("/queue?recording=" + recording());
  cameras = queue.cameras; place = 0; drawn = []; $("views").textContent = "";
  for (const [view, camera] of [...cameras, {name: "3D: drag to turn", width: 640, height: 480}].entries()) {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    canvas.width = camera.width; canvas.height = camera.height; caption.textContent = camera.name;
    figure.append(canvas, caption); $("views").append(figure);
    drawn.push({canvas, caption, image: new Image()});
    canvas.onpointerdown = (event) => grab(view, event);
    canvas.onpointermove = (event) => drag(view, event);
    canvas.onpointerup = () => { held = null; };
  }
  await openFrame();
}
async function openFrame() {
  if (!queue.frames.length) { say("no frame is seen by two cameras"); return; }
  const frame = queue.frames[place];
  state = await ask(`/frame?recording=${recording()}&frame=${frame}`);
  positions = structuredClone(state.positions);
  await Promise.all(cameras.map((_, view) => new Promise((done) => {
    drawn[view].image.onload = drawn[view].image.onerror = done;
    drawn[view].image.src = `/picture?recording=${recording()}&view=${view}&frame=${frame}`;
  })));
  const saved = queue.saved.includes(frame) ? ", saved" : "";
  $("where").textContent = `frame ${frame} (${place + 1} of ${queue.frames.length}, worst first${saved})`;
  document.body.dataset.frame = frame;
  draw();
}
const known = (point) => point && point[0] !== null && point[1] !== null;
function bones(context, points, colour, width) {
  context.strokeStyle = colour; context.lineWidth = width; context.beginPath();
  for (const [a, b] of about.bones) if (known(points[a]) && known(points[b])) {
    context.moveTo(points[a][0] + .5, points[a][1] + .5); context.lineTo(points[b][0] + .5, points[b][1] + .5);
  }
  context.stroke();
}
function draw() {
  cameras.forEach((camera, view) => {
    const {canvas, image} = drawn[view], context = canvas.getContext("2d"), seen = state.views[view];
    const unit = Math.max(1, camera.width / 400);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (image.naturalWidth) context.drawImage(image, 0, 0);
    for (const hand of [0, 1]) {
      bones(context, seen.reprojected[hand], COLOURS[hand], 1.5 * unit);
      seen.keypoints[hand].forEach((point, joint) => {
        const own = known(point), at = own ? point : seen.reprojected[hand][joint];
        if (!known(at)) return;
        context.beginPath(); context.arc(at[0] + .5, at[1] + .5, 3 * unit, 0, 7);
        context.lineWidth = unit; context.strokeStyle = own ? COLOURS[hand] : "#888";
        context.fillStyle = seen.manual[hand][joint] ? "#69f0ae" : seen.used[hand][joint] ? COLOURS[hand] : "#e53935";
        if (own) context.fill();
        context.stroke();
      });
    }
  });
  drawScene();
  const errors = state.error_px.flat().filter((e) => e !== null).sort((a, b) => a - b);
  const middle = errors.length ? errors[errors.length >> 1].toFixed(2) : "-";
  document.body.dataset.error = middle; say(`reprojection error ${middle} px median`);
}
function drawScene() {
  const {canvas} = drawn[cameras.length], context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const all = state.joints.flat().filter(known); if (!all.length) return;
  const middle = [0, 1, 2].map((axis) => all.reduce((sum, p) => sum + p[axis], 0) / all.length);
  const reach = Math.max(...all.map((p) => Math.hypot(...p.map((v, axis) => v - middle[axis])))) || 1;
  const flat = (p) => {
    if (!known(p)) return null;
    const [x, y, z] = p.map((v, axis) => (v - middle[axis]) / reach), c = Math.cos(turn), s = Math.sin(turn);
    return [320 + 220 * (c * x + s * y), 240 - 220 * z + 60 * (c * y - s * x)];
  };
  for (const hand of [0, 1]) bones(context, state.joints[hand].map(flat), COLOURS[hand], 3);
}
function spot(view, event) {
  const canvas = drawn[view].canvas, box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width - .5,
          (event.clientY - box.top) * canvas.height / box.height - .5];
}
function grab(view, event) {
  const at = spot(view, event);
  if (view === cameras.length) { held = {view, from: event.clientX, turn}; return; }
  let best = 15 * Math.max(1, cameras[view].width / 400);
  for (const hand of [0, 1]) for (let joint = 0; joint < 21; joint++) {
    const own = state.views[view].keypoints[hand][joint];
    const point = known(own) ? own : state.views[view].reprojected[hand][joint];
    if (!known(point)) continue;
    const far = Math.hypot(point[0] - at[0], point[1] - at[1]);
    if (far < best) { best = far; held = {view, hand, joint}; }
  }
  if (held) drawn[view].canvas.setPointerCapture(event.pointerId);
}
function drag(view, event) {
  if (!held || held.view !== view) return;
  if (view === cameras.length) { turn = held.turn + (event.clientX - held.from) / 100; drawScene(); return; }
  const at = spot(view, event), hand = about.hands[held.hand], name = cameras[view].name;
  ((positions[name] ??= {})[hand] ??= {})[held.joint] = at;
  state.views[view].keypoints[held.hand][held.joint] = at;
  state.views[view].manual[held.hand][held.joint] = true;
  draw(); solve();
}
async function solve() {
  if (asking) { again = true; return; }
  asking = true;
  const frame = state.frame;
  try {
    const answer = await ask("/solve", {recording: $("recording").value, frame, positions});
    if (state.frame === frame) { state = answer; draw(); }
  } finally { asking = false; }
  if (again) { again = false; await solve(); }
}
async function step(by) {
  place = (place + by + queue.frames.length) % Math.max(1, queue.frames.length); await openFrame();
}
async function save() {
  await ask("/save", {recording: $("recording").value, frame: state.frame, positions});
  if (!queue.saved.includes(state.frame)) queue.saved.push(state.frame);
  say(`saved frame ${state.frame}`); document.body.dataset.saved = state.frame;
}
$("next").onclick = () => step(1); $("back").onclick = () => step(-1); $("save").onclick = save;
$("undo").onclick = () => { positions = {}; solve(); };
$("store").onclick = async () => {
  say("writing the store ..."); const done = await ask("/store", {}); say(done.stored);
  document.body.dataset.stored = "yes";
};
$("recording").onchange = openRecording;
document.onkeydown = (event) => {
  if (event.key === "n") step(1); if (event.key === "b") step(-1); if (event.key === "s") save();
};
(async () => {
  about = await ask("/about");
  for (const name of about.recordings) $("recording").add(new Option(name, name));
  await openRecording(); document.body.dataset.ready = "yes";
})();
</script></html>
"""
