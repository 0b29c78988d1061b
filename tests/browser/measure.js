// SPDX-License-Identifier: GPL-2.0-or-later
// What is cut, empty or overlapping in this page. Appended to a copy of it by
// test_page.py, which reads the result from the dumped DOM.
"use strict";

const wrong = [];
const name = (e) => `${e.tagName.toLowerCase()} "${(e.textContent || "").trim().slice(0, 40)}"`;
const inside = (a, b, spare) =>
  a.left >= b.left - spare && a.right <= b.right + spare &&
  a.top >= b.top - spare && a.bottom <= b.bottom + spare;
const overlap = (a, b) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
const inked = (e) => {
  const range = document.createRange();
  range.selectNodeContents(e);
  return range.getBoundingClientRect();
};

const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) {
  wrong.push(`cut: the page is ${root.scrollWidth} wide, the window ${root.clientWidth}`);
}

// Text of the page: within its own box, and that within the window.
const boxes = [...document.querySelectorAll("h1, h2, p, li, dt, dd, th, td")];
for (const box of boxes.filter((b) => b.textContent.trim() && !b.querySelector("ul"))) {
  const text = inked(box);
  if (!inside(text, box.getBoundingClientRect(), 1)) wrong.push(`cut: ${name(box)}`);
  if (text.left < 0 || text.right > root.clientWidth) wrong.push(`outside: ${name(box)}`);
}

// Figures: not empty, and their text neither cut nor over other text.
const figures = [...document.querySelectorAll("svg")];
let texts = 0;
for (const figure of figures) {
  const frame = figure.getBoundingClientRect();
  const label = figure.getAttribute("aria-label") || "swatch";
  if (!(frame.width > 0 && frame.height > 0)) wrong.push(`empty: ${label}`);
  const shapes = [...figure.querySelectorAll("path, rect, use")];
  const drawn = shapes.filter((s) => !s.closest("defs, clipPath"))
    .map((s) => s.getBoundingClientRect()).filter((b) => b.width > 0 && b.height > 0);
  if (!drawn.length) wrong.push(`empty: ${label}`);
  const written = [...figure.querySelectorAll("text")];
  texts += written.length;
  const places = written.map((t) => t.getBoundingClientRect());
  written.forEach((text, i) => {
    if (!(places[i].width > 0 && places[i].height > 0)) wrong.push(`empty: ${name(text)}`);
    if (!inside(places[i], frame, 1)) wrong.push(`cut: ${name(text)} in ${label}`);
    for (let j = 0; j < i; j++) {
      if (overlap(places[i], places[j])) wrong.push(`overlap: ${name(text)}, ${name(written[j])}`);
    }
  });
}

// Everything that is written stands out from the ground it is written on.
const channel = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const light = (colour) => {
  const [r, g, b] = colour.match(/[\d.]+/g).map((c) => channel(c / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (colour !== "rgba(0, 0, 0, 0)") return colour;
  }
  return "rgb(255, 255, 255)";
};
for (const e of [...boxes, ...document.querySelectorAll("strong, svg text")]) {
  const style = getComputedStyle(e);
  const [a, b] = [light(e.closest("svg") ? style.fill : style.color), light(ground(e))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) wrong.push(`faint (${contrast.toFixed(1)}): ${name(e)}`);
}

const result = document.createElement("pre");
result.id = "measured";
result.textContent = JSON.stringify({
  wrong,
  figures: figures.length,
  texts,
  width: root.clientWidth,
  tallest: Math.max(0, ...[...document.querySelectorAll("figure, .block, tr")]
    .map((e) => e.getBoundingClientRect().height)),
  height: Math.ceil(root.getBoundingClientRect().height),
  dark: light(ground(document.body)) < 0.2,
});
document.body.append(result);
