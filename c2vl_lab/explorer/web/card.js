// The clicked clip: its movement, what is said of it, and what lies nearest. Text from data is only ever text.
function element(tag, name, parent, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

function big(host) { // how much larger than on a laptop all is drawn
  return Number(getComputedStyle(host).getPropertyValue("--cx-big")) || 1;
}

function showCard(host, card, focus) {
  host.replaceChildren();
  if (!card || card.clip === undefined) {
    element("p", "cx-quiet", host, card && card.said ? card.said : "Click a point to see its clip.");
    return;
  }
  const head = element("div", "cx-card-head", host);
  element("strong", "cx-name", head, card.name);
  for (const [text, look] of card.facts) element("span", "cx-pill " + (look || ""), head, text);
  const body = element("div", "cx-card-body", host);
  const stage = element("div", "cx-stage", body);
  if (card.motion) new SkeletonPlayer(stage, card.motion, 230 * big(host), true);
  if (card.pictures.length) {
    const strip = element("div", "cx-strip", stage);
    for (const address of card.pictures) picture(strip, address, "a picture of the clip");
  }
  const said = element("ol", "cx-said", body);
  for (const sentence of card.sentences) element("li", "", said, sentence);
  if (!card.sentences.length) element("p", "cx-quiet", body, "There are no sentences of this clip.");
  for (const group of card.near) {
    if (!group.rows.length) continue;
    element("h4", "cx-near-title", host, group.title);
    const row = element("div", "cx-near", host);
    for (const near of group.rows) neighbour(row, near, focus);
  }
}

function neighbour(row, near, focus) {
  const box = element("button", "cx-neighbour", row);
  box.type = "button";
  box.title = near.name;
  if (near.motion) new SkeletonPlayer(box, near.motion, 92 * big(row), false);
  if (near.picture) picture(box, near.picture, "a picture of " + near.name);
  element("b", "", box, near.score.toFixed(3));
  element("span", near.same ? "cx-same" : "cx-other", box, near.class);
  element("span", "cx-quote", box, near.sentence || near.name);
  box.onclick = () => focus(near.clip);
}

function picture(host, address, text) {
  if (!/^data:image\/(jpeg|png);base64,[A-Za-z0-9+/=]*$/.test(address)) return;
  const image = element("img", "", host);
  image.src = address;
  image.alt = text;
}
