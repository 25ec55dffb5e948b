/* Own and common chunks: a commit is neither lost, doubled nor torn while chunks become a P's own and are taken away,
 * shards are made, and long commits pass the common gate. shard.go, and flush.go up to drainShard.
 *
 * There are two chunk numbers, A and B, and each chunk has one word in each bank. A commit adds one to A and one to
 * B: they have to arrive in the same collection. A shard has one seat, for which A and B compete. A writer uses the
 * chunk in its seat if it has the right number, and the common chunk otherwise, which it makes if it is missing. It
 * tries to promote A or B whenever it likes, PROMOTIONS times in all. The flusher drops any chunk whose drained bank
 * is empty, or keeps it: DROPS times in all. Whether a vote is won, and how long a chunk was idle, does not matter
 * here.
 *
 * Holds with, and has a counter-example with:
 *   (nothing)        owned shards
 *   STOPS_THE_WORLD  the flusher stops the world instead of calling the fence
 *   SHARED           the twin whose gates count writers
 *   MAKES            the last shard does not exist at the beginning
 *   LONG             one more writer makes a long commit: it passes the common gate, and is not pinned
 *   NO_FENCE         nobody fences
 *   NO_AWAIT         the gates of shards are not looked at
 *   NO_COMMON_AWAIT  the common gate is not looked at
 *   LATE_AWAIT       the common gate is awaited after the shards are flipped
 *   ONE_LOOK         the flusher does not look again for shards that began with the old bank
 *   LATE_FLIP        the common gate is flipped and awaited after the fence
 *   WRONG_BANK       a new shard begins with bank 0
 *   COMMON_BANK      common chunks have an active bank of their own
 *   REPLACE          a promoted chunk takes a seat that is in use
 *   FORGET           a dropped chunk is not drained once more
 *   ANY_NUMBER       a writer does not compare the number of the chunk in the seat
 *   STORED_CHUNK     a common chunk is stored where another writer may have put one (with WRITERS 2)
 */
#ifndef WRITERS
#define WRITERS 1
#endif
#ifdef SHARED
#define SHARDS 1
#else
#define SHARDS WRITERS
#endif
#ifndef COMMITS
#define COMMITS 2
#endif
#ifndef FLIPS
#define FLIPS 2
#endif
#ifndef PROMOTIONS
#define PROMOTIONS 1
#endif
#ifndef DROPS
#define DROPS 1
#endif
#ifndef SPARES
#define SPARES 0 /* chunks that mutants make in addition */
#endif

#define A 0
#define B 1
#define NONE 255
#define POOL (2 + PROMOTIONS + DROPS + SPARES) /* chunks that can be made */

#define COMMON SHARDS /* the common gate */
#define GATES (SHARDS + 1)
#define CPUS (SHARDS + 1)
#define GATE(shard) (shard)
#define WORD(chunk, bank) (SHARDS + (chunk) * BANKS + (bank))
#define WORDS (SHARDS + POOL * BANKS)

#include "gate.pml"

bool exists[SHARDS];   /* in the table */
byte seat[SHARDS];     /* the shard's own chunk, or NONE */
byte common[2];        /* the common chunk of each number, or NONE */
byte number[POOL];
byte made;             /* chunks so far */
bool dropped[POOL];    /* to be drained once more */
byte promotions, drops;
byte recorded;         /* commits that are done */
byte collected;
byte running = WRITERS;
bool flushed;

/* In one step, as nobody knows of the new chunk before. */
inline newChunk(n, c) { assert(made < POOL); c = made; number[c] = n; made++ }

inline makeCommon(n) {
	d_step {
		if
#ifndef STORED_CHUNK
		:: common[n] == NONE ->
#else
		:: true ->
#endif
			newChunk(n, common[n]);
			printf("writer: makes common chunk %d, of number %d\n", common[n], n)
		:: else
		fi
	}
}

/* Makes the P's shard with the active bank of the common gate. */
inline makeShard(shard) {
	enterShared(COMMON, bank);
	atomic {
		if
		:: !exists[shard] ->
#ifdef WRONG_BANK
			current[shard] = 0;
#else
			current[shard] = bank;
#endif
			exists[shard] = true;
			printf("writer %d: makes its shard with bank %d\n", shard, current[shard])
		:: else
		fi
	};
	leaveShared(COMMON, bank)
}

