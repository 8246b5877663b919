// The list of missions: what was ticked stays ticked when the list is brought up to date.
import { announce } from "./console.js";

const results = () => document.getElementById("mission-results");
const boxes = () => [...document.querySelectorAll("[data-tick]")];
let ticked = new Set();

document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target === results()) ticked = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
});
document.body.addEventListener("htmx:afterSwap", () => {
  for (const box of boxes()) if (ticked.has(box.value)) box.checked = true;
});
document.addEventListener("change", (event) => {
  if (!("tick" in (event.target.dataset ?? {}))) return;
  const count = boxes().filter((box) => box.checked).length;
  announce(count === 1 ? "1 mission selected" : `${count} missions selected`);
});
