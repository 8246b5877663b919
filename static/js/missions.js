// The list of missions: what was ticked stays ticked when the list is brought up to date.
import { announce } from "./console.js";

const results = () => document.getElementById("mission-results");
const boxes = () => [...document.querySelectorAll("[data-tick]")];
let ticked = new Set();

// -- A filter and a change at the same time ---------------------------------------------------------------------------
const filters = document.getElementById("mission-filters");
let missed = false; // something changed while a filter was being applied: its list may be of before

document.body.addEventListener("refresh", () => {
  if (filters.classList.contains("htmx-request")) missed = true;
});
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { elt, path } = detail.requestConfig;
  if (elt !== results() || path === elt.getAttribute("hx-get")) return;
  detail.shouldSwap = false; // asked for under the filter of before
  missed = true;
});
document.body.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!missed || filters.classList.contains("htmx-request")) return;
  missed = false;
  setTimeout(() => htmx.trigger(document.body, "refresh")); // after the swap, which says under which filter
});

// -- Ticked rows -------------------------------------------------------------------------------------------------------
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
