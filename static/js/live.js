// Live updates over the page's one socket: tells the server where the rail ends, turns its JSON messages into events,
// follows the end of the rail, and says when the line is down. The ws extension swaps HTML in by id.

import { announce } from "./console.js";

const DOWN_AFTER = 1000; // ms: a short break is not worth a notice
const notice = document.getElementById("live-state");
let downTimer = 0;
let opened = false;
let line = null; // the open socket

const rail = () => document.querySelector("[data-rail]");
const follow = () => document.getElementById("follow-live");

function place(list) {
  return list.dataset.cursor || "";
}

function askForMore() {
  const list = rail();
  if (line && list && !("past" in list.dataset)) line.send(JSON.stringify({ since: place(list) }));
}

// -- The line ---------------------------------------------------------------------------------------------------------
document.body.addEventListener("htmx:wsOpen", ({ detail }) => {
  clearTimeout(downTimer);
  downTimer = 0;
  if (!notice.hidden) announce("Live again.");
  notice.hidden = true;
  line = detail.socketWrapper;
  askForMore();
  htmx.trigger(document.body, "refresh"); // what changed before the socket was open
  if (follow() && !opened) follow().closest("[hidden]")?.removeAttribute("hidden");
  opened = true;
});

// The rail was drawn anew (a rollback left entries behind): what came while it was fetched is asked for again, at once:
// a message that came in between would have the new rail skip what went to the old one.
document.body.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.elt === rail()) askForMore();
});

function down() {
  if (downTimer) return; // a try that fails too does not begin it anew
  downTimer = setTimeout(() => {
    downTimer = 0;
    if (!notice.hidden) return;
    const now = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" }).format(new Date());
    notice.querySelector("[data-live-since]").textContent = now;
    notice.hidden = false;
    announce(`Live paused at ${now}. Refresh the page to see what is new.`);
  }, DOWN_AFTER);
}
document.body.addEventListener("htmx:wsClose", down);
document.body.addEventListener("htmx:wsError", down);

// -- Messages ---------------------------------------------------------------------------------------------------------
document.body.addEventListener("htmx:wsBeforeMessage", (event) => {
  const { message, socketWrapper } = event.detail;
  if (!message.startsWith("{")) return;
  event.preventDefault();
  const facts = JSON.parse(message);
  if (facts.event) htmx.trigger(document.body, facts.event);
  if (facts.cursor && rail()) {
    rail().dataset.cursor = facts.cursor;
    socketWrapper.send(JSON.stringify({ have: facts.cursor }));
  }
});

document.body.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
  const list = rail();
  if (!list || detail.target !== list) return;
  for (const item of [...detail.fragment.querySelectorAll("[data-cursor]")]) {
    if (document.getElementById(item.id)) item.remove(); // the same item twice counts once
    else if (item.id) item.classList.add("rail__item--new");
  }
});

document.body.addEventListener("htmx:wsAfterMessage", () => {
  const fresh = document.querySelectorAll(".rail__item--new:not([data-told])");
  if (!fresh.length) return;
  for (const item of fresh) item.dataset.told = "";
  const last = fresh[fresh.length - 1];
  const sentence = last.querySelector(".rail__sentence, summary")?.firstChild?.textContent ?? "";
  announce(fresh.length === 1 ? sentence : `${fresh.length} new. ${sentence}`);
  if (follow()?.checked) last.scrollIntoView({ block: "nearest" });
});

// -- Follow the end until the reader scrolls up -----------------------------------------------------------------------
function stopFollowing() {
  if (follow()) follow().checked = false;
}
window.addEventListener("wheel", (event) => event.deltaY < 0 && stopFollowing(), { passive: true });
window.addEventListener("touchmove", stopFollowing, { passive: true });
window.addEventListener("keydown", (event) => {
  if (["ArrowUp", "PageUp", "Home"].includes(event.key) && !event.target.matches("input, select, textarea")) stopFollowing();
});
document.addEventListener("change", (event) => {
  if (event.target.id === "follow-live" && event.target.checked) rail()?.lastElementChild?.scrollIntoView({ block: "nearest" });
});
