// The API page: sends GET requests from its forms, and opens the operation named in the URL's hash.

for (const form of document.querySelectorAll("form.try")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = form.querySelector(".answer");
    let path = form.dataset.path;
    const query = new URLSearchParams();
    for (const input of form.querySelectorAll("input")) {
      if (input.dataset.in === "path") {
        path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
      } else if (input.value) {
        query.append(input.name, input.value);
      }
    }
    const url = query.size ? `${path}?${query}` : path;
    output.hidden = false;
    output.textContent = "…";
    try {
      const response = await fetch(url);
      const type = response.headers.get("Content-Type") ?? "";
      const isJson = type.includes("json");
      const body = isJson ? JSON.stringify(await response.json(), null, 2) : `(${type})`;
      if (!isJson) {
        response.body?.cancel(); // a file or a stream of events would go on, and occupy the server
      }
      output.textContent = `GET ${url}\n${response.status} ${response.statusText}\n\n${body}`;
    } catch {
      output.textContent = "The server does not respond.";
    }
  });
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
  }
}

window.addEventListener("hashchange", openTarget);
openTarget();
