// What htmx leaves open: Enter sends, an answer's end is told to screen readers, the newest line stays in view, and
// a page that does not reach the web UI says so.
"use strict";

const AT_END = 120; // pixels from the end within which a reader follows the newest line
const AWAY = "This page does not reach the web UI: what it shows may be old. What next: see whether the UI runs, and "
  + "the way to it (SSH, network).";
const LOST = "This answer is not followed any more. What next: reload this page.";

const following = () => innerHeight + scrollY >= document.documentElement.scrollHeight - AT_END;
const toEnd = () => scrollTo(0, document.documentElement.scrollHeight);
const renews = (event) => event.detail.requestConfig.headers["X-Renewal"] === "yes";
const given = new Map(); // what elements that renew themselves were given last, by id

function tell(words, by) {
  const notice = document.getElementById("notice"), line = document.createElement("p");
  if (notice.dataset.by === by && notice.childElementCount) return;
  line.className = "notice bad";
  line.textContent = words;
  notice.replaceChildren(line);
  notice.dataset.by = by;
}

function untell(by) {
  const notice = document.getElementById("notice");
  if (by === undefined || notice.dataset.by === by) notice.replaceChildren();
}

addEventListener("DOMContentLoaded", () => {
  document.body.addEventListener("htmx:sendError", () => tell(AWAY, "away"));
  document.body.addEventListener("htmx:timeout", () => tell(AWAY, "away"));
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.xhr.status) untell("away");
    if (event.detail.successful) untell(event.detail.requestConfig.path);
  });
  // What has not changed is left alone: what is open or focused in it stays, and nothing is announced again.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr, requestConfig } = event.detail;
    if (target.id === "notice") target.dataset.by = renews(event) ? requestConfig.path : "";
    if (!renews(event)) return;
    if (given.get(target.id) === xhr.responseText && target.childElementCount) event.detail.shouldSwap = false;
    given.set(target.id, xhr.responseText);
  });
});

addEventListener("DOMContentLoaded", () => {
  const composer = document.getElementById("composer");
  if (!composer) return;
  const message = composer.querySelector("textarea");
  let follow = true, sent = "";

  message.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  composer.addEventListener("htmx:beforeRequest", () => {
    untell();
    sent = message.value;
  });
  composer.addEventListener("htmx:afterRequest", (event) => {
    if (event.target !== composer || !event.detail.successful) return;
    if (message.value === sent) message.value = ""; // else it is the next message already
    composer.querySelector("input[type=file]").value = "";
    message.focus();
    toEnd();
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const turn = event.target.closest(".turn"); // its Allow, Deny, Cancel goes away, with the focus on it
    if (turn && event.detail.successful) turn.focus({ preventScroll: true });
  });
  document.body.addEventListener("htmx:sseBeforeMessage", () => { follow = following(); });
  document.body.addEventListener("htmx:sseMessage", (event) => {
    event.target.setAttribute("aria-busy", event.target.querySelector(".ask") ? "false" : "true");
    if (follow) toEnd();
  });
  document.body.addEventListener("htmx:sseClose", (event) => {
    event.target.setAttribute("aria-busy", "false");
    if (event.target.querySelector(".working")) tell(LOST, "lost");
  });
  if (document.querySelector(".turn")) toEnd();
});
