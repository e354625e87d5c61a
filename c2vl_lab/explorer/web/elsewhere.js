// A map that another engine draws, beside this page: there is nothing to draw here.
class Elsewhere {
  constructor(host) {
    host.hidden = true;
    this.host = host; this.wide = this.tall = 0; this.places = new Float32Array(0); this.visible = new Uint8Array(0);
    this.marks = { setPaint() {}, setOrder() {}, setPairs() {}, free() {} };
  }
  setPlaces(places) { this.places = places; }
  fit() {}
  draw() {}
  sketch() {}
}
