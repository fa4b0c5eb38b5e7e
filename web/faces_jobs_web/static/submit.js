// The submission form: choosing files and folders (by button or drop), and uploading with progress.

const form = document.getElementById("submit-form");
const drop = document.getElementById("drop");
const list = document.getElementById("chosen-list");
const problem = document.getElementById("problem");
const send = document.getElementById("send");
const upload = document.getElementById("upload");
const bar = document.getElementById("upload-bar");
const text = document.getElementById("upload-text");
const announcement = document.getElementById("announcement");

const MAX_SHOWN_FILES = 200;
let chosen = []; // of { name, file }
let request = null;
// The idempotency key: a submission that is sent again after a lost connection creates only one job.
let submission = { key: null, fingerprint: null };

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit === 0 || bytes >= 99.95 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

function bytesOf(files) {
  return files.reduce((sum, { file }) => sum + file.size, 0);
}

// Browsers list a folder in the order of the disk, and with its hidden files.
function isShown({ name }) {
  return !name.split("/").slice(1).some((part) => part.startsWith("."));
}

function byName(one, other) {
  return one.name < other.name ? -1 : 1;
}

function add(files) {
  const known = new Set(chosen.map(({ name, file }) => `${name}\n${file.size}\n${file.lastModified}`));
  for (const entry of files.filter(isShown).sort(byName)) {
    if (!known.has(`${entry.name}\n${entry.file.size}\n${entry.file.lastModified}`)) {
      chosen.push(entry);
    }
  }
  render();
}

