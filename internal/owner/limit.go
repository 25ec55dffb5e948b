package owner

// limit is what a [Tally] may hold: half of its range. Several writers may check and then increase at the same time.
// They cannot make it wrap unless all of them together add the other half. A section adds a million at most. So 2,048
// sections would have to be between the two steps.
const limit = 1 << 31
