// Single keys for the queue and for a decision, and the state of a decision's buttons.
// Decides nothing: every answer is the page's own form. Keys are off inside fields and menus, while a modifier is held,
// when they repeat, and when they are switched off; Approve is armed first and never for what can not be taken back.
import { announce } from "./console.js";

const SWITCH = "standfast.keys";
const ARM = { "#approve": "a", "#reject": "r", "#changes": "c" };
const form = document.querySelector("[data-vote]");
const buttons = {
  approve: document.querySelector("[data-approve]"),
  reject: document.querySelector("[data-reject]"),
  changes: document.querySelector("[data-changes]"),
};

/** Whether single keys are meant as keys here. */
function listens(event) {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  if (localStorage.getItem(SWITCH) === "off") return false;
  return !event.target.closest("input, textarea, select, [contenteditable], details.menu[open]");
}

function say(text) {
  const hint = document.querySelector("[data-hint]");
  if (hint) hint.textContent = text;
  announce(text);
}

// -- The queue ---------------------------------------------------------------------------------------------------------

const links = () => [...document.querySelectorAll("#queue-rows [data-open]")];
const current = () => document.activeElement?.closest?.("[data-row]")?.querySelector("[data-open]");

function move(step) {
  const all = links();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

/** Open the row at hand, with an answer armed on its page; Approve is not armed for what is irreversible. */
function open(hash = "") {
  const link = current();
  if (!link) return false;
  const irreversible = "irreversible" in link.closest("[data-row]").dataset;
  window.location.assign(link.href + (hash === "#approve" && irreversible ? "" : hash));
  return true;
}

const tickOf = (link) => link?.closest("[data-row]").querySelector("[data-tick]");

/** Choose or leave out the row at hand. */
function toggle() {
  const box = tickOf(current());
  if (box) box.click();
  else say("This one needs an answer of its own.");
}

/** Move, and choose where it leads. */
function extend(step) {
  const here = tickOf(current());
  if (here && !here.checked) here.click();
  move(step);
  const there = tickOf(current());
  if (there && !there.checked) there.click();
}

const boxes = () => [...document.querySelectorAll("[data-tick]")];
let ticked = new Set(); // ids, so that a row that was brought up to date stays chosen only with the digest that was seen

function tell() {
  const chosen = boxes().filter((box) => box.checked);
  const alike = new Set(chosen.map((box) => box.dataset.alike)).size < 2;
  const hint = document.querySelector("[data-bulk-hint]");
  const button = document.querySelector("[data-bulk] button");
  if (!hint || !button) return;
  button.disabled = !chosen.length || !alike;
  hint.textContent = alike ? `${chosen.length} chosen` : "These are of different tools or rules: choose those of one.";
  return hint.textContent;
}

document.addEventListener("change", (event) => {
  if (!("tick" in (event.target.dataset ?? {}))) return;
  ticked = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
  announce(tell());
});
document.body.addEventListener("htmx:afterSwap", () => {
  for (const box of boxes()) box.checked = ticked.has(box.value);
  tell();
});
tell();

const onQueue = {
  j: () => move(1),
  k: () => move(-1),
  x: toggle,
  J: () => extend(1),
  K: () => extend(-1),
  o: () => open(),
  a: () => open("#approve"),
  r: () => open("#reject"),
  c: () => open("#changes"),
};

// -- A decision --------------------------------------------------------------------------------------------------------

function disarm() {
  for (const button of Object.values(buttons)) delete button?.dataset.armed;
  if (form) delete form.dataset.armed;
}

function armApproval() {
  const button = buttons.approve;
  if (!form || !button || button.disabled) return;
  if ("irreversible" in form.dataset) {
    say("This can not be taken back: use the button.");
    return;
  }
  disarm();
  button.dataset.armed = "";
  button.focus();
  say(`Press Enter: ${button.textContent.trim()}`);
}

function armRefusal(name) {
  const button = buttons[name];
  if (!form || !button || button.disabled) return;
  disarm();
  button.dataset.armed = "";
  form.dataset.armed = name;
  document.getElementById("vote-comment").focus();
  say(`Write why, then press Ctrl and Enter: ${button.textContent.trim()}`);
}

const onDecision = {
  a: armApproval,
  r: () => armRefusal("reject"),
  c: () => armRefusal("changes"),
  e: () => document.querySelector("[data-edit]")?.click(),
  d: () => document.querySelector("[data-diff]")?.focus(),
};

// -- What was looked at ------------------------------------------------------------------------------------------------

/** Record a look as a fact; reading goes on whether or not it arrives. */
async function looked(what, item = 0) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
  const shown = document.querySelector("[data-decision]");
  if (!token || !shown) return false;
  const body = new URLSearchParams({ what, item });
  const headers = { "X-CSRFToken": token, "X-Looked": "1" };
  try {
    return (await fetch(shown.dataset.look, { method: "POST", body, headers })).ok;
  } catch {
    return false; // offline: the button below the evidence records it later
  }
}

