// Shows the server's UTC times in the reader's time zone, and marks the page as scripted for the CSS.

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localDates(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (!Number.isNaN(moment.valueOf())) {
      element.title = element.textContent;
      element.textContent = format.format(moment);
    }
  }
}

document.documentElement.classList.add("scripted");
localDates(document);