/* The chunk with that number which a writer uses, and whether it is its own. */
inline find(shard, n, chunk, own) {
#ifdef ANY_NUMBER
#define IS_RIGHT(chunk, n) (chunk != NONE)
#else
#define IS_RIGHT(chunk, n) (chunk != NONE && number[chunk] == n)
#endif
	d_step {
		chunk = seat[shard];
		if
		:: IS_RIGHT(chunk, n) -> own = true
		:: else -> own = false
		fi
	};
	if
	:: own
	:: else -> chunk = common[n]
	fi
}

/* An addition to a common chunk is a locked instruction. */
inline addCommon(cpu, chunk, bank) {
	barrier(cpu);
	memory[WORD(chunk, bank)]++
}

inline change(shard, chunk, own, bank) {
	if
	:: own ->
		add(shard, WORD(chunk, bank));
		printf("writer %d: adds to its own chunk %d, bank %d\n", shard, chunk, bank)
	:: else ->
#ifdef COMMON_BANK
		value = current[COMMON];
		addCommon(shard, chunk, value);
		value = 0;
#else
		addCommon(shard, chunk, bank);
#endif
		printf("writer %d: adds to common chunk %d\n", shard, chunk)
	fi
}

/* Gives a chunk of that number the shard's seat, if that is free. The compare-and-swap is a locked instruction. */
inline promote(shard, n) {
	enter(shard, bank);
	barrier(shard);
	d_step {
		if
#ifndef REPLACE
		:: seat[shard] == NONE ->
#else
		:: true ->
#endif
			newChunk(n, seat[shard]);
			printf("writer %d: makes chunk %d, of number %d, its own\n", shard, seat[shard], n)
		:: else
		fi
	};
	leave(shard, bank)
}

proctype Writer(byte shard) {
	byte bank, value, tries, seen, commits, a, b;
	bool ownA, ownB;
	do
	:: commits < COMMITS ->
		if
		:: !exists[shard] -> makeShard(shard)
		:: else
		fi;
		if
		:: d_step { promotions < PROMOTIONS -> promotions++ };
			if
			:: promote(shard, A)
			:: promote(shard, B)
			fi
		:: true
		fi;
		enter(shard, bank);
		find(shard, A, a, ownA);
		find(shard, B, b, ownB);
		if
		:: a != NONE && b != NONE ->
			change(shard, a, ownA, bank);
			change(shard, b, ownB, bank);
			leave(shard, bank);
			d_step { commits++; recorded++ }
		:: else ->
			leave(shard, bank);
			if :: a == NONE -> makeCommon(A) :: else fi;
			if :: b == NONE -> makeCommon(B) :: else fi
		fi;
		d_step { a = 0; b = 0; ownA = false; ownB = false }
	:: else -> break
	od;
	running--
}

#ifdef LONG
/* All that it does is atomic, so it needs no processor with a buffer. */
proctype LongWriter() {
	byte bank, tries, seen, a, b;
	bool done;
	do
	:: !done ->
		enterShared(COMMON, bank);
		a = common[A];
		b = common[B];
		if
		:: a != NONE && b != NONE ->
			memory[WORD(a, bank)]++;
			memory[WORD(b, bank)]++;
			printf("long commit: adds to common chunks %d and %d, bank %d\n", a, b, bank);
			done = true
		:: else
		fi;
		leaveShared(COMMON, bank);
		if
		:: done -> recorded++
		:: else ->
			if :: a == NONE -> makeCommon(A) :: else fi;
			if :: b == NONE -> makeCommon(B) :: else fi
		fi;
		d_step { a = 0; b = 0 }
	:: else -> break
	od
}
#endif

/* Moves the word of a bank to the amounts of this collection. */
inline drain(chunk, bank) {
	d_step {
		load(FLUSHER, WORD(chunk, bank), value);
		idle = (value == 0);
		if
		:: value > 0 ->
			printf("flusher: drains %d from bank %d of chunk %d\n", value, bank, chunk);
			if
			:: number[chunk] == A -> gotA = gotA + value
			:: else -> gotB = gotB + value
			fi;
			value = 0
		:: else
		fi
	};
	if
	:: !idle -> d_step { store(FLUSHER, WORD(chunk, bank), 0) }
	:: else
	fi
}