const openedHere = new Set(); // pieces of evidence; a refresh may have been drawn before their look was recorded

/** Approve waits until the evidence that policy demands was rendered and opened. */
function demand() {
  for (const piece of document.querySelectorAll("[data-evidence]")) {
    if (openedHere.has(piece.dataset.evidence)) piece.dataset.opened = "";
  }
  const missing = document.querySelectorAll("[data-demanded]:not([data-opened])").length > 0;
  const button = buttons.approve;
  if (!button || !("unopened" in button.dataset)) return;
  button.disabled = missing;
  if (missing) return;
  delete button.dataset.unopened;
  document.getElementById("unopened")?.remove();
}

/** A piece of evidence lies open: that counts as having looked at it. */
async function opened(piece) {
  if (!piece.dataset?.evidence || !piece.open || "opened" in piece.dataset) return;
  if (!(await looked("evidence", piece.dataset.evidence))) return;
  openedHere.add(piece.dataset.evidence);
  demand();
}

document.addEventListener("toggle", ({ target }) => opened(target), true);

/** What the page still offers would be refused. */
function shut(why) {
  for (const button of [...Object.values(buttons), document.getElementById("claim-button")]) {
    if (button) button.disabled = true;
  }
  document.getElementById("unopened")?.remove();
  disarm();
  say(why);
}

const DRAFT = "What you typed is still here.";
let claimant = document.querySelector("[data-decision]")?.dataset.claimant;

/** Someone else was faster, what is asked has changed, or its reader may not decide it any more. */
function keepUp() {
  const now = document.querySelector("[data-decision]");
  if (!now || !form) return;
  const { state, digest, whyNot } = now.dataset;
  if (state !== "open") return shut(`It was settled meanwhile; see the top of the page. ${DRAFT}`);
  if (digest !== form.elements.digest.value) return shut(`What is asked has changed; load the page again. ${DRAFT}`);
  if (whyNot) return shut(`${whyNot} ${DRAFT}`);
  if (now.dataset.claimant === claimant) return;
  claimant = now.dataset.claimant;
  const own = "own" in now.dataset;
  say(!claimant ? "Nobody has claimed it now." : own ? "" : `${claimant} has claimed it now; the first answer counts.`);
}

/** The server shows it to its reader no more: who may see it has changed. */
function gone({ detail }) {
  if (!form || !detail.elt.matches("[data-decision]") || detail.xhr.status !== 404) return;
  shut(`You may not see this any more. ${DRAFT}`);
}

// -- Wiring ------------------------------------------------------------------------------------------------------------

function toggleHelp() {
  const help = document.getElementById("keys");
  if (!help) return;
  help.open = !help.open;
  if (help.open) help.querySelector("summary").focus();
}

document.addEventListener("keydown", (event) => {
  if (form?.dataset.armed && event.key === "Enter" && event.ctrlKey && !event.repeat) {
    event.preventDefault();
    form.requestSubmit(buttons[form.dataset.armed]);
    return;
  }
  if (event.key === "Escape") disarm();
  if (!listens(event)) return;
  const act = event.key === "?" ? toggleHelp : (form ? onDecision : onQueue)[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

for (const box of document.querySelectorAll("[data-keys-switch]")) {
  box.checked = localStorage.getItem(SWITCH) !== "off";
  box.addEventListener("change", () => localStorage.setItem(SWITCH, box.checked ? "on" : "off"));
}
for (const event of ["htmx:afterSwap", "htmx:oobAfterSwap"]) {
  document.body.addEventListener(event, keepUp);
  document.body.addEventListener(event, demand);
}
document.body.addEventListener("htmx:responseError", gone);

demand();
if (document.querySelector("[data-decision][data-state=open]")) looked("decision");
for (const piece of document.querySelectorAll("[data-evidence][open]")) opened(piece); // before this script came
document.querySelector("[data-focus]")?.focus();
if (form && window.location.hash in ARM) {
  const act = onDecision[ARM[window.location.hash]];
  window.history.replaceState(null, "", window.location.pathname);
  act();
}
