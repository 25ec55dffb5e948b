// The list of series. Only the rows in sight are in the document; they are reused while the list is scrolled.
import * as format from "./format.js";
import { setSparkline, sparkline } from "./charts.js";

const shownIntervals = 120; // in a sparkline

const columns = [
  { key: "name", label: "Series" },
  { key: "total", label: "Total" },
  { key: "spark", fixed: true }, // setInterval gives it a label
  { key: "rate", label: "Rate/s" },
  { key: "p50", label: "p50" },
  { key: "p90", label: "p90" },
  { key: "p99", label: "p99" },
];

export class Grid {
  constructor(store, open) {
    Object.assign(this, { store, open });
    this.grid = document.getElementById("grid");
    this.head = document.getElementById("head");
    this.body = document.getElementById("body");
    this.order = [];
    this.rows = [];
    this.active = null; // the series with the mark of the keyboard
    this.opened = null; // the series in the charts
    this.sort = { key: "name", down: false };
    this.words = [];
    this.kind = "";
    this.makeHead();
    this.grid.addEventListener("scroll", () => this.draw(), { passive: true });
    this.grid.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.grid);
  }

  makeHead() {
    for (const column of columns) {
      const cell = document.createElement("div");
      cell.className = "cell " + column.key;
      cell.setAttribute("role", "columnheader");
      if (column.fixed) this.span = cell;
      else {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = column.label;
        button.addEventListener("click", () => this.sortBy(column.key));
        cell.append(button);
        column.cell = cell;
      }
      this.head.append(cell);
    }
    this.showSort();
  }

  // setInterval takes the seconds between two values of a sparkline.
  setInterval(seconds) {
    setText(this.span, "Last " + format.duration(shownIntervals * seconds * 1e9));
  }

  sortBy(key) {
    // Figures are sorted with the largest first, names from A on.
    const down = this.sort.key === key ? !this.sort.down : key !== "name";
    this.sort = { key, down };
    this.showSort();
    this.update();
  }

  showSort() {
    for (const { key, cell } of columns) {
      if (!cell) continue;
      if (key === this.sort.key) cell.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }

  filter(text, kind) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.kind = kind;
    this.grid.scrollTop = 0;
    this.update();
  }

  // update takes over all changes of the store.
  update() {
    const { store, words, kind } = this;
    if (!store.sorted) {
      store.all.sort((a, b) => (a.sortName < b.sortName ? -1 : a.sortName > b.sortName ? 1 : a.id - b.id));
      store.sorted = true;
    }
    this.order = store.all.filter((series) =>
      (kind === "" || series.kind === kind) && words.every((word) => series.search.includes(word)));
    this.arrange();
    if (this.active) { // after a new connection, the series are new objects
      const now = store.byID.get(this.active.id);
      this.active = now?.isSameAs(this.active) ? now : null;
    }
    this.grid.setAttribute("aria-rowcount", this.order.length + 1);
    const empty = document.getElementById("empty");
    empty.hidden = this.order.length > 0;
    empty.textContent = store.all.length > 0 ? "No series matches the search." : "Nothing has been recorded yet.";
    document.getElementById("shown").textContent = this.order.length === store.all.length
      ? format.exact(store.all.length) + " series"
      : format.exact(this.order.length) + " of " + format.exact(store.all.length) + " series";
    this.draw();
  }

  // arrange sorts this.order, which is in order of the names.
  arrange() {
    const { key, down } = this.sort;
    if (key === "name") {
      if (down) this.order.reverse();
      return;
    }
    const sign = down ? -1 : 1;
    const read = { rate: (s) => this.store.rate(s), total: (s) => Number(String(s.total).replace("Inf", "Infinity")) }[key]
      ?? ((s) => s[key]);
    for (const series of this.order) series.key = read(series);
    this.order.sort((a, b) => {
      if (Number.isNaN(a.key) || Number.isNaN(b.key)) return Number.isNaN(a.key) - Number.isNaN(b.key); // last
      return sign * (a.key - b.key);
    });
  }

  get rowHeight() {
    return parseFloat(getComputedStyle(this.grid).getPropertyValue("--row"));
  }

  // draw puts the rows in sight into the document.
  draw() {
    const height = this.rowHeight, head = this.head.offsetHeight;
    this.body.style.height = this.order.length * height + "px";
    const first = Math.max(0, Math.floor(this.grid.scrollTop / height));
    const n = Math.min(this.order.length - first, Math.ceil((this.grid.clientHeight - head) / height) + 1);
    while (this.rows.length < n) this.rows.push(new Row(this));
    this.rows.forEach((row, i) => {
      if (i < n) row.show(this.order[first + i], first + i, height);
      else row.hide();
    });
    const row = this.active && this.rows.find((r) => r.series === this.active && !r.element.hidden);
    if (row) this.grid.setAttribute("aria-activedescendant", row.element.id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  // recolour makes the sparklines again, for another scheme of colours.
  recolour() {
    for (const row of this.rows) {
      row.chart.destroy(); // it listens to the window
      row.element.remove();
    }
    this.rows = [];
    this.draw();
  }

  move(to) {
    if (this.order.length === 0) return;
    const i = Math.min(Math.max(to, 0), this.order.length - 1);
    this.active = this.order[i];
    const height = this.rowHeight, room = this.grid.clientHeight - this.head.offsetHeight;
    if (i * height < this.grid.scrollTop) this.grid.scrollTop = i * height;
    if ((i + 1) * height > this.grid.scrollTop + room) this.grid.scrollTop = (i + 1) * height - room;
    this.draw();
  }

  key(event) {
    if (event.target !== this.grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.order.indexOf(this.active);
    const page = Math.max(1, Math.floor((this.grid.clientHeight - this.head.offsetHeight) / this.rowHeight) - 1);
    const moves = {
      ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: Math.max(at, 0) + page, PageUp: at - page,
      Home: 0, End: this.order.length - 1,
    };
    if (event.key in moves) this.move(moves[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && at >= 0) this.select(this.active);
    else return;
    event.preventDefault();
  }

  select(series) {
    this.active = this.opened = series;
    this.open(series);
    this.draw();
  }
}

let rowID = 0;

class Row {
  constructor(grid) {
    this.grid = grid;
    this.element = document.createElement("div");
    this.element.id = "row" + rowID++;
    this.element.className = "row";
    this.element.setAttribute("role", "row");
    this.cells = {};
    for (const { key } of columns) {
      const cell = document.createElement("div");
      cell.className = "cell " + key;
      cell.setAttribute("role", "gridcell");
      this.cells[key] = cell;
      this.element.append(cell);
    }
    this.name = document.createElement("b");
    this.tags = document.createElement("span");
    this.cells.name.append(this.name, " ", this.tags);
    this.cells.spark.setAttribute("aria-hidden", "true");
    this.element.addEventListener("click", () => grid.select(this.series));
    grid.body.append(this.element);
    this.chart = sparkline(this.cells.spark, 120, 28);
  }

  show(series, index, height) {
    const { store, active, opened } = this.grid;
    this.element.hidden = false;
    this.series = series;
    this.element.style.transform = "translateY(" + index * height + "px)";
    this.element.setAttribute("aria-rowindex", index + 2);
    this.element.setAttribute("aria-selected", series === opened);
    this.element.classList.toggle("active", series === active);
    this.element.dataset.kind = series.kind;
    setText(this.name, series.name);
    setText(this.tags, series.tags);
    const title = series.name + (series.tags ? " {" + series.tags + "}" : "") + " · " + series.kind;
    if (this.cells.name.title !== title) this.cells.name.title = title;
    const gauge = series.kind === "gauge";
    setText(this.cells.total, gauge ? format.value(series.total) : format.exact(series.total));
    setText(this.cells.rate, gauge ? "" : format.short(store.rate(series)));
    for (const key of ["p50", "p90", "p99"]) {
      setText(this.cells[key], series.distributed ? format.quantity(series, series[key]) : "");
    }
    if (this.drawn === series && this.interval === store.interval) return;
    [this.drawn, this.interval] = [series, store.interval];
    setSparkline(this.chart, store.valuesOf(series, shownIntervals));
  }

  hide() {
    this.element.hidden = true;
    this.series = null;
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
