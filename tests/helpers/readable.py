"""What a page withholds from some: controls without a name, and texts that are too pale."""

# WCAG 2.2: a ratio of 4.5, and 3 for large or bold texts; controls that are off are exempt
AUDIT = """
const seen = (e) => {
  const box = e.getBoundingClientRect();
  return e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && box.width > 1;
};
const parts = (colour) => {
  const found = colour.match(/[0-9.]+/g).map(Number);
  return found.length < 4 ? [...found, 1] : found;
};
const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
const ground = (e) => {
  const layers = [];
  for (let at = e; at; at = at.parentElement) {
    const one = parts(getComputedStyle(at).backgroundColor);
    layers.push(one);
    if (one[3] === 1) break;
  }
  return layers.reduceRight((below, top) => over(top, below), [255, 255, 255]);
};
const light = (colour) => {
  const [r, g, b] = colour.map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const bad = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const e = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
  if (!text || !seen(e) || e.closest("script, style, svg, :disabled")) continue;
  const style = getComputedStyle(e), below = ground(e);
  const [a, b] = [light(over(parts(style.color), below)), light(below)].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
  const least = size >= 24 || (bold && size >= 18.6) ? 3 : 4.5;
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < least) bad.push(`${text.slice(0, 40)}: contrast ${ratio.toFixed(2)}`);
}
for (const e of document.querySelectorAll("button, input, textarea, select, a[href], canvas")) {
  if (!seen(e) || e.type === "hidden" || e.type === "file") continue;
  const labelled = (e.getAttribute("aria-labelledby") || "").split(" ")
    .map((id) => document.getElementById(id)?.textContent || "").join("");
  const label = e.labels ? [...e.labels].map((one) => one.textContent).join("") : "";
  const name = e.getAttribute("aria-label") || labelled || label || e.title
    || (e.matches("button, a") ? e.textContent : "");
  if (!name.trim()) bad.push(`no name: ${e.outerHTML.slice(0, 120)}`);
}
return [...new Set(bad)];
"""
