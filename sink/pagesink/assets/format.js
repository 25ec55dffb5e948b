// Numbers and units as people read them.

// exact writes a number with its thousands separated. It may be a string: an integer beyond 2^53, or a decimal number.
export function exact(n) {
  const [whole, decimals] = String(n).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (decimals ? "." + decimals : "");
}

// short writes a number with three significant digits, and with a prefix from a million on.
export function short(v) {
  if (typeof v === "string") v = Number(v.replace("Inf", "Infinity"));
  if (Number.isNaN(v)) return "NaN";
  const size = Math.abs(v);
  if (size === Infinity) return v > 0 ? "+∞" : "−∞";
  if (size === 0) return "0";
  for (const [limit, prefix] of [[1e15, ""], [1e12, "T"], [1e9, "G"], [1e6, "M"]]) {
    if (size < limit) continue;
    return prefix === "" ? v.toExponential(2) : digits(v / limit) + prefix;
  }
  return size < 1e-4 ? v.toExponential(2) : exactDecimal(digits(v));
}

function digits(v) {
  const size = Math.abs(v);
  if (size >= 100) return String(Math.round(v));
  return String(Number(v.toPrecision(3)));
}

function exactDecimal(text) {
  return text.includes(".") ? text : exact(text);
}

// duration writes nanoseconds.
export function duration(ns) {
  const size = Math.abs(ns);
  if (size === 0) return "0";
  for (const [limit, unit] of [[3.6e12, "h"], [6e10, "min"], [1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
    if (size >= limit) return digits(ns / limit) + " " + unit;
  }
  return digits(ns) + " ns";
}

// quantity writes an observation of the series.
export function quantity(series, v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (series.kind === "timer") return duration(Number(v));
  const unit = series.unit;
  if (unit === "bytes" || unit === "By") return amountOfBytes(Number(v));
  return unit ? short(v) + " " + unit : short(v);
}

function amountOfBytes(n) {
  for (const [limit, unit] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (Math.abs(n) >= limit) return digits(n / limit) + " " + unit;
  }
  return digits(n) + " B";
}

// bytes writes an amount of memory.
export function bytes(n) {
  for (const [limit, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (n >= limit) return digits(n / limit) + " " + unit;
  }
  return n + " bytes";
}

// value writes a gauge, exact if it is an integer.
export function value(v) {
  if (typeof v === "number" && Number.isSafeInteger(v)) return exact(Object.is(v, -0) ? "-0" : v);
  if (typeof v === "number" && Math.abs(v) >= 1e-4 && Math.abs(v) < 1e6) return String(Number(v.toPrecision(7)));
  return short(v);
}
