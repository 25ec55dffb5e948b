/* Delivery: every collected update is acknowledged by every sink, pending, or dropped; never in two of these states.
 * Every Flush returns, its promise is true, and Close ends the flusher. flush.go, deliver.go, and Flush and Close of
 * buffer.go.
 *
 * The flusher is one process that owns everything. Callers of Flush (FLUSHES of them) and one of Close hand it calls,
 * and each of the SINKS has a process that writes its batches. A batch has two points. A sink acknowledges all, drops
 * the first point and acknowledges the second, fails, fails after having acknowledged the first point, or never
 * returns. Contexts end, timeouts pass and intervals come at any time, or never.
 *
 * Holds with, and has a counter-example with:
 *   (nothing)     as it is meant
 *   WHOLE         sinks take all of a batch or nothing of it: fewer states, so that there can be more processes
 *   CLEARED       pending updates are cleared before the sink acknowledges them
 *   ONE_PENDING   collecting adds to the batch that is being written
 *   ALL_BACK      a failure makes acknowledged updates pending again
 *   EARLY_REPLY   a Flush that came during a Write is answered when that Write returns
 *   IMPATIENT     Close gives up handing its call to the flusher when its time is over
 *   HASTY_END     the flusher ends while a sink is being written to
 */
#ifndef SINKS
#define SINKS 1
#endif
#ifndef FLUSHES
#define FLUSHES 1
#endif
#ifndef ASKED
#define ASKED SINKS /* 1: the flush of an attached sink, the first */
#endif
#ifndef UPDATES
#define UPDATES 2
#endif
#ifndef TICKS
#define TICKS 1
#endif
#define CALLERS (FLUSHES + 1)
#define CLOSER FLUSHES /* the last caller */
#define FOR(caller) (caller == CLOSER -> SINKS : ASKED) /* so many sinks are flushed */
#define POINTS 2
#define AT(sink, point) ((sink) * POINTS + (point))
#define ALL (SINKS * POINTS)

byte banks[POINTS];    /* recorded, not collected; how that works is in flip.pml */
byte recorded[POINTS]; /* in all */
byte collected[POINTS];
byte pending[ALL], batch[ALL];
byte accepted[ALL];    /* by the sink's own account */
byte acknowledged[ALL], dropped[ALL]; /* by the buffer's account */
bool writing[SINKS], overdue[SINKS], hung[SINKS];
byte replies[SINKS];   /* callers who wait for the batch that is being written, a bit for each */
byte waiting[SINKS];   /* callers who wait for the next one */
bool closing, stopped, done;
byte running = CALLERS;

mtype = { FLUSHED, CLOSED, ALL_OF_IT, SECOND_ONLY, FIRST_ONLY, NOTHING };
chan calls = [0] of { byte };
chan called[CALLERS] = [0] of { mtype };
chan reply[CALLERS] = [SINKS] of { byte, bool };
chan begin[SINKS] = [1] of { bool };
chan returned = [0] of { byte, mtype };

#define EACH(n, limit) n = 0; do :: n < limit ->
#define DONE(n) n++ :: else -> n = 0; break od

proctype Recorder() {
	byte updates;
	do
	:: updates < UPDATES ->
		atomic {
			if
			:: banks[0]++; recorded[0]++
#ifndef WHOLE
			:: banks[1]++; recorded[1]++
#endif
			fi;
			updates++
		}
	:: else -> break
	od
}

/* Tells callers about a sink. There is room: everybody hears once of every sink. */
inline answer(sink, callers, ok) {
	EACH(n, CALLERS)
		if
		:: (callers >> n) & 1 -> assert(nfull(reply[n])); reply[n]!sink,ok
		:: else
		fi;
	DONE(n);
	callers = 0
}

inline collect() {
	d_step {
		EACH(p, POINTS)
			EACH(n, SINKS)
#ifdef ONE_PENDING
				if
				:: writing[n] -> batch[AT(n, p)] = batch[AT(n, p)] + banks[p]
				:: else -> pending[AT(n, p)] = pending[AT(n, p)] + banks[p]
				fi;
#else
				pending[AT(n, p)] = pending[AT(n, p)] + banks[p];
#endif
			DONE(n);
			collected[p] = collected[p] + banks[p];
			banks[p] = 0;
		DONE(p)
	}
}

