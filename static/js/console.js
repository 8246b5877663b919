// Keeps relative times current, shows absolute ones in the viewer's zone, and closes the user menu.
// Owns no state that matters: without it the page shows the server's text.

const SECOND = 1000;
const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [172800, 3600, "h"],
  [Infinity, 86400, "d"],
];

/** The distance between two moments in the words of the server's `relative` filter. */
export function relative(at, now) {
  const seconds = Math.round((at - now) / SECOND);
  const distance = Math.abs(seconds);
  if (distance < 5) return "just now";
  const [, size, unit] = STEPS.find(([below]) => distance < below);
  const text = `${Math.floor(distance / size)} ${unit}`;
  return seconds > 0 ? `in ${text}` : `${text} ago`;
}

const absolute = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  timeZoneName: "short",
});
const short = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FORMS = { clock, day };

function localise(time) {
  const at = new Date(time.dateTime);
  time.title = absolute.format(at);
  for (const spot of time.querySelectorAll("[data-absolute]")) {
    spot.textContent = (FORMS[spot.dataset.absolute] ?? short).format(at);
  }
  time.dataset.local = "";
}

/** Bring every time under `root` up to date. */
export function refreshTimes(root = document) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[datetime]")) {
    if (!("local" in time.dataset)) localise(time);
    const spot = time.querySelector("[data-relative]");
    if (spot) spot.textContent = relative(new Date(time.dateTime), now);
  }
}

/** Say something to screen readers, politely. */
export function announce(text) {
  const region = document.getElementById("status");
  if (region) region.textContent = text;
}

// A refresh neither closes what its reader has opened nor opens what they have closed.
if (window.Idiomorph) {
  window.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => name !== "open" || node.localName !== "details";
}

// Of two refreshes that one element asked for, the later one stands, whichever is answered first.
const newest = new WeakMap(); // element → the number of the newest answer that it got
let requests = 0;
document.body.addEventListener("htmx:beforeRequest", ({ detail }) => { detail.xhr.standfast = ++requests; });
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const asker = detail.requestConfig.elt;
  if (detail.xhr.standfast < (newest.get(asker) ?? 0)) detail.shouldSwap = false;
  else newest.set(asker, detail.xhr.standfast);
});

refreshTimes();
setInterval(refreshTimes, 15 * SECOND);
for (const event of ["htmx:afterSwap", "htmx:oobAfterSwap", "htmx:wsAfterMessage"]) {
  document.body.addEventListener(event, () => refreshTimes());
}

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("click", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
});
