// The whole explorer: two maps, tools, legend, search, slider, clip. The model behind it is Python, or a saved page.
const TOOLS = [["pan", "✥ Move", "drag moves the map, the wheel zooms"], ["lasso", "◌ Lasso", "draw round points"],
  ["box", "▭ Box", "draw a box"]];
const MOST_LABELS = 60, MOST_LINES = 5000, WIDE = 2000, LEGIBLE = 110;

const numbers = (data, kind) => {
  if (!data) return new kind(0);
  const view = data instanceof DataView ? data : new DataView(data.buffer || data);
  return new kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
};

class Explorer {
  constructor(model, root) {
    this.model = model;
    this.scene = model.get("scene");
    this.kind = numbers(this.scene.kind, Uint8Array);
    this.owner = numbers(this.scene.owner, Int32Array);
    this.codes = Object.fromEntries(Object.entries(this.scene.columns).map(([name, c]) => [name, numbers(c.codes, Int16Array)]));
    this.chosen = new Uint8Array(this.scene.clips);
    this.random = shuffled(this.owner.length);
    this.root = element("div", "cx-root", root);
    this.root.classList.toggle("cx-page", this.scene.offline);
    this.root.classList.toggle("cx-elsewhere", Boolean(this.scene.elsewhere));
    this.grow();
    this.toolbar(); this.searchbar(); this.panels(); this.lower();
    this.follow();
    this.takeSelection(); this.takeHits(); this.takeMaps(); this.takeTool(); this.takeCard(); this.takeMessage();
    this.takeColors();
    // JupyterLab puts it into the page after it was made, and writes into the body's attributes when the theme is another one
    new ResizeObserver(() => { this.grow(); this.takeGround(); }).observe(this.root);
    this.themes = new MutationObserver(() => this.takeGround());
    for (const page of [document.documentElement, document.body]) this.themes.observe(page, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.takeGround());
  }
  // text and players grow with a very wide page, as on a 4K screen without scaling
  grow() { this.root.style.setProperty("--cx-big", Math.min(1.8, Math.max(1, this.root.clientWidth / WIDE)).toFixed(2)); }
  // what a person does
  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }
  ask(kind, value) { if (value !== "") { this.busy("searching …"); this.set({ query: { kind, value, id: Date.now() } }); } }
  act(name) {
    const input = this.root.querySelector(".cx-subset-name");
    this.set({ action: { name, value: input ? input.value : "", id: Date.now() } });
  }
  busy(text) { this.message.textContent = text; this.message.classList.remove("cx-error"); }

  toolbar() {
    const bar = element("div", "cx-row cx-tools", this.root), tools = element("span", "cx-group", bar);
    this.tools = Object.fromEntries(TOOLS.map(([name, text, why]) => {
      const button = element("button", "cx-button", tools, text);
      button.type = "button"; button.title = why; button.dataset.tool = name;
      button.onclick = () => this.set({ tool: name });
      return [name, button];
    }));
    const others = element("span", "cx-group", bar);
    if (!this.scene.elsewhere) this.button(others, "⤢ Fit", "show all points", () => this.planes.forEach((plane) => plane.fit()));
    this.button(others, "✕ Clear", "select nothing, forget the search (Esc)", () => this.clear());
    this.count = element("output", "cx-count", bar);
    const look = element("span", "cx-group cx-right", bar);
    const label = element("label", "", look, "Colour ");
    this.colors = element("select", "cx-color", label);
    for (const name of this.scene.order) element("option", "", this.colors, name).value = name;
    this.colors.onchange = () => this.set({ color_by: this.colors.value });
    const lines = element("label", "cx-links-label", look);
    this.lines = element("input", "cx-links", lines);
    this.lines.type = "checkbox";
    lines.append(" lines");
    lines.title = "join the modalities of one clip";
    this.lines.onchange = () => this.set({ links: this.lines.checked });
  }
  button(host, text, why, act, name = "") {
    const made = element("button", "cx-button " + name, host, text);
    made.type = "button"; made.title = why; made.onclick = act;
    return made;
  }
  searchbar() {
    const bar = element("div", "cx-row", this.root), form = element("form", "cx-group cx-search", bar);
    this.input = element("input", "cx-query", form);
    Object.assign(this.input, { type: "search", placeholder: this.scene.words, disabled: !this.scene.searches });
    this.input.setAttribute("aria-label", "search by words");
    if (this.scene.prepared.length) {
      const list = element("datalist", "", form);
      list.id = "cx-prepared-" + Math.random().toString(36).slice(2);
      for (const text of this.scene.prepared) element("option", "", list).value = text;
      this.input.setAttribute("list", list.id);
    }
    element("button", "cx-button", form, "Search").disabled = !this.scene.searches;
    form.onsubmit = (event) => { event.preventDefault(); this.ask("words", this.input.value.trim()); };
    const classes = element("select", "cx-class", bar);
    element("option", "", classes, "class prompt …").value = "";
    this.scene.classes.forEach((name) => { element("option", "", classes, name).value = name; });
    classes.onchange = () => { this.ask("class", classes.value); classes.value = ""; };
    classes.disabled = !this.scene.searches;
    if (this.scene.stages.length > 1) {
      const label = element("label", "cx-group cx-stage-label", bar, "Training ");
      this.slider = element("input", "cx-slider", label);
      Object.assign(this.slider, { type: "range", min: 0, max: this.scene.stages.length - 1, step: 1 });
      this.slider.setAttribute("aria-label", "training stage of the left map");
      this.stage = element("output", "", label);
      this.slider.oninput = () => { this.stage.textContent = this.scene.stages[this.slider.value]; };
      this.slider.onchange = () => this.set({ left: this.scene.stages[this.slider.value] });
    }
    this.message = element("span", "cx-message", bar);
  }
  panels() {
    const frame = element("div", "cx-maps", this.root);
    const tell = {
      hover: (plane, point, here) => this.hover(plane, point, here),
      click: (plane, point) => { if (point >= 0) this.choose(point); },
      select: (plane, points, mode) => this.select(points, mode, plane.tool + " in the " + plane.side + " map"),
    };
    this.planes = ["left", "right"].map((side, k) => {
      const panel = element("section", "cx-panel", frame), head = element("div", "cx-row cx-head", panel);
      const views = element("select", "cx-view", head);
      for (const name of this.scene.views) element("option", "", views, name).value = name;
      views.setAttribute("aria-label", side + " map");
      views.onchange = () => this.set({ [side]: views.value });
      const marks = element("span", "cx-kinds", head);
      const host = element("div", "cx-plane", panel), plane = this.scene.elsewhere ? new Elsewhere(host)
        : new Plane(host, tell, this.owner.length);
      Object.assign(plane, { side, views, buttons: this.kindButtons(marks, k) });
      plane.quality = element("div", "cx-quality", panel);
      plane.extra = (pen) => this.overlay(pen, plane, k);
      return plane;
    });
    this.legend = element("div", "cx-legend", frame);
    this.pointed = element("div", "cx-pointed", this.root);
    this.tip = element("div", "cx-tip", this.root);
    this.tip.hidden = true;
    this.root.tabIndex = -1;
    this.root.dataset.lmSuppressShortcuts = "true"; // letters are commands of the notebook
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.target.closest("input, select")) this.clear();
      event.stopPropagation(); // JupyterLab would take Enter and the arrows
    });
  }
  kindButtons(host, side) {
    return this.scene.modalities.map((modality, at) => {
      const button = element("button", "cx-kind", host);
      button.type = "button";
      button.append(symbol(modality.mark), " " + modality.name);
      button.title = "show or hide the " + modality.name + " points of this map";
      button.onclick = () => {
        const shown = this.model.get("shown").map((names) => names.slice()), own = shown[side];
        shown[side] = own.includes(modality.name) ? own.filter((name) => name !== modality.name)
          : this.scene.modalities.map((m) => m.name).filter((name) => own.includes(name) || name === modality.name);
        this.set({ shown });
      };
      return button;
    });
  }
  lower() {
    const row = element("div", "cx-lower", this.root), left = element("div", "cx-side", row);
    const group = element("div", "cx-row cx-actions", left);
    if (this.scene.offline) this.button(group, "Save selection", "as a CSV file of names", () => this.download());
    else {
      const name = element("input", "cx-subset-name", group);
      Object.assign(name, { placeholder: "name", size: 10, value: "selection" });
      for (const [action, text, why] of [["save", "Save", "the selection as a table"],
        ["subset", "Subset", "a named subset that other notebooks take"],
        ["desk", "Prompt desk", "open the first selected clip's sentences in the quality desk"],
        ["ask", "Ask again", "mark the selected clips' sentences to be asked for again"]])
        this.button(group, text, why, () => this.act(action), "cx-act-" + action);
    }
    this.hitList = element("div", "cx-hits", left);
    this.card = element("div", "cx-card", row);
    element("div", "cx-note", this.root, this.scene.note);
  }
  // what follows from the model
  follow() {
    const heard = { maps: "takeMaps", selected: "takeSelection", hits: "takeHits", tool: "takeTool", card: "takeCard",
      message: "takeMessage", pointed: "takePointed", color_by: "takeColors", filters: "takeColors", shown: "paint", links: "paint", focus: "redraw" };
    for (const [name, method] of Object.entries(heard)) this.model.on("change:" + name, () => this[method]());
  }
  takeMaps() {
    this.model.get("maps").forEach((map, k) => {
      const plane = this.planes[k], places = numbers(map.places, Float32Array);
      if (plane.known !== map.key) plane.setPlaces(places, this.marksOf(), plane.known !== undefined);
      plane.known = map.key;
      plane.views.value = map.view;
      plane.quality.textContent = map.caption;
    });
    const at = this.scene.stages.indexOf(this.model.get("maps")[0].view);
    if (this.slider) {
      if (at >= 0) this.slider.value = at;
      this.stage.textContent = at >= 0 ? this.scene.stages[at] : "";
    }
    this.paint();
  }
  marksOf() { return Array.from(this.kind, (m) => this.scene.modalities[m].mark); }
  takeSelection() {
    this.chosen.fill(0);
    for (const clip of this.model.get("selected").clips) this.chosen[clip] = 1;
    this.many = this.model.get("selected").clips.length;
    const all = this.scene.clips.toLocaleString("en");
    this.count.textContent = this.many ? "selected " + this.many.toLocaleString("en") + " of " + all : "nothing selected yet";
    this.count.classList.toggle("cx-some", this.many > 0);
    for (const button of this.root.querySelectorAll(".cx-actions .cx-button")) button.disabled = !this.many;
    this.paint();
  }
  takeHits() {
    const hits = this.model.get("hits");
    this.rank = new Map(hits.rows.map((row, k) => [row.clip, k + 1]));
    this.hitList.replaceChildren();
    if (hits.rows.length) {
      const head = element("div", "cx-row cx-found", this.hitList);
      element("span", "cx-title", head, hits.title);
      this.button(head, "Select these", "make the found clips the selection",
        () => this.set({ selected: { clips: hits.rows.map((row) => row.clip), by: hits.title } }), "cx-take");
    }
    hits.rows.forEach((row, k) => {
      const line = element("button", "cx-hit", this.hitList);
      line.type = "button";
      element("i", "", line, String(k + 1));
      element("b", "", line, row.score.toFixed(3));
      element("span", "", line, row.name);
      element("em", "", line, row.class);
      line.onclick = () => this.set({ focus: row.clip });
    });
    if (!hits.rows.length) element("p", "cx-quiet", this.hitList, "What a search finds stands here, nearest first.");
    this.busy("");
    this.paint();
  }
  takeTool() {
    const tool = this.model.get("tool");
    for (const [name, button] of Object.entries(this.tools)) button.setAttribute("aria-pressed", String(name === tool));
    for (const plane of this.planes) { plane.tool = tool; plane.host.dataset.tool = tool; }
  }
  takeCard() {
    const card = this.model.get("card");
    showCard(this.card, card, (clip) => this.set({ focus: clip }));
    if (card && card.clip !== undefined && this.scene.searches) {
      const group = element("span", "cx-group", this.card.querySelector(".cx-card-head"));
      this.button(group, "Find like this", "the clips nearest to this one", () => this.ask("clip", card.clip), "cx-like");
      if (card.mirror) this.button(group, "Like its mirror image", "left and right changed", () => this.ask("mirror", card.clip), "cx-mirror");
    }
    const below = card && card.clip !== undefined && this.card.getBoundingClientRect().top > window.innerHeight - 120;
    this.busy(below ? "↓ " + card.name + " is shown below the maps" : "");
  }
  takeMessage() {
    const { text, error } = this.model.get("message");
    this.message.textContent = text;
    this.message.classList.toggle("cx-error", Boolean(error));
  }
  takeGround() { // colours stand out from what is behind them
    const ground = getComputedStyle(this.root).backgroundColor;
    if (!ground || ground === this.ground) return;
    this.ground = ground;
    this.dark = brightness(ground.match(/[\d.]+/g).map(Number)) < 90;
    this.root.classList.toggle("cx-dark", this.dark);
    if (this.scene.elsewhere && this.model.get("dark") !== this.dark) this.set({ dark: this.dark });
    this.takeColors();
  }
  takePointed() { this.pointed.textContent = this.model.get("pointed"); }
  takeColors() {
    const by = this.model.get("color_by"), column = this.scene.columns[by], filters = this.model.get("filters");
    this.colors.value = by;
    this.kept = new Uint8Array(this.scene.clips).fill(1);
    for (const [name, hidden] of Object.entries(filters)) {
      const away = new Set(hidden.map((value) => this.scene.columns[name].names.indexOf(value)));
      this.codes[name].forEach((code, clip) => { if (away.has(code)) this.kept[clip] = 0; });
    }
    this.palette = this.shades(column.colors);
    this.showLegend(by, column, filters);
    this.paint();
  }
  shades(colors) { // [r, g, b] of #rrggbb; on a dark page dark ones are lightened until they stand out
    return colors.map((color) => {
      const rgb = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)), lack = this.dark ? LEGIBLE - brightness(rgb) : 0;
      return lack > 0 ? rgb.map((value) => Math.round(value + (255 - value) * lack / (255 - brightness(rgb)))) : rgb;
    });
  }
  showLegend(by, column, filters) {
    const counts = new Array(column.names.length).fill(0), hidden = new Set(filters[by] || []);
    this.codes[by].forEach((code) => { counts[code] += 1; });
    const top = this.legend.scrollTop;
    this.legend.replaceChildren();
    element("div", "cx-title", this.legend, by);
    const change = (names) => {
      const next = Object.fromEntries(Object.entries(this.model.get("filters")).filter(([name]) => name !== by));
      this.set({ filters: names.length ? { ...next, [by]: names } : next });
    };
    column.names.forEach((name, k) => {
      const entry = element("button", "cx-entry", this.legend);
      entry.type = "button"; entry.dataset.name = name;
      entry.title = "click: hide or show; double click: only this";
      entry.setAttribute("aria-pressed", String(!hidden.has(name)));
      element("i", "", entry).style.background = "rgb(" + this.palette[k] + ")";
      element("span", "", entry, name);
      element("b", "", entry, String(counts[k]));
      entry.onclick = (event) => {
        if (event.detail > 1) return change(column.names.filter((other) => other !== name));
        change(hidden.has(name) ? [...hidden].filter((other) => other !== name) : [...hidden, name]);
      };
    });
    for (const name of Object.keys(filters)) {
      const text = "✕ " + name + ": " + filters[name].length + " hidden";
      this.button(this.legend, text, "show them again", () => {
        const next = { ...this.model.get("filters") };
        delete next[name];
        this.set({ filters: next });
      }, "cx-chip");
    }
    this.legend.scrollTop = top;
  }
  // selection
  clear() { this.set({ selected: { clips: [], by: "" }, hits: { title: "", rows: [], places: [] } }); }
  select(points, mode, by) {
    const found = new Set(points.map((point) => this.owner[point]).filter((clip) => clip >= 0));
    const before = this.model.get("selected").clips;
    const clips = mode === "add" ? new Set([...before, ...found])
      : mode === "remove" ? new Set(before.filter((clip) => !found.has(clip))) : found;
    this.set({ selected: { clips: [...clips].sort((a, b) => a - b), by } });
  }
  choose(point) {
    const owner = this.owner[point];
    if (owner < 0) return this.ask("class", this.scene.classes[-owner - 1]);
    this.busy("opening " + this.scene.names[owner] + " …");
    this.set({ focus: owner });
  }
  hover(plane, point, here) {
    const owner = point < 0 ? null : this.owner[point];
    if (this.above !== owner) { this.above = owner; this.redraw(); }
    this.tip.hidden = point < 0;
    if (point < 0) return;
    this.tip.replaceChildren();
    const kind = this.scene.modalities[this.kind[point]].name;
    element("b", "", this.tip, owner < 0 ? this.scene.classes[-owner - 1] : this.scene.names[owner]);
    element("div", "", this.tip, kind);
    if (owner >= 0) {
      for (const name of this.scene.told) element("div", "", this.tip, name + ": " + this.scene.columns[name].names[this.codes[name][owner]]);
      if (this.scene.sentences.length) element("div", "cx-quote", this.tip, this.scene.sentences[owner]);
    }
    const box = plane.host.getBoundingClientRect(), root = this.root.getBoundingClientRect();
    const left = box.left - root.left + here[0], wide = this.tip.offsetWidth;
    this.tip.style.left = (left > root.width - wide - 34 ? left - wide - 14 : left + 14) + "px";
    this.tip.style.top = box.top - root.top + here[1] + 14 + "px";
  }
  // drawing
  paint() {
    if (!this.planes || !this.palette || !this.rank) return;
    this.lines.checked = this.model.get("links");
    const grey = [138, 146, 158], by = this.model.get("color_by"), codes = this.codes[by], shown = this.model.get("shown");
    const hidden = new Set(this.model.get("filters").class || []);
    this.planes.forEach((plane, side) => {
      const own = this.scene.modalities.map((modality) => shown[side].includes(modality.name));
      plane.buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(own[k])));
      const paint = new Uint8Array(4 * this.owner.length), visible = new Uint8Array(this.owner.length);
      const faded = [], lit = [], prompts = [], all = !this.many && !this.rank.size;
      for (const i of this.random) {
        const clip = this.owner[i];
        if (!own[this.kind[i]] || (clip >= 0 ? !this.kept[clip] : hidden.has(this.scene.classes[-clip - 1]))) continue;
        visible[i] = 1;
        const color = (clip >= 0 ? this.palette[codes[clip]] : by === "class" ? this.palette[-clip - 1] : grey) || grey;
        const found = clip >= 0 && !all && (this.chosen[clip] || this.rank.has(clip));
        (clip < 0 ? prompts : found ? lit : faded).push(i);
        for (const k of [0, 1, 2]) paint[4 * i + k] = color[k];
        paint[4 * i + 3] = clip < 0 ? 235 : all ? 205 : found ? 255 : 42;
      }
      plane.visible = visible;
      plane.grid = null;
      plane.marks.setPaint(paint);
      plane.marks.setOrder([faded, lit, prompts]);
      plane.marks.setPairs(this.pairs(visible, plane.places));
      plane.draw();
    });
  }
  pairs(visible, places) {
    if (!this.model.get("links")) return new Uint32Array(0);
    const first = new Int32Array(this.scene.clips).fill(-1), found = [], few = this.many > 0 || this.rank.size > 0;
    for (let i = 0; i < visible.length && found.length <= 2 * MOST_LINES; i++) {
      const clip = this.owner[i];
      if (!visible[i] || clip < 0 || Number.isNaN(places[2 * i])) continue;
      if (few && !(this.many ? this.chosen[clip] : this.rank.has(clip))) continue;
      if (first[clip] >= 0) found.push(first[clip], i); else first[clip] = i;
    }
    return found.length > 2 * MOST_LINES ? new Uint32Array(0) : Uint32Array.from(found);
  }
  redraw() { for (const plane of this.planes) plane.sketch(); }
  overlay(pen, plane, side) {
    const ink = getComputedStyle(this.root).color, focus = this.model.get("focus"), taken = [], ranks = [];
    const big = Math.max(1, Math.min(plane.wide, plane.tall) / 620); // on a large map
    const asked = (this.model.get("hits").places || [])[side], at = asked && plane.toScreen(...asked);
    if (at) taken.push([at[0] - 10, at[1] - 16 * big, at[0] + 90 * big, at[1] + 10]); // names of classes leave it room
    pen.lineWidth = 2;
    for (let i = 0; i < this.owner.length; i++) {
      const clip = this.owner[i], rank = this.rank.get(clip), stars = clip < 0 && plane.visible[i];
      if (!stars && clip !== focus && clip !== this.above && (rank === undefined || this.kind[i] !== 0)) continue;
      if (!plane.visible[i] || Number.isNaN(plane.places[2 * i])) continue;
      const [x, y] = plane.toScreen(plane.places[2 * i], plane.places[2 * i + 1]);
      if (stars) { this.label(pen, plane, [x, y], this.scene.classes[-clip - 1], ink, taken, big); continue; }
      pen.strokeStyle = clip === this.above ? ink : clip === focus ? "#d55e00" : "#e69f00";
      pen.beginPath(); pen.arc(x, y, (clip === focus ? 9 : 7) * big, 0, 7); pen.stroke();
      if (rank && this.kind[i] === 0) ranks.push([rank, x, y]);
    }
    pen.font = "bold " + 11 * big + "px sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle"; pen.fillStyle = ink;
    for (const [rank, x, y] of ranks.sort((a, b) => a[0] - b[0])) {
      const box = [x - 7 * big, y - 7 - 14 * big, x + 7 * big, y - 7];
      if (hits(taken, box)) continue;
      taken.push(box);
      pen.fillText(String(rank), x, y - 7 - 7 * big);
    }
    if (at) {
      const [x, y] = at;
      pen.strokeStyle = ink; pen.lineWidth = 2.5;
      pen.beginPath(); pen.moveTo(x - 8, y); pen.lineTo(x + 8, y); pen.moveTo(x, y - 8); pen.lineTo(x, y + 8); pen.stroke();
      pen.font = 12 * big + "px sans-serif"; pen.textAlign = "left"; pen.fillStyle = ink; pen.fillText("your search", x + 10, y - 8);
    }
  }
  label(pen, plane, [x, y], text, ink, taken, big) {
    if (this.scene.classes.length > MOST_LABELS) return;
    pen.font = 11 * big + "px sans-serif"; pen.textAlign = "left"; pen.textBaseline = "middle";
    const short = text.length > 26 ? text.slice(0, 25) + "…" : text, wide = pen.measureText(short).width;
    const gap = 9 * big, left = x + gap + wide > plane.wide ? x - gap - wide : x + gap;
    const box = [left, y - 7 * big, left + wide, y + 7 * big];
    if (hits(taken, box)) return;
    taken.push(box);
    pen.lineWidth = 3; pen.strokeStyle = getComputedStyle(this.root).backgroundColor;
    pen.strokeText(short, left, y); pen.fillStyle = ink; pen.fillText(short, left, y);
    pen.lineWidth = 2;
  }
  download() {
    const names = this.model.get("selected").clips.map((clip) => this.scene.names[clip]);
    const quoted = names.map((name) => '"' + name.replaceAll('"', '""') + '"');
    const link = element("a", "", null);
    link.href = URL.createObjectURL(new Blob([["name", ...quoted].join("\n") + "\n"], { type: "text/csv" }));
    link.download = "selection.csv";
    link.click();
  }
  free() { this.themes.disconnect(); for (const plane of this.planes) plane.marks.free(); }
}

