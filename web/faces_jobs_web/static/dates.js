// Shows the server's UTC times in the reader's own time zone, and tells the styles that scripts run.

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
