// The editor of a draft: marks what the check found in the fields, warns before unsaved work is left, and adds keys.
// Holds no draft of its own: the page's form is the draft, and every key presses one of its buttons.

import { announce } from "./console.js";

const editor = () => document.querySelector("[data-editor]");
let leaving = false; // a save succeeded, and the page goes on to the version

// -- What the check found ----------------------------------------------------------------------------------------------
/** Tie the notes of a field to it, for those who do not see them beside it. */
function tie(notes) {
  const control = document.getElementById(notes.id.replace(/-notes$/, ""));
  if (!control?.matches("input, select, textarea")) return;
  if (notes.querySelector(".field__error")) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}

// A button replaces the form, so a check of the form before is not worth its answer any more. It is not aborted, which
// htmx would report as an error: its answer is dropped, also where its element has left the page with the old form.
const overtaken = (checker) => !checker.isConnected || editor().classList.contains("htmx-request");
function drop(event) {
  if (overtaken(event.currentTarget)) event.preventDefault();
}
document.body.addEventListener("htmx:beforeRequest", (event) => {
  const { elt } = event.detail;
  if (elt.id !== "checker") return;
  elt.addEventListener("htmx:beforeOnLoad", drop);
  if (overtaken(elt)) event.preventDefault();
});

document.body.addEventListener("htmx:oobAfterSwap", ({ detail }) => {
  const { target } = detail;
  if (target.id === "editor-tally") announce(document.getElementById("editor-tally").textContent.trim());
  const notes = document.getElementById(target.id);
  if (notes?.classList.contains("field__notes")) tie(notes);
});

// The mirror shows the text as it was checked; what was typed since has no mark.
document.addEventListener("input", ({ target }) => {
  if (!editor()?.contains(target)) return;
  editor().dataset.changed = "";
  const mirror = target.matches("[data-code]") && document.getElementById(`${target.id}-mirror`);
  if (mirror) mirror.textContent = `${target.value}\n`;
});
document.addEventListener("scroll", ({ target }) => {
  if (target instanceof Element && target.matches("[data-code]")) {
    document.getElementById(`${target.id}-mirror`).scrollTop = target.scrollTop;
  }
}, true);

document.addEventListener("click", ({ target }) => {
  const link = target.closest?.("[data-goto]");
  if (!link) return;
  const field = document.getElementById(link.dataset.in);
  const [line, column] = link.dataset.goto.split(":").map(Number);
  const before = field.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  field.focus();
  field.setSelectionRange(before + column - 1, before + column);
});

// -- Unsaved work ------------------------------------------------------------------------------------------------------
window.addEventListener("beforeunload", (event) => {
  if (!leaving && editor() && "changed" in editor().dataset) event.preventDefault();
});
document.body.addEventListener("htmx:beforeOnLoad", ({ detail }) => {
  if (detail.xhr.getResponseHeader("HX-Redirect")) leaving = true;
});
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.body.addEventListener(failure, ({ detail }) => {
    if (!editor()?.contains(detail.elt)) return;
    const why = detail.xhr.status ? `the server answered ${detail.xhr.status}` : "the server did not answer";
    const tally = document.getElementById("editor-tally");
    tally.textContent = `Not done: ${why}. What you typed is still here.`;
    announce(tally.textContent);
  });
}

// -- Keys --------------------------------------------------------------------------------------------------------------
const MOVES = { ArrowUp: "up", ArrowDown: "down" };

document.addEventListener("keydown", (event) => {
  if (!editor() || event.repeat) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "s") {
    event.preventDefault();
    editor().querySelector('[value="save"]').click();
  }
  const row = event.altKey && MOVES[event.key] && event.target.closest?.("[data-rule]");
  if (!row) return;
  event.preventDefault();
  document.getElementById(`${MOVES[event.key]}-${row.dataset.rule}`).click();
});
