"""What is seen on a page: contrast of its texts as WCAG 2 counts it."""

from __future__ import annotations

import numpy as np

READ = """([selectors, swatches]) => {
  const rgba = (text) => { const v = text.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
  const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] + below[k] * (1 - top[3]));
  const ground = (it) => {
    const layers = [];
    for (let at = it; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const rows = [];
  for (const selector of selectors) {
    const [own, pseudo] = selector.split("::");
    for (const it of document.querySelectorAll(own)) {
      const look = getComputedStyle(it, pseudo ? "::" + pseudo : null), below = ground(it);
      rows.push({ selector, text: over(rgba(look.color), below), below });
    }
  }
  for (const it of document.querySelectorAll(swatches)) {
    const text = rgba(getComputedStyle(it).backgroundColor).slice(0, 3);
    rows.push({ selector: swatches, text, below: ground(it.parentElement) });
  }
  return rows;
}"""


def luminance(rgb) -> float:
    """WCAG 2: relative luminance of an sRGB colour, 0 to 255."""
    share = np.asarray(rgb, float) / 255
    return float(np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrasts(page, selectors: list[str], swatches: str) -> dict[str, float]:
    """The least contrast of each selector's texts, and of the marks that ``swatches`` names, to what lies behind."""
    least: dict[str, float] = {}
    for row in page.evaluate(READ, [selectors, swatches]):
        low, high = sorted((luminance(row["text"]), luminance(row["below"])))
        least[row["selector"]] = min(least.get(row["selector"], 21.0), (high + 0.05) / (low + 0.05))
    return least
