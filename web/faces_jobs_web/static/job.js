// A job's page: follows the job while it runs, filters faces in place, and seeks in its videos.

import { localDates } from "./dates.js";
import { follow } from "./follow.js";

const announcement = document.getElementById("announcement");
const parser = new DOMParser();

async function load(url, signal) {
  const response = await fetch(url, { signal, headers: { Accept: "text/html" } });
  if (response.redirected && new URL(response.url).pathname === "/login") {
    location.reload();
  }
  if (!response.ok) {
    throw new Error(`The server answered ${response.status}.`);
  }
  return parser.parseFromString(await response.text(), "text/html");
}

function announce(live) {
  const name = live.dataset.statusName;
  const quarter = Math.floor(Number(live.dataset.percent) / 25) * 25;
  const sentence = live.dataset.status === "running" && quarter > 0 ? `${name}, ${quarter} percent` : name;
  if (announcement.textContent !== sentence) {
    announcement.textContent = sentence;
  }
}

function replaceLive(fresh) {
  const old = document.getElementById("live");
  const bar = old.querySelector("progress");
  const freshBar = fresh.querySelector("progress");
  if (bar && freshBar && bar.hasAttribute("value") && freshBar.hasAttribute("value")) {
    bar.value = freshBar.value; // the same element goes on, so that it moves and does not jump
    freshBar.replaceWith(bar);
  }
  old.replaceWith(fresh);
}

async function showResults() {
  const page = await load(location.href);
  const main = document.getElementById("main");
  const hadFocus = main.contains(document.activeElement);
  main.replaceChildren(...page.getElementById("main").childNodes);
  localDates(main);
  if (hadFocus) {
    main.querySelector("h1").focus();
  }
}

function livePath() {
  return `${location.pathname.replace(/\/$/, "")}/live`;
}

// Returns true when the job has ended.
async function refresh() {
  const fresh = (await load(livePath())).getElementById("live");
  announce(fresh);
  replaceLive(document.adoptNode(fresh));
  if (fresh.dataset.ended === "yes") {
    await showResults();
    return true;
  }
  return false;
}

let filtering = null;

async function showFaces(url) {
  const section = document.getElementById("faces");
  filtering?.abort();
  filtering = new AbortController();
  section.classList.add("loading");
  try {
    const page = await load(url, filtering.signal);
    const fresh = document.adoptNode(page.getElementById("faces"));
    section.replaceWith(fresh);
    const rows = fresh.querySelectorAll("tbody tr").length;
    announcement.textContent = rows === 0 ? "No face passes these filters" : `${rows} faces shown`;
  } catch (error) {
    if (error.name !== "AbortError") {
      location.assign(url); // the page itself tells what is wrong
    }
  }
}

// Returns false where the item is not on this page: the link itself leads to the item's own.
function showHere(link) {
  const figure = document.getElementById(`item-${link.dataset.item}`);
  const shown = figure?.querySelector("video, a");
  if (!shown) {
    return false;
  }
  if (shown instanceof HTMLVideoElement) {
    shown.pause();
    shown.currentTime = Number(link.dataset.seek);
  }
  shown.scrollIntoView({ block: "center" });
  shown.focus({ preventScroll: true });
  return true;
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) {
    return;
  }
  const link = event.target.closest("a[data-seek], a[data-filter]");
  if (!link) {
    return;
  }
  if (link.dataset.seek !== undefined) {
    if (showHere(link)) {
      event.preventDefault();
    }
  } else if (document.getElementById("faces")) {
    event.preventDefault();
    showFaces(link.href).then(() => document.getElementById("faces")?.scrollIntoView({ block: "start" }));
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("#faces form");
  if (form) {
    event.preventDefault();
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (value !== "") {
        asked.append(name, value);
      }
    }
    const button = form.querySelector("button[type=submit]");
    showFaces(`${form.getAttribute("action")}?${asked}`).then(() => {
      if (!button.isConnected) {
        document.querySelector("#faces button[type=submit]")?.focus({ preventScroll: true });
      }
    });
  }
});

// The question whether to delete goes as it came: by Escape, or by a click on anything else.
document.addEventListener("keydown", (event) => {
  const question = document.querySelector(".confirm[open]");
  if (event.key === "Escape" && question) {
    question.open = false;
    question.querySelector("summary").focus();
  }
});
document.addEventListener("pointerdown", (event) => {
  const question = document.querySelector(".confirm[open]");
  if (question && !question.contains(event.target)) {
    question.open = false;
  }
});

const live = document.getElementById("live");
if (live && live.dataset.ended !== "yes") {
  follow(live.dataset.events, {
    refresh,
    unreachable: () => {
      announcement.textContent = "The server does not answer. Trying again.";
    },
  });
}
