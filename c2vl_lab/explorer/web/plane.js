// One map: where points are on the screen, which is under the pointer, which lie inside a drawn line.
const NEAR = 9; // pixels within which a point is under the pointer
const STILL = 4; // pixels that a click may move
const SLOW = 50, QUICK = 25; // milliseconds of a frame of a moving map: more shows fewer points, less shows more of them
const LEAST = 0.05; // share of the points that a moving map shows at least
const REST = 160; // milliseconds without a movement after which all points are drawn again

class Plane {
  constructor(host, tell, points) {
    this.tell = tell; // {hover, click, select, wheel}: called with what a person does here
    this.host = host;
    this.canvas = element("canvas", "cx-marks", host);
    this.over = element("canvas", "cx-over", host);
    this.pen = this.over.getContext("2d");
    this.marks = new Marks(this.canvas, points);
    this.zoom = 1; this.center = [0, 0]; this.reach = 1;
    this.places = new Float32Array(0); this.visible = new Uint8Array(0);
    this.path = null; this.drag = null; this.tool = "lasso"; this.waiting = this.stale = false; this.share = 1; this.movedAt = -Infinity; this.extra = () => {};
    this.listen();
    new ResizeObserver(() => this.resize()).observe(host);
  }
  resize() {
    const ratio = window.devicePixelRatio || 1, box = this.host.getBoundingClientRect();
    this.wide = box.width; this.tall = box.height; this.ratio = ratio;
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.max(1, Math.round(box.width * ratio));
      canvas.height = Math.max(1, Math.round(box.height * ratio));
    }
    this.draw();
  }
  setPlaces(places, kinds, move) {
    const before = move ? this.places : null;
    this.places = places;
    this.grid = null;
    this.marks.setPlaces(places, before);
    this.marks.setKinds(kinds);
    let low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (let i = 0; i < places.length; i += 2) {
      if (Number.isNaN(places[i])) continue;
      for (const k of [0, 1]) { low[k] = Math.min(low[k], places[i + k]); high[k] = Math.max(high[k], places[i + k]); }
    }
    if (low[0] === Infinity) { low = [0, 0]; high = [1, 1]; }
    this.home = [[(low[0] + high[0]) / 2, (low[1] + high[1]) / 2], high.map((top, k) => Math.max(top - low[k], 1e-6))];
    if (!move || !before.length) this.fit(); else this.glide();
  }
  glide() {
    const start = performance.now();
    const step = (now) => {
      this.marks.blend = Math.min(1, (now - start) / 450);
      this.move();
      if (this.marks.blend < 1) requestAnimationFrame(step);
    };
    this.marks.blend = 0;
    requestAnimationFrame(step);
  }
  fit() { this.zoom = 1; this.center = this.home[0].slice(); this.draw(); }
  unit() { return 0.9 * Math.min(this.wide / this.home[1][0], this.tall / this.home[1][1]) * this.zoom; } // pixels
  toScreen(x, y) {
    const unit = this.unit();
    return [this.wide / 2 + (x - this.center[0]) * unit, this.tall / 2 - (y - this.center[1]) * unit];
  }
  toMap(px, py) {
    const unit = this.unit();
    return [this.center[0] + (px - this.wide / 2) / unit, this.center[1] - (py - this.tall / 2) / unit];
  }
  draw() { this.stale = true; this.sketch(); } // marks, and what lies over them
  sketch() { // what lies over them alone
    if (this.waiting || !this.wide || !this.home) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }
  // While it moves, a map of very many points shows as large a random part of them as the machine can follow with.
  move() {
    this.movedAt = performance.now();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.draw(), REST);
    this.draw();
  }
  pace(took) {
    if (took > SLOW) this.share = Math.max(LEAST, this.share * Math.max(0.3, SLOW / took));
    else if (took < QUICK) this.share = Math.min(1, this.share * 1.25);
  }
  paint() {
    if (this.stale) this.paintMarks();
    this.pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.pen.clearRect(0, 0, this.wide, this.tall);
    this.extra(this.pen, this);
    if (this.path && this.path.length > 1) this.outline();
  }
  paintMarks() {
    const moving = performance.now() - this.movedAt < REST;
    this.stale = false;
    const unit = this.unit(), sx = 2 * unit / this.wide, sy = 2 * unit / this.tall;
    const crowd = this.visible.length > 40000 ? 4 : this.visible.length > 8000 ? 6 : 8;
    const size = crowd * this.ratio * Math.min(2, Math.sqrt(this.zoom)) * Math.max(1, Math.min(this.wide, this.tall) / 520);
    this.marks.draw({ scale: [sx, sy], shift: [-this.center[0] * sx, -this.center[1] * sy] }, size,
      26 * this.ratio * Math.max(1, Math.min(this.wide, this.tall) / 620), this.ground(), moving ? this.share : 1);
    if (!moving) return;
    const start = performance.now();
    requestAnimationFrame((now) => this.pace(now - start)); // the next frame waits until this one is drawn
  }
  ground() { // the colour behind the marks, 0 to 1
    const color = getComputedStyle(this.host).backgroundColor.match(/[\d.]+/g) || [255, 255, 255];
    return color.slice(0, 3).map((value) => value / 255);
  }
  outline() {
    const pen = this.pen, dash = getComputedStyle(this.host).getPropertyValue("--cx-accent") || "#0072b2";
    pen.beginPath();
    for (const [x, y] of this.corners()) pen.lineTo(x, y);
    pen.closePath();
    pen.fillStyle = "rgba(0,114,178,0.12)"; pen.fill();
    pen.setLineDash([5, 4]); pen.lineWidth = 1.5; pen.strokeStyle = dash; pen.stroke(); pen.setLineDash([]);
  }
  corners() {
    if (this.tool !== "box") return this.path;
    const [[x0, y0], [x1, y1]] = [this.path[0], this.path[this.path.length - 1]];
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  }
  under(px, py) {
    if (!this.grid) this.grid = new Grid(this.places, this.visible);
    return this.grid.nearest(...this.toMap(px, py), NEAR / this.unit());
  }
  inside(corners) {
    const line = corners.map(([x, y]) => this.toMap(x, y)), found = [];
    const xs = line.map((p) => p[0]), ys = line.map((p) => p[1]);
    const box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (let i = 0; i < this.visible.length; i++) {
      const x = this.places[2 * i], y = this.places[2 * i + 1];
      if (!this.visible[i] || !(x >= box[0] && x <= box[1] && y >= box[2] && y <= box[3])) continue;
      let odd = false;
      for (let a = 0, b = line.length - 1; a < line.length; b = a++) {
        if (line[a][1] > y !== line[b][1] > y
          && x < (line[b][0] - line[a][0]) * (y - line[a][1]) / (line[b][1] - line[a][1]) + line[a][0]) odd = !odd;
      }
      if (odd) found.push(i);
    }
    return found;
  }
  listen() {
    const over = this.over, at = (event) => {
      const box = over.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    over.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      over.closest(".cx-root").focus({ preventScroll: true });
      try { over.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
      this.drag = { start: at(event), center: this.center.slice(), moved: 0 };
      if (this.tool !== "pan") this.path = [at(event)];
    });
    over.addEventListener("pointermove", (event) => {
      const here = at(event);
      if (!this.drag) return this.tell.hover(this, this.under(...here), here);
      const { start, center } = this.drag, dx = here[0] - start[0], dy = here[1] - start[1];
      this.drag.moved = Math.max(this.drag.moved, Math.hypot(dx, dy));
      if (this.path) { this.path.push(here); this.sketch(); return; }
      this.center = [center[0] - dx / this.unit(), center[1] + dy / this.unit()];
      this.move();
    });
    const finish = (event) => {
      if (!this.drag) return;
      const { moved, start } = this.drag, path = this.path;
      if (path) this.path.push(at(event));
      if (moved < STILL) this.tell.click(this, this.under(...start));
      else if (path) this.tell.select(this, this.inside(this.corners()), event.shiftKey ? "add" : event.altKey ? "remove" : "");
      this.drag = this.path = null;
      this.sketch();
    };
    over.addEventListener("pointerup", finish);
    over.addEventListener("pointercancel", () => { this.drag = this.path = null; this.sketch(); });
    over.addEventListener("pointerleave", () => { if (!this.drag) this.tell.hover(this, -1, [0, 0]); });
    over.addEventListener("dblclick", () => this.fit());
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      const here = at(event), before = this.toMap(...here);
      this.zoom = Math.min(200, Math.max(0.3, this.zoom * Math.exp(-event.deltaY * 0.0015)));
      const after = this.toMap(...here);
      this.center = this.center.map((c, k) => c + before[k] - after[k]);
      this.move();
    }, { passive: false });
  }
}