function shuffled(count) { // 0 to count - 1, in the same random order every time
  const order = Uint32Array.from({ length: count }, (_, k) => k);
  let state = 1;
  for (let k = count - 1; k > 0; k--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor(state / 4294967296 * (k + 1));
    [order[k], order[other]] = [order[other], order[k]];
  }
  return order;
}

function brightness(rgb) { return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]; }

function hits(taken, box) { // whether a label would cover another one
  return taken.some((o) => box[0] < o[2] && box[2] > o[0] && box[1] < o[3] && box[3] > o[1]);
}

function symbol(mark) {
  const shape = ["M6 1a5 5 0 1 0 .01 0Z", "M6 0l6 6-6 6-6-6Z", "M1.5 1.5h9v9h-9Z",
    "M6 0l1.6 4.1 4.4.2-3.4 2.8 1.2 4.3L6 8.9l-3.8 2.5 1.2-4.3L0 4.3l4.4-.2Z"][mark];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 12 12"); svg.setAttribute("width", "0.8em"); svg.setAttribute("height", "0.8em");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shape); path.setAttribute("fill", "currentColor");
  svg.appendChild(path);
  return svg;
}

export default {
  render({ model, el }) {
    let made = null;
    try { made = new Explorer(model, el); } catch (error) { element("p", "cx-error", el, String(error.message || error)); throw error; }
    return () => made.free();
  },
};
