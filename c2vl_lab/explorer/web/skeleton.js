// Small players of moving skeletons: play, speed, turn by dragging. They draw what viz.desk.motion made of a clip.
const players = new Set();
let ticking = false;

function tick(now) {
  for (const one of players) {
    if (one.host.isConnected) one.step(now);
    else if (one.seen) players.delete(one);
  }
  ticking = players.size > 0;
  if (ticking) requestAnimationFrame(tick);
}

class SkeletonPlayer {
  constructor(host, clip, size, controls) {
    this.host = host; this.clip = clip; this.at = 0; this.turn = 0.25; this.tilt = 0; this.speed = 1; this.last = null;
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    const ratio = window.devicePixelRatio || 1;
    this.canvas = element("canvas", "cx-player", host);
    this.canvas.width = this.canvas.height = Math.round(size * ratio);
    this.canvas.style.width = this.canvas.style.height = size + "px";
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "the moving clip");
    this.pen = this.canvas.getContext("2d");
    this.thick = Math.max(1.5, size / 75) * ratio;
    if (controls) this.controls(host);
    this.orbit();
    this.draw();
    players.add(this);
    if (!ticking) { ticking = true; requestAnimationFrame(tick); }
  }
  get count() { return this.clip.poses.length; }
  controls(host) {
    const bar = element("div", "cx-bar", host);
    this.button = element("button", "cx-button cx-play", bar, this.playing ? "Pause" : "Play");
    this.slider = element("input", "cx-frame", bar);
    Object.assign(this.slider, { type: "range", min: 0, max: this.count - 1, value: 0 });
    this.slider.setAttribute("aria-label", "frame");
    const speed = element("select", "cx-speed", bar);
    for (const [value, text] of [[0.25, "¼×"], [0.5, "½×"], [1, "1×"], [2, "2×"]]) element("option", "", speed, text).value = value;
    speed.value = "1";
    this.output = element("output", "", bar);
    this.button.onclick = () => { this.playing = !this.playing; this.button.textContent = this.playing ? "Pause" : "Play"; };
    this.slider.oninput = () => { this.at = Number(this.slider.value); this.draw(); };
    speed.onchange = () => { this.speed = Number(speed.value); };
  }
  orbit() {
    let grip = null;
    this.canvas.addEventListener("pointerdown", (e) => { grip = [e.clientX, e.clientY]; this.canvas.setPointerCapture(e.pointerId); });
    this.canvas.addEventListener("pointermove", (e) => {
      if (!grip) return;
      this.turn += (e.clientX - grip[0]) / 120;
      this.tilt = Math.max(-1.4, Math.min(1.4, this.tilt + (e.clientY - grip[1]) / 160));
      grip = [e.clientX, e.clientY];
      this.draw();
    });
    this.canvas.addEventListener("pointerup", () => { grip = null; });
  }
  step(now) {
    this.seen = true;
    if (this.playing && this.last !== null) {
      this.at += (now - this.last) / 1000 * this.clip.fps * this.speed;
      if (this.at >= this.count + 0.5 * this.clip.fps) this.at = 0;
      this.draw();
    }
    this.last = now;
  }
  place(pose, joint) {
    const [x, y, z] = pose.slice(3 * joint, 3 * joint + 3);
    if (x === null || y === null || z === null || x === undefined) return null;
    const size = this.canvas.width / this.clip.reach, far = x * Math.sin(this.turn) + z * Math.cos(this.turn);
    const side = x * Math.cos(this.turn) - z * Math.sin(this.turn);
    return [this.canvas.width / 2 + side * size,
      this.canvas.height / 2 - (y * Math.cos(this.tilt) - far * Math.sin(this.tilt)) * size];
  }
  draw() {
    const { pen, clip, canvas } = this, frame = Math.min(Math.floor(this.at), this.count - 1);
    if (frame === this.shown && this.turn === this.turned && this.tilt === this.tilted) return;
    this.shown = frame; this.turned = this.turn; this.tilted = this.tilt;
    canvas.dataset.frame = frame;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const size = canvas.width / clip.reach, floor = canvas.height / 2 - clip.floor * Math.cos(this.tilt) * size;
    pen.strokeStyle = "rgba(128,138,150,0.45)"; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(0, floor); pen.lineTo(canvas.width, floor); pen.stroke();
    clip.poses[frame].forEach((pose, order) => { if (pose) this.body(pose, clip.paints[Math.min(order, 1)]); });
    if (this.slider) { this.slider.value = frame; this.output.textContent = "frame " + clip.frames[frame]; }
  }
  body(pose, paint) {
    const pen = this.pen;
    pen.lineWidth = this.thick; pen.lineCap = "round";
    for (const [from, to, side] of this.clip.bones) {
      const a = this.place(pose, from), b = this.place(pose, to);
      if (!a || !b) continue;
      pen.strokeStyle = paint[side]; pen.beginPath(); pen.moveTo(...a); pen.lineTo(...b); pen.stroke();
    }
    const head = this.clip.head < 0 ? null : this.place(pose, this.clip.head);
    if (head) { pen.fillStyle = paint[2]; pen.beginPath(); pen.arc(...head, this.thick * 1.9, 0, 7); pen.fill(); }
  }
}
