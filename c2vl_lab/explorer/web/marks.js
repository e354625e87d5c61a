// Points and lines of one map by WebGL 2. Points are drawn in the order that they are given in, each once: faded ones, lit
// ones, class prompts; within each part at random, so that the first of them are a fair sample while a map moves.
const FINE = 5000; // points up to which lines are smoothed; without a graphics card that doubles the time of a frame
const POINT_VERTEX = `#version 300 es
in vec2 place; in vec2 before; in float kind; in vec4 paint;
uniform vec2 scale; uniform vec2 shift; uniform float blend; uniform float size; uniform float bold;
out vec4 ink; flat out int mark; out float width;
void main() {
  ink = paint;
  mark = int(kind);
  width = size * (mark == 3 ? bold : mark == 0 ? 1.0 : 1.15) * (paint.a > 0.97 ? 1.35 : 1.0);
  gl_PointSize = width;
  vec2 at = mix(before, place, blend) * scale + shift;
  gl_Position = isnan(at.x) ? vec4(9.0, 9.0, 9.0, 1.0) : vec4(at, 0.0, 1.0);
}`;
const POINT_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 rim;
in vec4 ink; flat in int mark; in float width; out vec4 color;
float star(vec2 p) {
  float angle = atan(p.x, p.y), part = 6.2831853 / 5.0;
  angle = abs(mod(angle + part / 2.0, part) - part / 2.0);
  vec2 q = length(p) * vec2(sin(angle), cos(angle));
  vec2 tip = vec2(0.0, 1.0), dent = 0.42 * vec2(sin(part / 2.0), cos(part / 2.0)), side = dent - tip;
  return dot(q - tip, normalize(vec2(side.y, -side.x))) * (side.y < 0.0 ? -1.0 : 1.0);
}
void main() {
  vec2 p = vec2(1.0, -1.0) * (2.0 * gl_PointCoord - 1.0);
  float far = mark == 1 ? abs(p.x) + abs(p.y) - 0.95
    : mark == 2 ? max(abs(p.x), abs(p.y)) - 0.74
    : mark == 3 ? star(p) : length(p) - 0.85;
  float edge = 2.0 / width, cover = 1.0 - smoothstep(-edge, edge, far);
  if (cover <= 0.01) discard;
  vec3 fill = mark == 3 && far > -0.16 ? rim : ink.rgb;
  float alpha = min(ink.a, 0.9) * cover;
  color = vec4(fill * alpha, alpha);
}`;
const LINE_VERTEX = `#version 300 es
in vec2 place; in vec2 before; in vec4 paint;
uniform vec2 scale; uniform vec2 shift; uniform float blend; out vec4 ink;
void main() { ink = paint; gl_Position = vec4(mix(before, place, blend) * scale + shift, 0.0, 1.0); }`;
const LINE_FRAGMENT = `#version 300 es
precision mediump float; in vec4 ink; out vec4 color; uniform float strength;
void main() { color = vec4(ink.rgb * strength, strength); }`;

class Marks {
  constructor(canvas, points) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { antialias: points <= FINE, premultipliedAlpha: true, preserveDrawingBuffer: true });
    if (!gl) throw new Error("This browser offers no WebGL 2, which the maps are drawn with.");
    this.gl = gl;
    this.points = this.program(POINT_VERTEX, POINT_FRAGMENT);
    this.lines = this.program(LINE_VERTEX, LINE_FRAGMENT);
    this.buffers = Object.fromEntries(["place", "before", "kind", "paint", "index", "order"].map((name) => [name, gl.createBuffer()]));
    this.parts = [];
    this.pairs = 0;
    this.blend = 1;
  }
  program(vertex, fragment) {
    const gl = this.gl, made = gl.createProgram();
    for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    }
    ["place", "before", "kind", "paint"].forEach((name, at) => gl.bindAttribLocation(made, at, name));
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
    return made;
  }
  fill(name, values, target = this.gl.ARRAY_BUFFER) {
    this.gl.bindBuffer(target, this.buffers[name]);
    this.gl.bufferData(target, values, this.gl.DYNAMIC_DRAW);
  }
  setPlaces(places, before) {
    this.fill("place", places);
    this.fill("before", before && before.length === places.length ? before : places);
  }
  setKinds(kinds) { this.fill("kind", Uint8Array.from(kinds)); }
  setPaint(paint) { this.fill("paint", paint); }
  setPairs(pairs) { this.pairs = pairs.length; this.fill("index", pairs, this.gl.ELEMENT_ARRAY_BUFFER); }
  setOrder(parts) { // lists of points, one after the other
    const order = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    this.parts = parts.map((part) => { order.set(part, at); at += part.length; return { from: at - part.length, count: part.length }; });
    this.fill("order", order, this.gl.ELEMENT_ARRAY_BUFFER);
  }
  bind() {
    const gl = this.gl;
    [["place", 2, gl.FLOAT, false], ["before", 2, gl.FLOAT, false], ["kind", 1, gl.UNSIGNED_BYTE, false],
      ["paint", 4, gl.UNSIGNED_BYTE, true]].forEach(([name, size, type, norm], at) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, type, norm, 0, 0);
    });
  }
  draw(view, size, bold, rim, share) { // share: of the points of large parts
    const gl = this.gl;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.bind();
    const at = (program, name) => gl.getUniformLocation(program, name);
    const place = (program) => {
      gl.useProgram(program);
      gl.uniform2f(at(program, "scale"), view.scale[0], view.scale[1]);
      gl.uniform2f(at(program, "shift"), view.shift[0], view.shift[1]);
      gl.uniform1f(at(program, "blend"), this.blend);
    };
    if (this.pairs) {
      place(this.lines);
      gl.uniform1f(at(this.lines, "strength"), this.pairs > 2000 ? 0.07 : this.pairs > 400 ? 0.14 : 0.3);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.index);
      gl.drawElements(gl.LINES, this.pairs, gl.UNSIGNED_INT, 0);
    }
    place(this.points);
    gl.uniform1f(at(this.points, "size"), size);
    gl.uniform1f(at(this.points, "bold"), bold / size);
    gl.uniform3f(at(this.points, "rim"), ...rim);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.order);
    for (const { from, count } of this.parts) {
      const drawn = Math.min(count, Math.max(FINE, Math.ceil(share * count)));
      if (drawn) gl.drawElements(gl.POINTS, drawn, gl.UNSIGNED_INT, 4 * from);
    }
  }
  free() { this.gl.getExtension("WEBGL_lose_context")?.loseContext(); }
}