/* Begins a delivery of all that is pending, unless one is being written. */
inline deliver(sink) {
	if
	:: writing[sink]
	:: !writing[sink] && pending[AT(sink, 0)] + pending[AT(sink, 1)] == 0 -> answer(sink, waiting[sink], true)
	:: else ->
		EACH(p, POINTS) batch[AT(sink, p)] = pending[AT(sink, p)]; pending[AT(sink, p)] = 0; DONE(p);
		replies[sink] = waiting[sink]; waiting[sink] = 0;
		writing[sink] = true;
		printf("flusher: gives sink %d a batch of %d and %d\n", sink, batch[AT(sink, 0)], batch[AT(sink, 1)]);
		begin[sink]!true
	fi
}

inline request(sink, caller) {
	if
	:: writing[sink] && overdue[sink] -> reply[caller]!sink,false
	:: else ->
#ifdef EARLY_REPLY
		if
		:: writing[sink] -> replies[sink] = replies[sink] | (1 << caller)
		:: else -> waiting[sink] = waiting[sink] | (1 << caller); deliver(sink)
		fi
#else
		waiting[sink] = waiting[sink] | (1 << caller);
		deliver(sink)
#endif
	fi
}

/* Books a point that comes back from a sink. */
#define BOOK(account, sink, point) \
	account[AT(sink, point)] = account[AT(sink, point)] + batch[AT(sink, point)]; batch[AT(sink, point)] = 0
#ifdef CLEARED
#define BACK(sink, point) batch[AT(sink, point)] = 0
#else
#define BACK(sink, point) BOOK(pending, sink, point)
#endif

inline settle(sink, outcome) {
	if
	:: outcome == ALL_OF_IT -> BOOK(acknowledged, sink, 0); BOOK(acknowledged, sink, 1)
	:: outcome == SECOND_ONLY -> BOOK(dropped, sink, 0); BOOK(acknowledged, sink, 1)
#ifndef ALL_BACK
	:: outcome == FIRST_ONLY -> BOOK(acknowledged, sink, 0); BACK(sink, 1)
	:: outcome == NOTHING -> BACK(sink, 0); BACK(sink, 1)
#else
	:: else -> BACK(sink, 0); BACK(sink, 1)
#endif
	fi;
	writing[sink] = false; overdue[sink] = false;
	answer(sink, replies[sink], (outcome == ALL_OF_IT || outcome == SECOND_ONLY));
	if
	:: waiting[sink] == 0
	:: waiting[sink] != 0 && stopped -> answer(sink, waiting[sink], false)
	:: else -> deliver(sink)
	fi
}

/* Nobody waits for that Write any more. */
inline giveUp(sink) { overdue[sink] = true; answer(sink, replies[sink], false); answer(sink, waiting[sink], false) }

#define IDLE (!writing[0] && !writing[SINKS - 1])

proctype Flusher() {
	byte n, p, sink, caller, ticks;
	mtype outcome;
end:	do
	:: atomic { calls?caller ->
		if
		:: closing -> called[caller]!CLOSED
		:: else ->
			collect();
			EACH(sink, FOR(caller)) request(sink, caller); DONE(sink);
			closing = (caller == CLOSER);
			called[caller]!FLUSHED
		fi;
		caller = 0
	}
	:: atomic { returned?sink,outcome -> settle(sink, outcome); sink = 0; outcome = 0 }
	:: atomic { ticks < TICKS && !closing ->
		ticks++;
		collect();
		EACH(sink, SINKS) deliver(sink); DONE(sink)
	}
	:: atomic { writing[0] && !overdue[0] -> giveUp(0) }
#if SINKS > 1
	:: atomic { writing[1] && !overdue[1] -> giveUp(1) }
#endif
#ifdef HASTY_END
	:: atomic { closing -> break }
#else
	:: atomic { closing && IDLE -> break }
#endif
	od;
	done = true
}

