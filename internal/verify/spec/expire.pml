/* Expiry: a slot is given to another series only when nothing of the former one can be, or get, into it, and no
 * update is lost while series come and go. series.go and expiry.go.
 *
 * WRITERS writers make UPDATES updates each, to one of NAMES names. Each time they look the series up, and then look
 * whether it is open inside the section in which they write. If it is not, or there is none, they hold it, as an
 * instrument does, and add to its slot. The flusher expires any series it likes: how long that was idle does not matter here. One
 * sink stands for all.
 *
 * Holds with, and has a counter-example with:
 *   (nothing)       owned shards
 *   SHARED          the twin with registered writers
 *   NO_FENCE        nobody fences
 *   NO_GRACE        a series is gone, and its slot reused, before the flip that follows
 *   EARLY_CHECK     a writer looks whether the series is open before it enters
 *   EARLY_ADOPT     the flusher takes over new series before it flips
 *   EARLY_RELEASE   an instrument releases its series before its last update is made
 *   IGNORE_PENDING  the slot is reused though something is pending for it
 *   IGNORE_BATCH    the slot is reused though the sink is being given something for it
 *   BLIND_GONE      the flusher does not look whether the series is still idle
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifdef SHARED
#define SHARDS 1
#else
#define SHARDS WRITERS
#endif
#ifndef NAMES
#define NAMES 2
#endif
#ifndef UPDATES
#define UPDATES 1
#endif
#ifndef FLIPS
#define FLIPS 3
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef SERIES
#define SERIES 4 /* that there can be in all */
#endif
#define NONE 255

#include "shard.pml"

/* States of a series; more than OPEN: held that often. */
#define GONE 0
#define IDLE 1
#define OPEN 2

byte nameOf[SERIES], slotOf[SERIES], state[SERIES];
byte known[NAMES];      /* the registry: name to series */
byte registered;        /* series so far */
bool fresh[SERIES];     /* not yet taken over by the flusher */
bool vacant[SLOTS];
byte resident[SLOTS];   /* the flusher's: slot to series */
byte pending[SLOTS];
byte batch[SLOTS];      /* being written by the sink */
bool sending, failed, sent;
byte recorded[NAMES], delivered[NAMES];
byte writing = WRITERS;
bool flushed;

/* Puts a new series of that name into the registry, or finds the one that came first. */
inline register(name, found) {
	d_step {
		i = 0;
		do
		:: i < SLOTS && !vacant[i] -> i++
		:: else -> break
		od;
		assert(i < SLOTS && registered < SERIES);
		vacant[i] = false;
		found = registered;
		registered++;
		slotOf[found] = i; nameOf[found] = name; state[found] = OPEN;
		i = 0
	};
	fresh[found] = true;
	d_step {
		if
		:: known[name] == NONE ->
			known[name] = found;
			printf("writer: registers name %d as series %d in slot %d\n", name, found, slotOf[found])
		:: else -> state[found] = GONE; found = known[name]
		fi
	}
}

/* Keeps a series of that name from being expired: one that is not gone, or a new one. */
inline hold(name, found) {
	do
	:: true ->
		found = known[name];
		if
		:: found == NONE -> register(name, found)
		:: else
		fi;
		d_step {
			held = false;
			if
			:: state[found] != GONE -> state[found] = (state[found] < OPEN -> OPEN + 1 : state[found] + 1); held = true
			:: else ->
				if :: known[name] == found -> known[name] = NONE :: else fi
			fi
		};
		if
		:: held -> held = false; break
		:: else
		fi
	od
}

inline release(found) { state[found] = state[found] - 1 }

inline checkOpen(found) {
	if
	:: found != NONE ->
		if
		:: state[found] >= OPEN
		:: else -> found = NONE
		fi
	:: else
	fi
}

