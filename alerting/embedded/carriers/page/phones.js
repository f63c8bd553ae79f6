"use strict";

// Screens come as finished HTML from the server, which is also how the page first shows them.
const phones = document.getElementById("phones");
const live = document.getElementById("live");
const said = document.getElementById("said");
const numbers = new Intl.NumberFormat("en");
const SAY_EVERY_MS = 5000;
let saidAt = 0;

function put(selector, value) {
  const element = document.querySelector(selector);
  const text = numbers.format(value);
  if (element && element.textContent !== text) element.textContent = text;
}

function showTotals(totals) {
  for (const [carrier, n] of Object.entries(totals.accepted)) put(`[data-accepted="${carrier}"]`, n);
  for (const [carrier, n] of Object.entries(totals.refused)) put(`[data-refused="${carrier}"]`, n);
  for (const name of ["rate", "peak", "phones"]) put(`[data-total="${name}"]`, totals[name]);
}

// A screen reader hears the sum now and then instead of every message.
function say(totals) {
  const now = Date.now();
  const sum = Object.values(totals.accepted).reduce((a, b) => a + b, 0);
  if (now - saidAt < SAY_EVERY_MS || !sum) return;
  const text = `${numbers.format(sum)} messages accepted`;
  if (said.textContent === text) return;
  said.textContent = text;
  saidAt = now;
}

function showPhone({ id, html }) {
  const holder = document.createElement("template");
  holder.innerHTML = html.trim();
  const fresh = holder.content.firstElementChild;
  const old = phones.querySelector(`[data-phone="${CSS.escape(id)}"]`);
  if (!old) {
    phones.append(fresh);
    return;
  }
  // What the reader has opened and scrolled to stays.
  for (const open of old.querySelectorAll("details[open]")) {
    const same = fresh.querySelector(`details[data-key="${CSS.escape(open.dataset.key)}"]`);
    if (same) same.open = true;
  }
  fresh.className = old.className;
  const top = old.querySelector(".screen").scrollTop;
  const focused = old.contains(document.activeElement);
  old.replaceWith(fresh);
  const screen = fresh.querySelector(".screen");
  screen.scrollTop = top;
  if (focused) screen.focus({ preventScroll: true });
}

const query = new URLSearchParams({ find: document.body.dataset.find, since: document.body.dataset.since });
const source = new EventSource(`/sandbox/events?${query}`);
source.onopen = () => {
  live.textContent = "Live";
  live.classList.remove("lost");
};
source.onerror = () => {
  live.textContent = "Connecting…";
  live.classList.add("lost");
};
source.onmessage = (message) => {
  const event = JSON.parse(message.data);
  if (event.cleared) {
    source.close();
    location.reload();
    return;
  }
  showTotals(event.totals);
  say(event.totals);
  event.phones.forEach(showPhone);
  if (event.phones.length) document.getElementById("empty").hidden = true;
};
addEventListener("pagehide", () => source.close());
