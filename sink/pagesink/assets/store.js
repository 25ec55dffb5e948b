// The series and their history. The server sends totals and changes; the history is kept here only.

// kept is the number of intervals in the history.
export const kept = 300;

// A Series has its totals, the last change, and rings of its history. The slot of interval i is i % kept.
class Series {
  constructor(id, kind, name, tags) {
    Object.assign(this, { id, kind, name });
    this.tags = tags.map(([key, value]) => key + "=" + value).join(", ");
    this.sortName = (name + "\u0000" + this.tags).toLowerCase();
    this.distributed = kind === "timer" || kind === "histogram";
    this.total = 0; // count, or value of a gauge; a string beyond 2^53, or with decimals
    this.sum = this.min = this.max = 0;
    this.p50 = this.p90 = this.p99 = NaN;
    this.lastRate = 0;
    this.delta = 0; // within the interval this.last
    this.first = this.last = -1; // intervals with a change
    this.values = this.quantiles = this.heats = null; // rings, which grow until they hold all intervals
  }

  // describe takes a unit and a help text, which may replace earlier ones.
  describe(unit, help) {
    Object.assign(this, { unit, help });
    this.search = (this.name + " " + this.tags + " " + unit).toLowerCase();
  }

  // isSameAs compares what does not change. The unit of a counter or gauge is a description.
  isSameAs(other) {
    return this.kind === other.kind && this.sortName === other.sortName && (!this.distributed || this.unit === other.unit);
  }

  // setTotals takes a row of an event. Its layout is in events.go.
  setTotals(row) {
    this.total = row[1];
    if (!this.distributed) return;
    [, , , this.sum, this.min, this.max] = row;
    if (Number(row[2]) !== 0) [this.p50, this.p90, this.p99] = [Number(row[6]), Number(row[7]), Number(row[8])];
  }

  // change takes a row of a batch within the interval, of which so many seconds have passed.
  change(row, interval, seconds) {
    this.setTotals(row);
    if (this.last !== interval) this.begin(interval);
    const slot = interval % kept;
    if (this.kind === "gauge") {
      this.values[slot] = number(this.total);
      return;
    }
    this.delta += Number(row[2]);
    this.setRate(seconds);
    if (!this.distributed || Number(row[2]) === 0) return;
    this.quantiles.set([this.p50, this.p90, this.p99], 3 * slot);
    this.heats[slot] = this.heats[slot] ? this.heats[slot] + "|" + row[9] : row[9];
  }

  setRate(seconds) {
    this.lastRate = this.delta / seconds;
    this.values[this.last % kept] = this.lastRate;
  }

  // begin makes room for the interval, and fills those in which nothing changed.
  begin(interval) {
    if (this.first < 0) {
      this.first = this.last = interval;
      this.values = new Float32Array(0);
      if (this.distributed) [this.quantiles, this.heats] = [new Float32Array(0), []];
    }
    const slots = Math.min(interval + 1, kept);
    this.values = grown(this.values, slots, kept);
    if (this.distributed) this.quantiles = grown(this.quantiles, 3 * slots, 3 * kept);
    const quiet = this.kind === "gauge" ? this.values[this.last % kept] : 0;
    for (let i = Math.max(this.last + 1, interval - kept + 1); i < interval; i++) this.clear(i % kept, quiet);
    this.clear(interval % kept, quiet);
    this.last = interval;
    this.delta = 0;
  }

  clear(slot, quiet) {
    this.values[slot] = quiet;
    if (!this.distributed) return;
    this.quantiles.fill(NaN, 3 * slot, 3 * slot + 3);
    this.heats[slot] = "";
  }
}

// grown returns an array with room for n values, at most so many.
function grown(array, n, most) {
  if (array.length >= n) return array;
  const larger = new Float32Array(Math.min(most, Math.max(n, 2 * array.length, 30)));
  larger.set(array);
  return larger;
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
    this.started = false; // all totals are there
    this.interval = -1; // the last complete one
    this.times = new Float64Array(kept); // seconds since 1970
    this.seconds = this.batches = 0; // in the present interval
    this.changed = []; // in the present interval; a series may be in it twice
  }

  // add takes series that are new or described anew.
  add(list) {
    for (const [id, kind, name, unit, tags, help] of list) {
      let series = this.byID.get(id);
      if (!series) {
        series = new Series(id, kind, name, tags);
        this.byID.set(id, series);
        this.all.push(series);
      }
      series.describe(unit, help);
    }
    this.sorted = false;
  }

  remove(ids) {
    for (const id of ids) this.byID.delete(id);
    this.all = this.all.filter((series) => this.byID.has(series.id));
  }

  // set takes an event of rows. The totals at the begin are no part of the history.
  set(rows, seconds) {
    if (seconds > 0) this.batches++;
    this.seconds += seconds;
    for (const row of rows) {
      const series = this.byID.get(row[0]);
      if (!series) continue;
      if (!this.started) series.setTotals(row);
      else {
        series.change(row, this.interval + 1, this.seconds);
        this.changed.push(series);
      }
    }
  }

  // tick ends the interval. The first one ends the totals.
  tick(milliseconds) {
    if (!this.started) {
      this.started = true;
      return;
    }
    this.interval++;
    this.times[this.interval % kept] = milliseconds / 1000;
    if (this.batches > 1) { // the rates of the first batch were over a shorter time
      for (const series of this.changed) if (series.kind !== "gauge") series.setRate(this.seconds);
    }
    this.changed = [];
    this.seconds = this.batches = 0;
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
