// Charts by uPlot. Colours come from page.css.

/* global uPlot */

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

const hiddenAxes = [{ show: false }, { show: false }];

// sparkline makes a line without axes.
export function sparkline(parent, width, height, name = "accent") {
  return new uPlot({
    width, height, pxAlign: false, legend: { show: false }, cursor: { show: false }, axes: hiddenAxes,
    padding: [2, 0, 2, 0],
    scales: { x: { time: false }, y: { range: (_, low, high) => around(low, high) } },
    series: [{}, { stroke: colour(name), fill: colour(name + "-soft"), width: 1.25, points: { show: false } }],
  }, [[0], [null]], parent);
}

// around gives a line that does not change room below and above it.
function around(low, high) {
  if (low === null || low === undefined) return [0, 1];
  if (low >= 0) return [0, high > 0 ? high : 1];
  return low === high ? [low - 1, high + 1] : [low, high];
}

export function setSparkline(chart, values) {
  const xs = values.map((_, i) => i);
  chart.setData(values.length > 1 ? [xs, values] : [[0, 1], [values[0] ?? null, values[0] ?? null]]);
}

function axis(format, grid = true, size = 64) {
  const common = { stroke: colour("dim"), grid: { show: grid, stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return [
    { ...common, space: 70, values: (_, times) => times.map(clock), size: 28 },
    { ...common, values: (_, splits) => splits.map((v) => (v === null ? "" : format(v))), size },
  ];
}

export function clock(seconds) {
  const time = new Date(seconds * 1000);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

// lines makes a chart with a line for each of names, which are the names of colours, too.
export function lines(parent, width, height, names, format) {
  const labels = names.map((name) => ({
    label: name.label, stroke: colour(name.colour), fill: name.fill ? colour(name.colour + "-soft") : undefined,
    width: 1.5, points: { show: false }, value: (_, v) => (v === null || v === undefined ? "–" : format(v)), spanGaps: false,
  }));
  return new uPlot({
    width, height, axes: axis(format), padding: [6, 16, 0, 0], cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => around(low, high && high * 1.05) } },
    series: [{ label: "time", value: (_, t) => (t ? clock(t) : "–") }, ...labels],
  }, [[], ...names.map(() => [])], parent);
}

// heatmap makes a chart of cells over time on a logarithmic axis. Its data are set by setHeatmap.
export function heatmap(parent, width, height, format) {
  const chart = new uPlot({
    width, height, axes: axis(format, false), padding: [6, 16, 0, 0], legend: { show: false }, cursor: { show: false },
    scales: { y: { range: () => [chart?.low ?? 0, chart?.high ?? 4] } },
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: { drawClear: [(u) => drawCells(u)] },
  }, [[], []], parent);
  // The axis counts cells, four for each power of two: so it is logarithmic, and zeros have a place below.
  chart.axes[1].splits = (u) => splits(u.low ?? 0, u.high ?? 4);
  chart.axes[1].values = (u, all) => all.map((cell) => (cell < u.firstCell ? "0" : format(2 ** (cell / 4))));
  return chart;
}

function splits(low, high) {
  const out = [], step = 4 * Math.max(1, Math.ceil((high - low) / 24));
  for (let cell = Math.ceil(low / step) * step; cell <= high; cell += step) out.push(cell);
  return out;
}

export function setHeatmap(chart, times, columns) {
  let first = Infinity, last = -Infinity, most = 0, zeros = false;
  for (const column of columns) {
    for (const [cell, n] of column) {
      most = Math.max(most, n);
      if (cell === -Infinity) zeros = true;
      else [first, last] = [Math.min(first, cell), Math.max(last, cell)];
    }
  }
  if (first > last) [first, last] = [0, 3];
  const room = Math.max(0, 8 - (last - first + 1));
  chart.firstCell = first - Math.floor(room / 2);
  chart.low = chart.firstCell - (zeros ? 2 : 0);
  chart.high = last + 1 + Math.ceil(room / 2);
  Object.assign(chart, { columns, most });
  chart.setData([times, times.map(() => null)]);
}

function drawCells(u) {
  if (!u.columns || !u.most) return;
  const { ctx } = u, times = u.data[0];
  const hue = colour("heat");
  ctx.save();
  ctx.fillStyle = hue;
  // A column reaches from the middle between two times to the next one.
  const left = u.bbox.left, right = left + u.bbox.width;
  const edge = (i) => {
    if (i <= 0 || i >= times.length) return i <= 0 ? left : right;
    return Math.round(u.valToPos((times[i - 1] + times[i]) / 2, "x", true));
  };
  u.columns.forEach((column, i) => {
    const x = edge(i), wide = Math.max(1, edge(i + 1) - x);
    for (const [cell, n] of column) {
      const at = cell === -Infinity ? u.low : cell;
      const top = Math.round(u.valToPos(at + 1, "y", true)), bottom = Math.round(u.valToPos(at, "y", true));
      ctx.globalAlpha = 0.12 + 0.88 * Math.sqrt(n / u.most);
      ctx.fillRect(x, top, wide, Math.max(1, bottom - top));
    }
  });
  ctx.restore();
}
