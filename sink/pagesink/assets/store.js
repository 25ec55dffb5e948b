// The series and their history. The server sends totals and changes; the history is kept here only.

// kept is the number of intervals in the history.
export const kept = 300;

// A Series has its totals, the last change, and rings of its history. The slot of interval i is i % kept.
class Series {
  constructor(id, kind, name, unit, tags) {
    Object.assign(this, { id, kind, name, unit });
    this.tags = tags.map(([key, value]) => key + "=" + value).join(", ");
    this.sortName = (name + "\u0000" + this.tags).toLowerCase();
    this.search = (name + " " + this.tags + " " + unit).toLowerCase();
    this.distributed = kind === "timer" || kind === "histogram";
    this.total = 0; // count, or value of a gauge; a string beyond 2^53
    this.sum = this.min = this.max = 0;
    this.p50 = this.p90 = this.p99 = NaN;
    this.lastRate = 0;
    this.delta = 0; // within the present interval
    this.heat = "";
    this.last = this.first = -1; // intervals
    this.values = this.quantiles = this.heats = null; // made when first needed
  }

  // set takes a row of an event. Its layout is in events.go.
  set(row) {
    this.total = row[1];
    if (this.kind === "gauge") return;
    this.delta += Number(row[2]);
    if (!this.distributed) return;
    [, , , this.sum, this.min, this.max] = row;
    if (Number(row[2]) === 0) return;
    [this.p50, this.p90, this.p99] = [Number(row[6]), Number(row[7]), Number(row[8])];
    this.heat = this.heat && row[9] ? this.heat + "|" + row[9] : this.heat || row[9];
  }

  // record ends an interval in which the series changed.
  record(interval, seconds) {
    if (!this.values) {
      this.values = new Float32Array(kept);
      this.first = this.last = interval;
      if (this.distributed) {
        this.quantiles = new Float32Array(3 * kept);
        this.heats = new Array(kept).fill("");
      }
    }
    const quiet = this.kind === "gauge" ? this.values[this.last % kept] : 0;
    for (let i = Math.max(this.last + 1, interval - kept + 1); i < interval; i++) this.put(i, quiet, NaN, NaN, NaN, "");
    this.lastRate = this.delta / seconds;
    const v = this.kind === "gauge" ? number(this.total) : this.lastRate;
    if (this.delta !== 0 || !this.distributed) this.put(interval, v, this.p50, this.p90, this.p99, this.heat);
    else this.put(interval, v, NaN, NaN, NaN, "");
    this.last = interval;
    this.delta = 0;
    this.heat = "";
  }

  put(i, v, p50, p90, p99, heat) {
    const slot = i % kept;
    this.values[slot] = v;
    if (!this.distributed) return;
    this.quantiles[3 * slot] = p50;
    this.quantiles[3 * slot + 1] = p90;
    this.quantiles[3 * slot + 2] = p99;
    this.heats[slot] = heat;
  }
}

function number(v) {
  return typeof v === "string" ? Number(v.replace("Inf", "Infinity")) : v;
}

export class Store {
  constructor() {
    this.clear();
  }

  clear() {
    this.byID = new Map();
    this.all = []; // in order of their names, once sorted is true
    this.sorted = true;
    this.interval = -1; // the last complete one
    this.times = new Float64Array(kept); // seconds since 1970
    this.seconds = 0; // of the batches in the present interval
    this.changed = new Set(); // in the present interval
  }

  add(list) {
    for (const [id, kind, name, unit, tags] of list) {
      if (this.byID.has(id)) continue;
      const series = new Series(id, kind, name, unit, tags);
      this.byID.set(id, series);
      this.all.push(series);
    }
    this.sorted = false;
  }

  remove(ids) {
    for (const id of ids) this.byID.delete(id);
    this.all = this.all.filter((series) => this.byID.has(series.id));
  }

  // set takes an event of rows. The totals at the begin are no part of the history.
  set(rows, seconds) {
    const before = this.interval < 0;
    this.seconds += seconds;
    for (const row of rows) {
      const series = this.byID.get(row[0]);
      if (!series) continue;
      series.set(row);
      if (before) {
        series.delta = 0;
        series.heat = "";
      } else this.changed.add(series);
    }
  }

  // tick ends the interval.
  tick(milliseconds) {
    this.interval++;
    const now = milliseconds / 1000;
    const seconds = this.seconds || 1;
    this.times[this.interval % kept] = now;
    for (const series of this.changed) series.record(this.interval, seconds);
    this.changed.clear();
    this.seconds = 0;
  }

  // rate is that of the last interval.
  rate(series) {
    return series.last === this.interval && series.last >= 0 ? series.lastRate : 0;
  }

  // history returns columns of the last n intervals, for uPlot: null where there is nothing.
  history(series, n, column) {
    const out = [];
    for (let i = Math.max(0, this.interval - n + 1); i <= this.interval; i++) out.push(column(i, i % kept));
    return out;
  }

  timesOf(n) {
    return this.history(null, n, (_, slot) => this.times[slot]);
  }

  valuesOf(series, n) {
    const gauge = series.kind === "gauge";
    return this.history(series, n, (i, slot) => {
      if (!series.values) return gauge ? finite(number(series.total)) : 0;
      if (i < series.first) return gauge ? null : 0;
      if (i > series.last) return gauge ? finite(number(series.total)) : 0;
      return i > series.last - kept ? finite(series.values[slot]) : null;
    });
  }

  quantilesOf(series, which, n) {
    return this.history(series, n, (i, slot) => this.holds(series, i) ? finite(series.quantiles[3 * slot + which]) : null);
  }

  // heatsOf returns a Map from cell to count for each interval. The cell of zeros is -Infinity.
  heatsOf(series, n) {
    return this.history(series, n, (i, slot) => this.holds(series, i) ? cells(series.heats[slot]) : new Map());
  }

  holds(series, i) {
    return series.quantiles !== null && i >= series.first && i <= series.last && i > series.last - kept;
  }
}

function finite(v) {
  return Number.isFinite(v) ? v : null;
}

// cells reads the text of event.heat. Several batches of one interval stand with | between them.
function cells(text) {
  const out = new Map();
  if (!text) return out;
  const add = (cell, n) => n && out.set(cell, (out.get(cell) || 0) + n);
  for (const batch of text.split("|")) {
    const [zeros, list] = batch.includes(";") ? batch.split(";") : ["0", batch];
    add(-Infinity, Number(zeros));
    if (!list) continue;
    const [first, counts] = list.split(":");
    counts.split(",").forEach((n, i) => add(Number(first) + i, Number(n)));
  }
  return out;
}
