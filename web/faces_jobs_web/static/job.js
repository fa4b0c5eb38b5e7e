// The job page: follows the job while it runs, filters faces in place, and seeks in videos.

import { localDates } from "./dates.js";
import { follow } from "./follow.js";

const announcement = document.getElementById("announcement");
const parser = new DOMParser();
const UNREACHABLE = "The server does not respond. Retrying.";

async function load(url, signal) {
  const response = await fetch(url, { signal, headers: { Accept: "text/html" } });
  if (response.redirected && new URL(response.url).pathname === "/login") {
    location.reload();
  }
  if (!response.ok) {
    throw new Error(`The server responded with status ${response.status}.`);
  }
  return parser.parseFromString(await response.text(), "text/html");
}

function announce(live) {
  const name = live.dataset.statusName;
  const percent = Math.floor(Number(live.dataset.percent) / 25) * 25; // announced in steps of 25
  const text = live.dataset.status === "running" && percent > 0 ? `${name}, ${percent} percent` : name;
  if (announcement.textContent !== text) {
    announcement.textContent = text;
  }
}

function replaceLive(fresh) {
  const old = document.getElementById("live");
  const bar = old.querySelector("progress");
  const freshBar = fresh.querySelector("progress");
  if (bar && freshBar && bar.hasAttribute("value") && freshBar.hasAttribute("value")) {
    bar.value = freshBar.value; // keeps the element, so that its change is animated
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

// The buttons depend on the state, which may have been changed elsewhere.
async function showActions() {
  const fresh = (await load(location.href)).querySelector(".title-actions");
  const old = document.querySelector(".title-actions");
  if (fresh.textContent === old.textContent) {
    return;
  }
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(document.adoptNode(fresh));
  if (hadFocus) {
    document.querySelector("h1").focus();
  }
}

// Resolves to true if the job has ended.
async function refresh() {
  const fresh = (await load(`${location.pathname}/live`)).getElementById("live");
  const isMoved = fresh.dataset.status !== document.getElementById("live").dataset.status;
  const hasEnded = fresh.dataset.ended === "yes";
  if (isMoved && !hasEnded) {
    await showActions();
  }
  announce(fresh);
  replaceLive(document.adoptNode(fresh));
  if (hasEnded) {
    await showResults();
    return true;
  }
  return false;
}

let filterRequest = null;
let shownFilters = location.search;

// Shows the faces at a URL of their list. The page's own address gets the same filters, so that it
// can be reloaded and shared; Back shows the list before.
async function filterFaces(url) {
  const filters = new URL(url, location.href).search;
  if ((await showFaces(url)) && filters !== location.search) {
    history.pushState(null, "", `${location.pathname}${filters}${filters ? "#faces" : ""}`);
  }
}

// Resolves to true if they are shown.
async function showFaces(url) {
  const section = document.getElementById("faces");
  filterRequest?.abort();
  filterRequest = new AbortController();
  section.classList.add("loading");
  try {
    const page = await load(url, filterRequest.signal);
    const fresh = document.adoptNode(page.getElementById("faces"));
    section.replaceWith(fresh);
    const rows = fresh.querySelectorAll("tbody tr").length;
    const notes = Array.from(fresh.querySelectorAll(".notice, .empty"), (note) => note.textContent);
    announcement.textContent = notes.join(" ") || (rows === 1 ? "1 face shown" : `${rows} faces shown`);
    shownFilters = new URL(url, location.href).search;
    return true;
  } catch (error) {
    if (error.name !== "AbortError") {
      location.assign(url); // that page shows the error
    }
    return false;
  }
}

// After Back or Forward; also after a link within the page, which changes no filter.
window.addEventListener("popstate", () => {
  const form = document.querySelector("#faces form");
  if (form && location.search !== shownFilters) {
    showFaces(form.getAttribute("action") + location.search);
  }
});

// Returns false if the item's copy is not on this page; then the link leads to the item's page.
function showHere(link) {
  const figure = document.getElementById(`item-${link.dataset.item}`);
  const copy = figure?.querySelector("video, a");
  if (!copy) {
    return false;
  }
  if (copy instanceof HTMLVideoElement) {
    copy.pause();
    copy.currentTime = Number(link.dataset.seek);
  }
  copy.scrollIntoView({ block: "center" });
  copy.focus({ preventScroll: true });
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
    filterFaces(link.href).then(() => {
      document.getElementById("faces")?.scrollIntoView({ block: "start" });
      // The link is often in the part that was replaced, and the focus would be lost with it.
      document.getElementById("faces-title")?.focus({ preventScroll: true });
    });
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("#faces form");
  if (form) {
    event.preventDefault();
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (value !== "") {
        query.append(name, value);
      }
    }
    const button = form.querySelector("button[type=submit]");
    filterFaces(`${form.getAttribute("action")}?${query}`).then(() => {
      if (!button.isConnected) {
        document.querySelector("#faces button[type=submit]")?.focus({ preventScroll: true });
      }
    });
  }
});

// The delete confirmation closes on Escape, or on a click outside of it.
document.addEventListener("keydown", (event) => {
  const confirmation = document.querySelector(".confirm[open]");
  if (event.key === "Escape" && confirmation) {
    confirmation.open = false;
    confirmation.querySelector("summary").focus();
  }
});
document.addEventListener("pointerdown", (event) => {
  const confirmation = document.querySelector(".confirm[open]");
  if (confirmation && !confirmation.contains(event.target)) {
    confirmation.open = false;
  }
});

const live = document.getElementById("live");
if (live && live.dataset.ended !== "yes") {
  follow(live.dataset.events, {
    refresh,
    shownVersion: () => document.getElementById("live").dataset.version,
    unreachable: () => {
      announcement.textContent = UNREACHABLE;
      if (!document.getElementById("unreachable")) {
        const note = document.createElement("p");
        note.id = "unreachable";
        note.className = "notice error";
        note.textContent = UNREACHABLE;
        document.querySelector("#live .progress-card").append(note);
      }
    },
    reachable: () => document.getElementById("unreachable")?.remove(),
  });
}
