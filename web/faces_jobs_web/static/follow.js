// Follows a job for a page, by server-sent events or by polling.
//
// An event stream occupies a connection, and a browser opens at most six to a server, for all of its
// pages together. So hidden pages follow nothing, and of the visible pages (in several windows) only
// one uses events; the others poll.

const POLL_MS = 1000;
const RETRY_MS = 4000;
const LOCK = "faces_jobs events";

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// What a refresh shows may be newer than the event that caused it. If the job returns to the event's
// version before the server looks again (a pause that is resumed at once), no event follows: so as
// long as another version is shown, the page is refreshed again after a while.

// `listen` and `poll` resolve to true if there is nothing left to follow: the job has ended or was
// deleted, or the signal was aborted. `listen` resolves to false if the page should poll instead.

function listen(url, { refresh, shownVersion, unreachable, reachable }, signal) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    let toldVersion = "";
    let timer = null;
    const finish = (isOver) => {
      clearTimeout(timer);
      source.close();
      resolve(isOver);
    };
    let isRefreshing = false;
    let isStale = false;
    const onChange = (event) => {
      toldVersion = event.lastEventId;
      update();
    };
    const update = async () => {
      isStale = true;
      clearTimeout(timer);
      if (isRefreshing) {
        return;
      }
      isRefreshing = true;
      try {
        while (isStale && !signal.aborted) {
          isStale = false;
          if (await refresh()) {
            finish(true);
            return;
          }
        }
        if (shownVersion() !== toldVersion && source.readyState !== EventSource.CLOSED) {
          timer = setTimeout(update, POLL_MS);
        }
      } catch {
        finish(false);
      } finally {
        isRefreshing = false;
      }
    };
    for (const kind of ["state", "progress", "end"]) {
      source.addEventListener(kind, onChange);
    }
    source.addEventListener("end", () => source.close());
    source.addEventListener("deleted", () => {
      finish(true);
      location.reload();
    });
    source.addEventListener("open", reachable); // without an event if nothing has changed
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) {
        finish(false); // the server has no slot left for an event stream
      } else {
        unreachable();
      }
    });
    signal.addEventListener("abort", () => finish(true));
  });
}

async function poll({ refresh, unreachable }, signal) {
  while (!signal.aborted) {
    try {
      if (await refresh()) {
        break;
      }
      await sleep(POLL_MS);
    } catch (error) {
      if (error.message.includes("404")) {
        location.reload(); // the job was deleted
        break;
      }
      unreachable();
      await sleep(RETRY_MS);
    }
  }
  return true;
}

// Runs `work` if no other page holds the lock; resolves to false otherwise.
function withLock(work) {
  if (!navigator.locks) {
    return work(); // locks need HTTPS or localhost
  }
  return navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => (lock ? work() : false));
}

// `page.refresh` updates the page and resolves to true if the job has ended; `page.shownVersion`
// returns the version of the job that it shows, which is the id of an event; `page.unreachable` is
// called while the server does not respond, and `page.reachable` (or `page.refresh`) when it does again.
export function follow(url, page) {
  let controller = null;
  const start = async () => {
    controller?.abort();
    if (document.hidden) {
      return;
    }
    controller = new AbortController();
    const { signal } = controller;
    const isOver = (await withLock(() => listen(url, page, signal))) || (await poll(page, signal));
    if (isOver && !signal.aborted) {
      document.removeEventListener("visibilitychange", start);
    }
  };
  document.addEventListener("visibilitychange", start);
  start();
}
