// Package histories compares the behaviour of the library, through its public API, with models that are too simple to
// be wrong.
//
// # One command after another
//
// TestStateMachine ([pgregory.net/rapid]) gives a buffer random commands and has a slow model do the same: every
// instrument, several sinks that fail, acknowledge a part, drop points or panic, Flush, Stats, Close. Each batch must
// equal, point by point, the updates that the model has pending for that sink. A sequence that fails is shrunk. It is
// printed with the seed and the file that run it again (-rapid.seed, -rapid.failfile).
//
// # At once
//
// TestHistories runs random programs on several goroutines and records when each call began and ended. Then porcupine
// looks for an order of all calls. A call that ended before another one began must come before it. In this order, a
// model of one counter's update must allow the result of every call:
//
//	record    absent → pending
//	write     pending → acknowledged; an update that is absent or acknowledged already must not be in a batch
//	flush     if it returned nil, the update is not pending
//	stats     the result says whether the update is absent
//
// So each update by itself is linearizable. It is delivered once, and not before it was recorded. It is delivered
// before the end of every successful Flush that began after the update had returned. The library promises no more than
// that. All updates together are not a linearizable object, because shards are flipped one after the other. A batch may
// have an update and lack an earlier one that was made on another P. Even updates of one goroutine may be made on
// different Ps, because goroutines move. Only updates that are committed together (Local) arrive together. That is
// checked, too.
//
// A history that fails is shrunk: other updates, and calls that do not matter, are left out. It is written to a
// directory, as JSON that can be checked again (METRICSBUFFER_HISTORY=file) and as a page for a browser.
package histories
