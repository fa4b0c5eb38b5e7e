// The API page: sends a GET that the reader fills in, and opens what the address names.

for (const form of document.querySelectorAll("form.try")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = form.querySelector(".answer");
    let path = form.dataset.path;
    const asked = new URLSearchParams();
    for (const input of form.querySelectorAll("input")) {
      if (input.dataset.in === "path") {
        path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
      } else if (input.value) {
        asked.append(input.name, input.value);
      }
    }
    const url = asked.size ? `${path}?${asked}` : path;
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const response = await fetch(url);
      const type = response.headers.get("Content-Type") ?? "";
      const body = type.includes("json") ? JSON.stringify(await response.json(), null, 2) : `(${type})`;
      answer.textContent = `GET ${url}\n${response.status} ${response.statusText}\n\n${body}`;
    } catch {
      answer.textContent = "The server does not answer.";
    }
  });
}

function openNamed() {
  const named = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
  }
}

window.addEventListener("hashchange", openNamed);
openNamed();
