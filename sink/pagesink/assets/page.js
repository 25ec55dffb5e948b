// The page: connects the events of the server with the parts of the page.
//
//	events ──▶ store ──▶ grid, detail
//	       └─▶ account
//
// Text from the server goes into textContent only.
import { Account } from "./account.js";
import { Detail } from "./detail.js";
import { Grid } from "./grid.js";
import { Store } from "./store.js";

const store = new Store();
const account = new Account();
const detail = new Detail(store);
const grid = new Grid(store, (series) => {
  detail.open(series);
  document.body.classList.add("open");
});

const search = document.getElementById("search");
const kind = document.getElementById("kind");
const stateText = document.getElementById("state");

function state(name, text) {
  stateText.dataset.state = name;
  if (stateText.textContent !== text) stateText.textContent = text;
}

const pause = 3000; // milliseconds after a refusal
const takers = new Map(); // functions that take the data of events, by the name of the event
let events = null; // the connection
let fresh = false; // the next series are the first of a connection
let opened = null; // the series in the charts when the connection was lost

function connect() {
  events = new EventSource("events");
  events.onopen = () => {
    opened = detail.series;
    fresh = true;
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) refused();
    else state("lost", "connecting again");
  };
  for (const [name, take] of takers) events.addEventListener(name, (event) => received(take, event));
}

function received(take, event) {
  if (fresh) {
    store.clear();
    fresh = false;
  }
  take(JSON.parse(event.data));
}

// refused shows why there are no events, and connects again later. A browser does not do that if the answer is an
// error, as that of a proxy while the program is started again. An EventSource does not tell the answer, so the page
// asks once more.
async function refused() {
  state("lost", "not connected");
  setTimeout(connect, pause);
  const asked = new AbortController();
  try {
    const answer = await fetch("events", { signal: asked.signal });
    if (answer.ok) return;
    const plain = (answer.headers.get("Content-Type") ?? "").startsWith("text/plain");
    const reason = plain ? (await answer.text()).split("\n")[0].slice(0, 200) : answer.statusText;
    if (stateText.dataset.state === "lost") state("lost", "not connected: " + answer.status + " " + reason);
  } catch { // the server is not there at all
  } finally {
    asked.abort(); // otherwise it would be a viewer
  }
}

function on(name, take) {
  takers.set(name, take);
}

on("series", (list) => store.add(list));
on("rows", ({ seconds, rows }) => store.set(rows, seconds));
on("ended", (ids) => store.remove(ids));
on("tick", (tick) => {
  store.tick(tick.time);
  if (opened) { // the same series has the same number on the server, unless that was started again
    const again = store.byID.get(opened.id);
    if (again && again.isSameAs(opened)) grid.select(again);
    else closeDetail();
    opened = null;
  }
  account.set(tick);
  grid.setInterval(tick.interval);
  grid.update();
  detail.update();
  if (tick.error) state("failed", tick.error);
  else state("live", "live");
});
on("end", () => {
  events.close();
  state("ended", "ended: the buffer is closed; reload the page to connect again");
});

function closeDetail() {
  detail.close();
  document.body.classList.remove("open");
  grid.opened = null;
  grid.draw();
}

document.getElementById("close").addEventListener("click", () => {
  closeDetail();
  grid.grid.focus();
});
search.addEventListener("input", () => grid.filter(search.value, kind.value));
kind.addEventListener("change", () => grid.filter(search.value, kind.value));
search.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "Enter") return;
  event.preventDefault();
  grid.grid.focus();
  grid.move(0);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape") {
    if (detail.series) {
      closeDetail();
      grid.grid.focus();
    } else if (search.value) {
      search.value = "";
      grid.filter("", kind.value);
    }
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  grid.recolour();
  detail.make();
});
grid.update();
connect();
