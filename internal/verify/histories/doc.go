// Package histories checks what the library does, through its public API, against models that are too simple to be
// wrong.
//
// # One command after another
//
// TestStateMachine ([pgregory.net/rapid]) gives a buffer random commands and has a slow model do the same: every
// instrument, several sinks that fail, acknowledge a part, drop points or panic, Flush, Stats, Close. What each Write
// is given must be, point by point, what the model has pending for that sink. A sequence that goes wrong is shrunk, and
// printed with the seed and the file from which to run it again (-rapid.seed, -rapid.failfile).
//
// # At once
//
// TestHistories runs random programs on several goroutines, records when each call began and ended, and has porcupine
// look for an order of the calls, one that respects which ended before which began, in which a model of one counter's
// update allows all that was seen:
//
//	record    absent → pending
//	write     pending → acknowledged; an update that is absent or acknowledged already must not be in a batch
//	flush     not while the update is pending, if it returned nil
//	stats     says of the update whether it is absent
//
// That is linearizability of each update by itself: it is delivered once, not before it was recorded, and before a
// Flush that began after it returned. It is all there is to promise. The updates together are not a linearizable
// object: shards are flipped one after the other, so a batch may have an update and lack one that returned before that,
// if they were made on different Ps; even two of one goroutine, which may have moved. Only what is committed together
// (Local) arrives together, and that is checked too.
//
// A history that goes wrong is shrunk (to the update concerned, and calls that do not matter are left out), and written
// to a directory, as JSON to be checked again (METRICSBUFFER_HISTORY=file) and as a page to look at.
package histories