function render() {
  const shown = chosen.slice(0, MAX_SHOWN_FILES).map((entry) => {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = entry.name;
    const bytes = document.createElement("span");
    bytes.className = "quiet";
    bytes.textContent = size(entry.file.size);
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "plain";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${entry.name}`);
    remove.addEventListener("click", () => {
      chosen = chosen.filter((other) => other !== entry);
      render();
      (list.querySelector("button") ?? form.querySelector("input[type=file]")).focus();
    });
    row.append(name, bytes, remove);
    return row;
  });
  if (chosen.length > MAX_SHOWN_FILES) {
    const rest = document.createElement("li");
    rest.textContent = `and ${(chosen.length - MAX_SHOWN_FILES).toLocaleString("en")} more`;
    shown.push(rest);
  }
  list.replaceChildren(...shown);
  const summary = chosen.length === 1 ? "1 file" : `${chosen.length.toLocaleString("en")} files`;
  document.getElementById("chosen-count").textContent = `${summary}, ${size(bytesOf(chosen))}`;
  document.getElementById("chosen").hidden = chosen.length === 0;
  announcement.textContent = chosen.length ? `${summary} chosen` : "No files chosen";
  if (!form.querySelector("[aria-invalid]")) {
    showProblem(""); // it was about the files chosen before
  }
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ name: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // `readEntries` returns entries in batches; an empty batch is the end.
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) {
      return found;
    }
    for (const child of batch) {
      if (!child.name.startsWith(".")) {
        found.push(...(await filesOf(child)));
      }
    }
  }
}

// Shows errors next to their fields, as the server does without JavaScript.
function showProblem(message, fields = {}) {
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
  }
  for (const old of form.querySelectorAll(".field-error")) {
    old.remove();
  }
  const errors = Object.entries(fields).map(([name, reason]) => [form.elements.namedItem(name), reason]);
  const shown = errors.filter(([input]) => input instanceof HTMLElement && input.closest(".field"));
  for (const [input, reason] of shown) {
    const error = document.createElement("span");
    error.className = "field-error";
    error.textContent = reason;
    input.setAttribute("aria-invalid", "true");
    input.closest("details")?.setAttribute("open", "");
    input.closest(".field").append(error);
  }
  const allShown = shown.length > 0 && shown.length === errors.length;
  problem.textContent = allShown ? form.dataset.invalidFields : message;
  problem.hidden = !message;
  if (allShown) {
    shown[0][0].focus();
  } else if (message) {
    problem.scrollIntoView({ block: "nearest" });
  }
}

// Browsers show their validation message only for visible fields, so the closed section is opened.
form.noValidate = false;
form.addEventListener("invalid", (event) => event.target.closest("details")?.setAttribute("open", ""), true);

function options() {
  const values = {};
  for (const input of form.elements) {
    if (!input.name || input.type === "file" || input.type === "hidden" || input.name.startsWith("server_")) {
      continue;
    }
    values[input.name] = input.type === "checkbox" ? (input.checked ? "on" : "off") : input.value;
  }
  return values;
}

function body() {
  const data = new FormData();
  for (const [name, value] of Object.entries(options())) {
    if (value !== "") {
      data.append(name, value);
    }
  }
  for (const { name, file } of chosen) {
    data.append("files", file, name);
  }
  return data;
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function start() {
  const fingerprint = JSON.stringify([options(), chosen.map(({ name, file }) => [name, file.size, file.lastModified])]);
  if (submission.fingerprint !== fingerprint) {
    submission = { key: randomKey(), fingerprint };
  }
  request = new XMLHttpRequest(); // fetch has no upload progress
  request.open("POST", form.dataset.api);
  request.setRequestHeader("Idempotency-Key", submission.key);
  request.responseType = "json";
  const startedAt = performance.now();
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) {
      return;
    }
    bar.value = event.loaded / event.total;
    const seconds = (performance.now() - startedAt) / 1000;
    const left = (seconds * (event.total - event.loaded)) / Math.max(event.loaded, 1);
    const rest = seconds > 2 && left > 1 ? `, about ${left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} left` : "";
    text.textContent = event.loaded < event.total ? `${size(event.loaded)} of ${size(event.total)}${rest}` : "Uploaded, checking the files";
  });
  request.addEventListener("load", () => {
    if (request.status === 200 || request.status === 201) {
      location.assign(form.dataset.jobPage.replace("JOB", encodeURIComponent(request.response.id)));
      return;
    }
    finish();
    if (request.status === 401) {
      showProblem("You are signed out. Sign in on another page, then send again: your choices are kept here.");
      return;
    }
    showProblem(request.response?.detail ?? `The server responded with status ${request.status}.`, request.response?.fields);
  });
  request.addEventListener("error", () => {
    finish();
    showProblem("The connection to the server was lost. Send again: nothing will be submitted twice.");
  });
  request.addEventListener("abort", finish);
  showProblem("");
  send.disabled = true;
  upload.hidden = false;
  bar.value = 0;
  text.textContent = announcement.textContent = "Starting the upload";
  request.send(body());
}

function finish() {
  // A button that is disabled or hidden loses the focus.
  const isFocusLost = document.activeElement === document.body || upload.contains(document.activeElement);
  send.disabled = false;
  upload.hidden = true;
  if (isFocusLost) {
    send.focus({ preventScroll: true });
  }
}

// After Back, browsers may restore this page from their cache as it was left: with the form disabled.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    chosen = [];
    submission = { key: null, fingerprint: null };
    finish();
    render();
  }
});

form.addEventListener("submit", (event) => {
  const root = form.elements.namedItem("server_root");
  if (chosen.length === 0 && (root?.value || form.elements.namedItem("server_path")?.value)) {
    return; // a server folder needs no upload: the browser submits the form
  }
  event.preventDefault();
  if (root?.value) {
    showProblem("Choose either files or a folder on the server, not both.");
    return;
  }
  if (chosen.length === 0) {
    showProblem("Choose at least one video or photo.");
  } else if (chosen.length > Number(form.dataset.maxFiles)) {
    showProblem(`You chose ${chosen.length.toLocaleString("en")} files; the maximum is ${Number(form.dataset.maxFiles).toLocaleString("en")}. Submit them in several jobs.`);
  } else if (bytesOf(chosen) > Number(form.dataset.maxBytes)) {
    showProblem(`These files have ${size(bytesOf(chosen))}; the maximum is ${size(Number(form.dataset.maxBytes))}. Submit them in several jobs.`);
  } else {
    start();
  }
});

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    add(Array.from(input.files, (file) => ({ name: file.webkitRelativePath || file.name, file })));
    input.value = "";
  });
}

document.getElementById("clear").addEventListener("click", () => {
  chosen = [];
  render();
  form.querySelector("input[type=file]").focus();
});
document.getElementById("stop").addEventListener("click", () => request?.abort());

// The whole page accepts drops: a file dropped next to the field would otherwise replace the page.
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) {
    drop.classList.remove("over");
  }
});
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  // The entries are lost at the first await, so they are collected before.
  const entries = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = Array.from(event.dataTransfer.files, (file) => ({ name: file.name, file }));
  try {
    add(entries.length ? (await Promise.all(entries.map(filesOf))).flat() : plain);
  } catch {
    showProblem("This folder could not be read. Choose it with the button instead.");
  }
});