/* A sink, with the goroutine that writes to it: it takes the points of its batch one after the other. */
proctype Sink(byte sink) {
	byte first, second;
	mtype outcome;
end:	do
	:: begin[sink]?true ->
		atomic {
			first = batch[AT(sink, 0)]; second = batch[AT(sink, 1)];
			if
			:: outcome = ALL_OF_IT
			:: outcome = NOTHING
#ifndef WHOLE
			:: outcome = FIRST_ONLY
			:: outcome = SECOND_ONLY
#endif
			:: hung[sink] = true; printf("sink %d: hangs\n", sink); goto end_hung
			fi
		};
		atomic {
			if
			:: outcome == ALL_OF_IT || outcome == FIRST_ONLY -> accepted[AT(sink, 0)] = accepted[AT(sink, 0)] + first
			:: else
			fi;
			if
			:: outcome == ALL_OF_IT || outcome == SECOND_ONLY -> accepted[AT(sink, 1)] = accepted[AT(sink, 1)] + second
			:: else
			fi;
			first = 0; second = 0;
			printf("sink %d: returns, having accepted %e\n", sink, outcome)
		};
		returned!sink,outcome;
		outcome = 0
	od;
end_hung:
	false
}

/* A call of Flush, or of Close. Its context may end at any time, if patient is false. */
proctype Caller(byte caller; bool patient) {
	byte before[POINTS], answers, n, sink; /* set to 0 once they are not needed any more: fewer states */
	mtype how;
	bool ok, allOk = true;
	d_step { EACH(n, POINTS) before[n] = recorded[n]; DONE(n) };
	if
	:: calls!caller -> called[caller]?how
#ifndef IMPATIENT
	/* Close does not give up here: the flusher waits for no sink, and if it did not get the call it would never end. */
	:: !patient && caller != CLOSER -> how = CLOSED
#else
	:: !patient -> how = CLOSED
#endif
	:: done -> how = CLOSED
	fi;
	allOk = (how == FLUSHED);
	do
	:: atomic { how == FLUSHED && answers < FOR(caller) && nempty(reply[caller]) -> reply[caller]?sink,ok;
		answers++; allOk = allOk && ok; ok = false
	}
	:: how == FLUSHED && answers < FOR(caller) && !patient -> allOk = false; break
	:: how == CLOSED || answers == FOR(caller) -> break
	od;
	answers = 0;
	/* A Flush that returns nil has delivered all that was recorded before it, to every sink that it is for. */
	d_step {
		if
		:: allOk ->
			EACH(n, POINTS) EACH(sink, FOR(caller))
				assert(accepted[AT(sink, n)] + dropped[AT(sink, n)] >= before[n]);
			DONE(sink); DONE(n);
			printf("caller %d: all is delivered\n", caller)
		:: else -> printf("caller %d: returns an error\n", caller)
		fi;
		sink = 0
	};
	if
	:: caller == CLOSER && allOk -> done
	:: caller == CLOSER && !allOk -> stopped = true
	:: else
	fi;
	d_step { how = 0; allOk = false; EACH(n, POINTS) before[n] = 0; DONE(n); running-- }
}

/* When all is quiet everybody has returned, the flusher has ended unless a sink hangs, and the accounts add up. */
proctype Audit() {
	byte n, p;
	timeout;
	d_step {
		assert(running == 0);
		assert(done || hung[0] || hung[SINKS - 1]);
		EACH(p, POINTS)
			assert(recorded[p] == collected[p] + banks[p]);
			EACH(n, SINKS)
				assert(collected[p] == acknowledged[AT(n, p)] + dropped[AT(n, p)] + pending[AT(n, p)] + batch[AT(n, p)]);
				assert(hung[n] || batch[AT(n, p)] == 0);
				assert(accepted[AT(n, p)] == acknowledged[AT(n, p)]); /* the sink agrees */
			DONE(n);
		DONE(p)
	}
}

init {
	byte n;
	atomic {
		run Recorder();
		run Flusher();
		EACH(n, SINKS) run Sink(n); DONE(n);
		EACH(n, CALLERS)
			if
			:: run Caller(n, true)
			:: run Caller(n, false)
			fi;
		DONE(n);
		run Audit()
	}
}
