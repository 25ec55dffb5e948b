package owner

// limit is what a [Tally] may hold: half of its range, so that writers who check and then increase at the same time
// (in the shared twin) cannot make it wrap.
const limit = 1 << 31