proctype Writer(byte shard; byte name) {
	byte bank, value, tries, seen, updates, found;
	bool held;
	do
	:: updates < UPDATES ->
		found = known[name];
#ifdef EARLY_CHECK
		checkOpen(found);
		enter(shard, bank);
#else
		enter(shard, bank);
		checkOpen(found);
#endif
		if
		:: found != NONE ->
			increase(shard, bank, slotOf[found]);
			printf("writer of name %d: adds to slot %d of bank %d\n", name, slotOf[found], bank)
		:: else
		fi;
		leave(shard, bank);
		if
		:: found == NONE ->
			hold(name, found);
#ifdef EARLY_RELEASE
			release(found);
#endif
			enter(shard, bank);
			increase(shard, bank, slotOf[found]);
			printf("writer of name %d: holds, adds to slot %d of bank %d\n", name, slotOf[found], bank);
			leave(shard, bank);
#ifndef EARLY_RELEASE
			release(found);
#endif
		:: else
		fi;
		d_step { recorded[name]++; found = 0; bank = 0; value = 0; updates++ }
	:: else -> break
	od;
	writing--
}

/* Repeats the statements up to DONE for n from 0 to limit - 1. */
#define EACH(n, limit) n = 0; do :: n < limit ->
#define DONE(n) n++ :: else -> n = 0; break od

inline adopt() {
	d_step {
		EACH(n, SERIES)
			if
			:: fresh[n] -> fresh[n] = false; resident[slotOf[n]] = n
			:: else
			fi;
		DONE(n)
	}
}

/* Makes the values of a bank pending. Every slot with something in it must be known. (flip.pml is about the
 * order in which that happens; here it is one step.)
 */
inline drain(shard, bank) {
	d_step {
		EACH(n, SLOTS)
			value = memory[WORD(shard, bank, n)];
			if
			:: value > 0 ->
				printf("flusher: drains %d from slot %d of shard %d\n", value, n, shard);
				assert(resident[n] != NONE);
				pending[n] = pending[n] + value;
				memory[WORD(shard, bank, n)] = 0;
				value = 0
			:: else
			fi;
		DONE(n)
	}
}

inline vacate(slot) { resident[slot] = NONE; vacant[slot] = true }

#ifdef BLIND_GONE
#define STILL_IDLE(series) true
#else
#define STILL_IDLE(series) (state[series] == IDLE)
#endif
#ifdef IGNORE_PENDING
#define IS_PENDING(slot) false
#elif defined(IGNORE_BATCH)
#define IS_PENDING(slot) (pending[slot] > 0)
#else
#define IS_PENDING(slot) (pending[slot] > 0 || batch[slot] > 0)
#endif

inline goIfIdle(series) {
	if
	:: STILL_IDLE(series) && !IS_PENDING(slotOf[series]) ->
		state[series] = GONE;
		if :: known[nameOf[series]] == series -> known[nameOf[series]] = NONE :: else fi;
		vacate(slotOf[series]);
		printf("flusher: series %d is gone, slot %d is vacant\n", series, slotOf[series])
	:: else ->
		if :: state[series] == IDLE -> state[series] = OPEN :: else fi
	fi
}

/* Decides about the series made idle by the collection before, and makes another one idle, or none. */
inline expire() {
	d_step {
		if
		:: suspended != NONE -> goIfIdle(suspended); suspended = NONE
		:: else
		fi
	};
	atomic {
		if
		:: n = 0
		:: n = 1
		:: n = NONE
		fi;
		if
		:: n < SLOTS && resident[n] != NONE -> series = resident[n]; becomeIdle(series)
		:: else
		fi;
		n = 0; series = 0
	}
}

inline becomeIdle(series) {
	if
	:: state[series] == GONE -> vacate(slotOf[series]) /* it lost the race for its name */
	:: known[nameOf[series]] == series && state[series] == OPEN ->
		state[series] = IDLE;
		printf("flusher: series %d is idle\n", series);
#ifdef NO_GRACE
		goIfIdle(series)
#else
		suspended = series
#endif
	:: else
	fi
}

/* Takes the batch back from the sink: points that were not acknowledged are pending again. */
inline takeBack() {
	EACH(n, SLOTS)
		if :: failed -> pending[n] = pending[n] + batch[n] :: else fi;
		batch[n] = 0;
	DONE(n);
	sending = false; sent = false; failed = false
}

