// Two keys that lead to another page: g q queue, g m missions, g p policies. Off where single keys are switched off,
// inside fields and menus, and while a modifier is held.

const SWITCH = "standfast.keys"; // the same as in queue.js
const PATIENCE = 1500; // ms between the two keys
const PLACES = { q: "/queue/", m: "/missions/", p: "/policies/" };
let since = 0;

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (localStorage.getItem(SWITCH) === "off") return;
  if (event.target.closest("input, textarea, select, [contenteditable], details.menu[open]")) return;
  const now = event.timeStamp;
  const link = now - since < PATIENCE && document.querySelector(`.nav a[href="${PLACES[event.key]}"]`);
  since = event.key === "g" ? now : 0;
  if (!link) return;
  event.preventDefault();
  link.click();
});
