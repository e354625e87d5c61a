// The model behind a saved page: what Python would have answered, answered from what was saved.
class SavedModel {
  constructor(saved) {
    this.saved = saved; this.heard = {}; this.changed = new Set();
    this.state = { ...saved.state, scene: unpack(saved.scene), maps: [saved.state.left, saved.state.right].map((v) => this.map(v)) };
  }
  map(view) { return unpack(this.saved.maps[view]); }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = value; this.changed.add(name); }
  on(event, act) { (this.heard[event] ||= []).push(act); }
  save_changes() {
    while (this.changed.size) {
      const names = [...this.changed];
      this.changed.clear();
      for (const name of names) this.answer(name);
      for (const name of names) for (const act of this.heard["change:" + name] || []) act();
    }
  }
  answer(name) {
    if (name === "left" || name === "right") this.set("maps", [this.state.left, this.state.right].map((view) => this.map(view)));
    if (name === "focus") {
      const clip = this.state.focus, card = this.saved.cards[clip];
      this.set("card", card || { said: this.state.scene.names[clip] + ": its player is not in this page." });
    }
    if (name === "query") {
      const { kind, value } = this.state.query, found = this.found(kind, value);
      if (found) this.set("hits", found);
      else this.set("message", { text: kind === "words" ? "Not among the prepared searches of this page; the field offers them."
        : "This search was not prepared for this page.", error: true });
    }
  }
  found(kind, value) {
    const known = this.saved.searches[kind] || {};
    if (kind !== "words") return known[value];
    const wanted = value.toLowerCase(), texts = Object.keys(known);
    const words = wanted.split(/\W+/).filter(Boolean), shared = (text) => words.filter((word) => text.toLowerCase().split(/\W+/).includes(word)).length;
    const exact = texts.find((text) => text.toLowerCase() === wanted);
    const best = exact ?? texts.reduce((a, b) => (a === null || shared(b) > shared(a) ? b : a), null);
    return best !== null && (exact || shared(best) > 0) ? known[best] : null;
  }
}

function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.base64 === "string") {
    const text = atob(value.base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new DataView(bytes.buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([name, own]) => [name, unpack(own)]));
}