inline deliver() {
	EACH(n, SLOTS) batch[n] = pending[n]; pending[n] = 0; DONE(n);
	sending = true
}

/* The sink reads whose values they are while it writes. No name is in a batch twice. */
inline writeBatch() {
	EACH(n, SLOTS)
		if
		:: batch[n] > 0 ->
			assert(resident[n] != NONE);
			printf("sink: is given %d for name %d\n", batch[n], nameOf[resident[n]]);
			delivered[nameOf[resident[n]]] = delivered[nameOf[resident[n]]] + batch[n];
			EACH(other, n) assert(batch[other] == 0 || nameOf[resident[other]] != nameOf[resident[n]]); DONE(other)
		:: else
		fi;
	DONE(n);
	sent = true
}

proctype Flusher() {
	byte drained;
	byte suspended = NONE; /* the series made idle by the last collection */
	byte shard, n, other, value, series, flushes;
	do
	:: flushes < FLIPS ->
#ifdef EARLY_ADOPT
		adopt();
#endif
		EACH(shard, SHARDS) flip(shard, 1 - drained); DONE(shard);
		fence();
		EACH(shard, SHARDS) await(shard, drained); DONE(shard);
#ifndef EARLY_ADOPT
		adopt();
#endif
		EACH(shard, SHARDS) drain(shard, drained); DONE(shard);
		drained = 1 - drained;
		expire();
		atomic {
			if
			:: sent -> takeBack()
			:: true
			fi;
			if
			:: !sending -> deliver()
			:: true
			fi;
#ifdef PROMPT
			if
			:: sending && !sent -> writeBatch()
			:: else
			fi
#endif
		};
		flushes++
	:: else -> break
	od;
	flushed = true
}

/* Writes as late as it likes, or fails. */
proctype Sink() {
	byte n, other;
end:	do
	:: atomic {
		sending && !sent ->
		if
		:: failed = true; sent = true
		:: writeBatch()
		fi
	}
	od
}

inline book(slot, amount) {
	if
	:: amount > 0 ->
		/* Values that were not collected yet may be of a series that was not taken over yet. */
		EACH(series, registered)
			if :: fresh[series] && slotOf[series] == slot -> resident[slot] = series :: else fi;
		DONE(series);
		assert(resident[slot] != NONE);
		delivered[nameOf[resident[slot]]] = delivered[nameOf[resident[slot]]] + amount
	:: else
	fi
}

/* When all is quiet, every name has all that was recorded under it: delivered, pending, or still in the banks. */
proctype Audit() {
	byte shard, bank, n, series;
	timeout;
	assert(writing == 0 && flushed);
	d_step {
		EACH(n, CPUS)
			do :: buffer[n].length > 0 -> settle(n) :: else -> break od;
		DONE(n);
		EACH(n, SLOTS)
			book(n, pending[n]);
			if :: !sent || failed -> book(n, batch[n]) :: else fi;
		DONE(n);
		EACH(n, SLOTS) EACH(shard, SHARDS) EACH(bank, BANKS)
			book(n, memory[WORD(shard, bank, n)]);
		DONE(bank); DONE(shard); DONE(n);
		EACH(n, NAMES) assert(delivered[n] == recorded[n]); DONE(n)
	}
}

init {
	byte n;
	atomic {
		EACH(n, NAMES) known[n] = NONE; DONE(n);
		EACH(n, SLOTS) vacant[n] = true; resident[n] = NONE; DONE(n);
		/* Name 0 is known from the start. */
		nameOf[0] = 0; slotOf[0] = 0; state[0] = OPEN; known[0] = 0; registered = 1; vacant[0] = false; fresh[0] = true;
		EACH(n, WRITERS) run Writer(n % SHARDS, n % NAMES); DONE(n);
		run Flusher();
#ifndef PROMPT
		run Sink();
#endif
#ifndef SHARED
		EACH(n, SHARDS) run Memory(n); DONE(n);
#endif
		run Audit()
	}
}
