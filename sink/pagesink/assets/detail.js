// The charts of one series.
import * as charts from "./charts.js";
import * as format from "./format.js";
import { kept } from "./store.js";

export class Detail {
  constructor(store) {
    this.store = store;
    this.element = document.getElementById("detail");
    this.box = this.element.querySelector(".charts");
    this.list = this.element.querySelector("dl");
    this.series = null;
    this.charts = {};
    new ResizeObserver(() => this.resize()).observe(this.box);
  }

  open(series) {
    this.series = series;
    this.element.hidden = false;
    this.element.querySelector("h2").textContent = series.name;
    this.make();
    this.element.scrollTop = 0;
  }

  close() {
    this.series = null;
    this.element.hidden = true;
    this.destroy();
  }

  destroy() {
    for (const chart of Object.values(this.charts)) chart.destroy();
    this.charts = {};
    this.box.replaceChildren();
  }

  // make makes the charts, also for another scheme of colours.
  make() {
    if (!this.series) return;
    this.destroy();
    const { series } = this, width = this.width;
    const number = (v) => format.short(v), observation = (v) => format.quantity(series, v);
    if (series.kind === "gauge") {
      this.charts.values = charts.lines(this.figure("Value"), width, 160, [{ label: "value", colour: "accent", fill: true }], number);
    } else {
      const what = series.distributed ? "Observations per second" : "Rate per second";
      this.charts.values = charts.lines(this.figure(what), width, 110, [{ label: "rate", colour: "accent", fill: true }], number);
    }
    if (series.distributed) {
      const names = ["p50", "p90", "p99"].map((name) => ({ label: name, colour: name }));
      this.charts.quantiles = charts.lines(this.figure("Quantiles of each interval"), width, 130, names, observation);
      this.charts.heat = charts.heatmap(this.figure("Buckets: the stronger the colour, the more observations"), width, 160, observation);
    }
    this.update();
  }

  figure(title) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    figure.append(caption);
    this.box.append(figure);
    return figure;
  }

  get width() {
    return Math.max(200, Math.floor(this.box.clientWidth));
  }

  resize() {
    for (const chart of Object.values(this.charts)) {
      if (chart.width !== this.width) chart.setSize({ width: this.width, height: chart.height });
    }
  }

  update() {
    const { series, store } = this;
    if (!series) return;
    if (!store.byID.has(series.id)) {
      this.element.querySelector(".tags").textContent = "This series has been forgotten, as it was not used any more.";
      return;
    }
    this.describe();
    this.facts();
    const times = store.timesOf(kept);
    if (times.length < 2) times.splice(0, times.length, ...[times[0] ?? 0, (times[0] ?? 0) + 1]);
    const fit = (column) => (column.length < times.length ? [...column, ...Array(times.length - column.length).fill(null)] : column);
    this.charts.values.setData([times, fit(store.valuesOf(series, kept))]);
    if (!series.distributed) return;
    this.charts.quantiles.setData([times, ...[0, 1, 2].map((which) => fit(store.quantilesOf(series, which, kept)))]);
    const columns = store.heatsOf(series, kept);
    while (columns.length < times.length) columns.push(new Map());
    charts.setHeatmap(this.charts.heat, times, columns);
  }

  describe() {
    const { kind, unit, tags, help } = this.series;
    this.element.querySelector(".help").textContent = help;
    this.element.querySelector(".tags").textContent = kind + (unit ? " in " + unit : "") + (tags ? " · " + tags : "");
  }

  facts() {
    const { series, store } = this;
    const facts = [];
    if (series.kind === "gauge") facts.push(["value", format.value(series.total)]);
    else {
      facts.push(["total", format.exact(series.total)], ["rate", format.short(store.rate(series)) + " /s"]);
    }
    if (series.distributed) {
      const of = (v) => Number(series.total) === 0 ? "–" : format.quantity(series, Number(v));
      const mean = Number(series.sum) / Number(series.total);
      facts.push(["mean", of(mean)], ["min", of(series.min)], ["max", of(series.max)]);
      facts.push(["p50", of(series.p50)], ["p90", of(series.p90)], ["p99", of(series.p99)]);
    }
    if (this.list.children.length !== facts.length) {
      this.list.replaceChildren(...facts.map(() => {
        const group = document.createElement("div");
        group.append(document.createElement("dt"), document.createElement("dd"));
        return group;
      }));
    }
    facts.forEach(([term, text], i) => {
      const [dt, dd] = this.list.children[i].children;
      if (dt.textContent !== term) dt.textContent = term;
      if (dd.textContent !== text) dd.textContent = text;
    });
  }
}
