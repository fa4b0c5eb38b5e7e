// Follows a job for a page: by the server's events, or by asking now and then.
//
// Events hold a connection, and a browser opens six to a server, over all its pages. So a page that
// nobody sees follows nothing; and of those that are seen, in windows side by side, one has events.

const POLL_MS = 1000;
const RETRY_MS = 4000;
const PLACE = "faces_jobs events";

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// Each of these ends with true when there is nothing more to follow: the job or the interest ended.

function listen(address, { refresh, unreachable }, signal) {
  return new Promise((resolve) => {
    const source = new EventSource(address);
    const finish = (over) => {
      source.close();
      resolve(over);
    };
    let running = false;
    let again = false;
    const show = async () => {
      again = true;
      if (running) {
        return;
      }
      running = true;
      try {
        while (again && !signal.aborted) {
          again = false;
          if (await refresh()) {
            finish(true);
          }
        }
      } catch {
        finish(false);
      } finally {
        running = false;
      }
    };
    for (const kind of ["state", "progress", "end"]) {
      source.addEventListener(kind, show);
    }
    source.addEventListener("end", () => source.close());
    source.addEventListener("deleted", () => {
      finish(true);
      location.reload();
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) {
        finish(false); // too many wait at the server
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
      await pause(POLL_MS);
    } catch (error) {
      if (error.message.includes("404")) {
        location.reload(); // it was deleted
        break;
      }
      unreachable();
      await pause(RETRY_MS);
    }
  }
  return true;
}

function inPlace(work) {
  if (!navigator.locks) {
    return work(); // browsers have none for plain HTTP from another machine
  }
  return navigator.locks.request(PLACE, { ifAvailable: true }, (lock) => (lock ? work() : false));
}

// `refresh` shows what is new, and tells whether the job has ended.
export function follow(address, page) {
  let seen = null;
  const look = async () => {
    seen?.abort();
    if (document.hidden) {
      return;
    }
    seen = new AbortController();
    const { signal } = seen;
    const over = (await inPlace(() => listen(address, page, signal))) || (await poll(page, signal));
    if (over && !signal.aborted) {
      document.removeEventListener("visibilitychange", look);
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
}
