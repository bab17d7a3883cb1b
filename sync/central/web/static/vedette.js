// What the pages do without being loaded again: follow the live list, keep "ago" true, play segment after segment.
// Every page works without this file, except that it must be loaded again by hand.
"use strict";

const POLL_MS = 2000;
const HIDDEN_POLL_MS = 15000;
const day = document.documentElement.dataset.day;
const number = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });

function span(seconds) {
  if (seconds < 10) return number.format(seconds) + "\u00a0s";
  if (seconds < 60) return Math.round(seconds) + "\u00a0s";
  const minutes = Math.floor(seconds / 60);
  const two = (value) => String(value).padStart(2, "0");
  if (minutes < 60) return `${minutes}\u00a0min\u00a0${two(Math.floor(seconds % 60))}\u00a0s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}\u00a0h\u00a0${two(minutes % 60)}\u00a0min`;
  return `${Math.floor(hours / 24)}\u00a0${day}\u00a0${hours % 24}\u00a0h`;
}

function keepAgoTrue() {
  for (const element of document.querySelectorAll("time.ago")) {
    const seconds = Math.max(0, (Date.now() - Date.parse(element.dateTime)) / 1000);
    element.textContent = element.dataset.ago.replace("{}", span(seconds));
  }
}

function showLive(words, off) {
  const state = document.querySelector(".live-state");
  if (!state) return;
  state.classList.toggle("off", off);
  const text = state.querySelector(".words");
  if (text.textContent !== words) text.textContent = words;
}

function isInUse(card) {
  return card.contains(document.activeElement) || card.querySelector("details[open]") !== null;
}

function mergeCards(into, from) {
  const present = new Map([...into.children].map((card) => [card.dataset.key, card]));
  let arrived = 0;
  let place = null;
  for (const card of [...from.children]) {
    const old = present.get(card.dataset.key);
    present.delete(card.dataset.key);
    let shown = old;
    if (!old) {
      shown = document.importNode(card, true);
      shown.classList.add("fresh");
      arrived += 1;
    } else if (old.dataset.version !== card.dataset.version && !isInUse(old)) {
      shown = document.importNode(card, true);
      old.replaceWith(shown);
    }
    const next = place ? place.nextElementSibling : into.firstElementChild;
    if (next !== shown) into.insertBefore(shown, next);
    place = shown;
  }
  for (const gone of present.values()) if (!isInUse(gone)) gone.remove();
  return arrived;
}

function merge(live, fresh) {
  const tabs = live.querySelector(".tabs");
  if (tabs && !tabs.contains(document.activeElement)) tabs.replaceWith(document.importNode(fresh.querySelector(".tabs"), true));
  const empty = live.querySelector(".empty");
  if (empty && !fresh.querySelector(".empty")) empty.remove();
  live.dataset.revision = fresh.dataset.revision;
  return mergeCards(live.querySelector(".cards"), fresh.querySelector(".cards"));
}

async function poll(live) {
  const words = document.querySelector(".live-state").dataset;
  try {
    const mark = live.dataset.live.includes("?") ? "&" : "?";
    const answer = await fetch(`${live.dataset.live}${mark}revision=${encodeURIComponent(live.dataset.revision)}`, { cache: "no-store" });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    let arrived = 0;
    if (answer.status === 200) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      arrived = merge(live, page.querySelector(".live"));
    }
    showLive(arrived && words.new ? words.new.replace("{}", arrived) : words.on, false);
  } catch {
    showLive(words.off, true);
  }
  setTimeout(poll, document.hidden ? HIDDEN_POLL_MS : POLL_MS, live);
}

function play(player, link, start) {
  for (const other of document.querySelectorAll(".segments a")) other.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  link.scrollIntoView({ block: "nearest" });
  player.dataset.current = link.dataset.item;
  player.src = link.dataset.video;
  if (start) player.play();
}

function startPlayer(player) {
  const links = [...document.querySelectorAll(".segments a")];
  const current = () => links.findIndex((link) => link.dataset.item === player.dataset.current);
  const clock = document.getElementById("clock");
  const shown = clock.textContent.split(":").map(Number);
  const first = Number(links[Math.max(0, current())]?.dataset.startedMs ?? 0);
  // The server says the device's time of the first picture in the centre's own zone; the difference to UTC stays the same.
  const offset = shown.length === 3 ? shown[0] * 3600 + shown[1] * 60 + shown[2] - Math.floor(first / 1000) : 0;
  player.addEventListener("timeupdate", () => {
    const started = Number(links[current()]?.dataset.startedMs ?? first) / 1000;
    const seconds = (((Math.floor(started + player.currentTime) + offset) % 86400) + 86400) % 86400;
    clock.textContent = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) => String(Math.floor(part)).padStart(2, "0")).join(":");
  });
  player.addEventListener("ended", () => {
    const next = links[current() + 1];
    if (next) play(player, next, true);
  });
  const problem = document.getElementById("player-problem");
  player.addEventListener("error", () => { problem.textContent = player.dataset.failed; problem.hidden = false; });
  player.addEventListener("loadedmetadata", () => { problem.hidden = true; });
  for (const link of links) {
    link.addEventListener("click", (event) => { event.preventDefault(); play(player, link, true); });
  }
}

keepAgoTrue();
setInterval(keepAgoTrue, 5000);
const live = document.querySelector(".live:not([data-paused])");
if (live) setTimeout(poll, POLL_MS, live);
const player = document.getElementById("player");
if (player) startPlayer(player);
