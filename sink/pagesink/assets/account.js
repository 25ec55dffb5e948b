// The account of the buffer: recorded = acknowledged + pending + dropped, for each sink.
import * as format from "./format.js";

export class Account {
  constructor() {
    this.summary = document.getElementById("summary");
    this.figures = document.getElementById("figures");
    this.sinks = document.getElementById("sinks");
    this.overflows = document.getElementById("overflows");
    this.details = document.getElementById("account");
    this.details.addEventListener("toggle", () => this.draw());
    this.tick = null;
    this.durations = new Map(); // of the last Write, by sink
  }

  set(tick) {
    this.tick = tick;
    this.draw();
  }

  draw() {
    const { tick } = this;
    if (!tick) return;
    const { buffer } = tick;
    if (!buffer) {
      this.summary.textContent = "The account is not shown: the program has not called Watch with the buffer.";
      this.figures.replaceChildren();
      this.sinks.replaceChildren();
      this.overflows.replaceChildren();
      return;
    }
    this.drawSummary(buffer);
    if (!this.details.open) return;
    this.figures.replaceChildren(
      figure("recorded", amount(buffer.recorded)),
      figure("series", format.exact(buffer.series)),
      figure("memory", format.bytes(Number(buffer.bytes))),
      figure("this page waited", format.duration(tick.flush * 1e9)),
      figure("negative observations", format.exact(buffer.negatives)),
      figure("overflowed", amount(buffer.overflowed)),
      figure("shards", format.exact(buffer.shards)),
      figure("flips", format.exact(buffer.flips)),
      figure("ordered by", buffer.fence),
    );
    this.drawSinks(buffer);
    this.drawOverflows(buffer);
  }

  drawSummary(buffer) {
    const parts = [amount(buffer.recorded) + " recorded"];
    const failing = buffer.sinks.filter((sink) => sink.lastError).length;
    const dropped = buffer.sinks.reduce((n, sink) => n + count(sink.dropped), 0);
    parts.push(buffer.sinks.length === 1 ? "1 sink" : buffer.sinks.length + " sinks");
    if (dropped) parts.push(format.short(dropped) + " dropped");
    if (failing) parts.push(failing === 1 ? "1 sink has failed" : failing + " sinks have failed");
    if (count(buffer.overflowed)) parts.push(format.short(count(buffer.overflowed)) + " overflowed");
    this.summary.textContent = parts.join(" · ");
    this.details.classList.toggle("bad", dropped > 0 || failing > 0 || count(buffer.overflowed) > 0);
  }

  drawSinks(buffer) {
    const head = row("th", ["Sink", "Acknowledged", "Pending", "Dropped", "Batches", "Failed", "Last write", "Balance"]);
    const rows = buffer.sinks.map((sink) => {
      const tr = row("td", [
        sink.name, amount(sink.acknowledged), amount(sink.pending), amount(sink.dropped),
        format.exact(sink.batches), format.exact(sink.failures), format.duration(sink.lastSeconds * 1e9),
        balanced(buffer.recorded, sink) ? "✓ all accounted for" : "✗ does not add up",
      ]);
      const notes = Object.entries(sink.drops).map(([reason, n]) => format.exact(n) + " points dropped: " + reason);
      if (sink.lastError) notes.push("last error: " + sink.lastError);
      if (notes.length === 0) return [tr];
      const note = row("td", [notes.join(" · ")]);
      note.className = "note";
      note.firstChild.colSpan = 8;
      return [tr, note];
    });
    this.sinks.replaceChildren(head, ...rows.flat());
  }

  drawOverflows(buffer) {
    if (buffer.overflows.length === 0) {
      this.overflows.replaceChildren();
      return;
    }
    const title = document.createElement("p");
    title.textContent = "Names with more series than the limit allows. Their further updates are in one series, with overflow=true:";
    const list = document.createElement("ul");
    for (const { name, kind, count: n } of buffer.overflows) {
      const item = document.createElement("li");
      item.textContent = name + " (" + kind + "): " + format.exact(n);
      list.append(item);
    }
    this.overflows.replaceChildren(title, list);
  }
}

function count({ increments, observations }) {
  return Math.abs(Number(increments)) + Math.abs(Number(observations));
}

function amount({ increments, observations }) {
  const parts = [];
  if (increments || !observations) parts.push(format.exact(increments) + " counted");
  if (observations) parts.push(format.exact(observations) + " observed");
  return parts.join(" + ");
}

// balanced adds as int64 do.
function balanced(recorded, sink) {
  return ["increments", "observations"].every((key) => {
    const sum = BigInt(sink.acknowledged[key]) + BigInt(sink.pending[key]) + BigInt(sink.dropped[key]);
    return BigInt.asIntN(64, sum) === BigInt(recorded[key]);
  });
}

function figure(term, text) {
  const group = document.createElement("div");
  const name = document.createElement("span"), value = document.createElement("b");
  name.textContent = term;
  value.textContent = text;
  group.append(name, value);
  return group;
}

function row(cell, texts) {
  const tr = document.createElement("tr");
  for (const text of texts) {
    const td = document.createElement(cell);
    td.textContent = text;
    tr.append(td);
  }
  return tr;
}