/* Drains the chunk in a place, if there is one. A chunk that was empty may be dropped. */
inline drainPlace(place, bank) {
	chunk = place;
	if
	:: chunk != NONE ->
		drain(chunk, bank);
		if
		:: d_step { idle && drops < DROPS -> drops++ };
			barrier(FLUSHER);
			d_step {
				place = NONE;
#ifndef FORGET
				dropped[chunk] = true;
#endif
				printf("flusher: drops chunk %d\n", chunk)
			}
		:: true
		fi
	:: else
	fi;
	d_step { chunk = 0; idle = false }
}

#define EACH(n, limit) n = 0; do :: n < limit ->
#define DONE(n) n++ :: else -> n = 0; break od

inline flipShards() {
	EACH(shard, SHARDS)
		if
		:: exists[shard] && current[shard] == bank -> flip(shard, 1 - bank)
		:: else
		fi;
	DONE(shard)
}

inline flipCommon() {
	flip(COMMON, 1 - bank);
#if !defined(LATE_FLIP) && !defined(LATE_AWAIT)
	flipShards();
#endif
#if !defined(LATE_AWAIT) && !defined(NO_COMMON_AWAIT)
	awaitShared(COMMON, bank);
#endif
}

proctype Flusher() {
	byte shard, bank, flushes, value, chunk, gotA, gotB;
	bool idle;
	do
	:: flushes < FLIPS ->
#ifndef LATE_FLIP
		flipCommon();
#endif
#ifndef ONE_LOOK
		flipShards();
#endif
		fence();
#ifdef LATE_FLIP
		flipCommon();
#endif
#ifdef LATE_AWAIT
		awaitShared(COMMON, bank);
#endif
		EACH(shard, SHARDS)
			if :: exists[shard] -> await(shard, bank) :: else fi;
		DONE(shard);
		EACH(chunk, POOL)
			if
			:: dropped[chunk] -> drain(chunk, bank); idle = false; dropped[chunk] = false
			:: else
			fi;
		DONE(chunk);
		drainPlace(common[A], bank);
		drainPlace(common[B], bank);
		EACH(shard, SHARDS)
			if :: exists[shard] -> drainPlace(seat[shard], bank) :: else fi;
		DONE(shard);
		atomic {
			assert(gotA == gotB); /* no commit is torn */
			collected = collected + gotA;
			gotA = 0; gotB = 0;
			bank = 1 - bank;
			flushes++
		}
	:: else -> break
	od;
	flushed = true
}

/* When all is quiet, every commit was collected, or is in a chunk that the flusher can find. */
proctype Audit() {
	byte n, shard, totalA, totalB;
	bool found;
	timeout;
	assert(running == 0 && flushed);
	d_step {
		EACH(n, CPUS)
			do :: buffer[n].length > 0 -> settle(n) :: else -> break od;
		DONE(n);
		totalA = collected; totalB = collected;
		EACH(n, made)
			found = dropped[n] || common[A] == n || common[B] == n;
			EACH(shard, SHARDS)
				if :: exists[shard] && seat[shard] == n -> found = true :: else fi;
			DONE(shard);
			if
			:: found && number[n] == A -> totalA = totalA + memory[WORD(n, 0)] + memory[WORD(n, 1)]
			:: found && number[n] == B -> totalB = totalB + memory[WORD(n, 0)] + memory[WORD(n, 1)]
			:: else
			fi;
		DONE(n);
		assert(totalA == recorded && totalB == recorded) /* nothing is lost or doubled */
	}
}

init {
	byte n;
	atomic {
		EACH(n, SHARDS) exists[n] = true; seat[n] = NONE; DONE(n);
#ifdef MAKES
		exists[SHARDS - 1] = false;
#endif
		newChunk(A, common[A]);
		newChunk(B, common[B]);
		EACH(n, WRITERS) run Writer(n % SHARDS); DONE(n);
#ifdef LONG
		run LongWriter();
#endif
		run Flusher();
#ifndef SHARED
		EACH(n, CPUS) run Memory(n); DONE(n);
#endif
		run Audit()
	}
}