// Visible points in square cells, so that the one under the pointer is found at once.
class Grid {
  constructor(places, visible) {
    this.places = places;
    const n = visible.length, seen = (i) => visible[i] && !Number.isNaN(places[2 * i]);
    let low = [Infinity, Infinity], high = [-Infinity, -Infinity], count = 0;
    for (let i = 0; i < n; i++) {
      if (!seen(i)) continue;
      count += 1;
      for (const k of [0, 1]) {
        low[k] = Math.min(low[k], places[2 * i + k]); high[k] = Math.max(high[k], places[2 * i + k]);
      }
    }
    this.low = low;
    this.side = Math.max(1, Math.min(256, Math.round(Math.sqrt(count / 2))));
    this.step = Math.max((high[0] - low[0]) / this.side, (high[1] - low[1]) / this.side, 1e-9);
    // points sorted by cell: cell c has those from start[c] to start[c + 1]
    const wide = this.side + 1, own = new Int32Array(n).fill(-1);
    this.start = new Int32Array(wide * wide + 1);
    for (let i = 0; i < n; i++) {
      if (!seen(i)) continue;
      own[i] = this.cell(places[2 * i], 0) * wide + this.cell(places[2 * i + 1], 1);
      this.start[own[i] + 1] += 1;
    }
    for (let c = 0; c < wide * wide; c++) this.start[c + 1] += this.start[c];
    const next = this.start.slice();
    this.points = new Int32Array(count);
    for (let i = 0; i < n; i++) if (own[i] >= 0) this.points[next[own[i]]++] = i;
  }
  cell(value, k) { return Math.min(this.side, Math.max(0, Math.floor((value - this.low[k]) / this.step))); }
  nearest(x, y, reach) {
    let best = -1, least = reach;
    for (let a = this.cell(x - reach, 0); a <= this.cell(x + reach, 0); a++)
      for (let b = this.cell(y - reach, 1); b <= this.cell(y + reach, 1); b++) {
        const cell = a * (this.side + 1) + b;
        for (let at = this.start[cell]; at < this.start[cell + 1]; at++) {
          const i = this.points[at], far = Math.hypot(this.places[2 * i] - x, this.places[2 * i + 1] - y);
          if (far < least) { least = far; best = i; }
        }
      }
    return best;
  }
}
