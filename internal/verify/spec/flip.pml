/* Writers and flips: no update is lost or counted twice, none is torn, and no writer waits.
 *
 * A writer makes UPDATES updates. Each increases two words, as a timer's count and sum: they must stay equal in
 * whatever is drained. A flusher flips the banks of all shards, fences, waits, and drains, FLIPS times.
 *
 * Holds with, and has a counter-example with:
 *   (nothing)      one flusher, as the code has it
 *   WRITERS_FENCE  writers fence for themselves, the flusher does not: where the operating system has no fence
 *   SHARED         the twin with registered writers
 *   STALLS         the flusher may stop for good at any point: every writer still finishes
 *   NO_FENCE       nobody fences
 *   EARLY_FENCE    the flusher fences before it flips
 *   NO_AWAIT       the gate is not looked at
 *   NO_SECOND_LOOK a writer registers, and does not look again
 *   NO_ZERO        a drained bank is flipped in as it is
 *   STORED_FLIP    a flip is a load and a store (with FLUSHERS 2)
 *   LOCKS          a writer waits while a flush is under way (with STALLS)
 */
#ifndef FLUSHERS
#define FLUSHERS 1
#endif
#ifndef SHARDS
#define SHARDS 1
#endif
#ifndef WRITERS
#define WRITERS SHARDS
#endif
#ifndef UPDATES
#define UPDATES 3
#endif
#ifndef FLIPS
#define FLIPS 2
#endif

#define SLOTS 2
#define COUNT 0
#define SUM   1

#include "shard.pml"

byte flushing; /* flushers at work */
byte drained[SHARDS];
byte writing = WRITERS;
byte unfinished = FLUSHERS;
bool stalled;

proctype Writer(byte shard) {
	byte bank, value, tries, seen, updates;
	do
	:: updates < UPDATES ->
#ifdef LOCKS
		flushing == 0;
#endif
		enter(shard, bank);
		increase(shard, bank, COUNT);
		increase(shard, bank, SUM);
		leave(shard, bank);
		updates++
	:: else -> break
	od;
	writing--
}

inline drain(cpu, shard, bank) {
	d_step { load(cpu, WORD(shard, bank, COUNT), count) };
	d_step {
		load(cpu, WORD(shard, bank, SUM), sum);
		printf("flusher %d: drains count %d, sum %d from bank %d of shard %d\n", cpu - SHARDS, count, sum, bank, shard);
		assert(count == sum); /* not torn */
		drained[shard] = drained[shard] + count;
		count = 0; sum = 0
	};
#ifndef NO_ZERO
	d_step { store(cpu, WORD(shard, bank, COUNT), 0) };
	d_step { store(cpu, WORD(shard, bank, SUM), 0) }
#endif
}

proctype Flusher(byte cpu; byte first) {
	byte spare[SHARDS], old[SHARDS], known[SHARDS];
	byte shard, flushes, value, count, sum;
	do
	:: shard < SHARDS -> spare[shard] = first; shard++
	:: else -> shard = 0; break
	od;
	{
		do
		:: flushes < FLIPS ->
			flushing++;
#ifdef EARLY_FENCE
			fence();
#endif
			do
			:: shard < SHARDS ->
				known[shard] = LEFT(shard);
				flip(cpu, shard, spare[shard], old[shard]);
				shard++
			:: else -> shard = 0; break
			od;
#ifndef EARLY_FENCE
			fence();
#endif
			do
			:: shard < SHARDS -> await(shard, old[shard]); shard++
			:: else -> shard = 0; break
			od;
			do
			:: shard < SHARDS ->
				drain(cpu, shard, old[shard]);
#if FLUSHERS == 1
				/* What had returned before the flush is in it, or was in an earlier one. */
				assert(drained[shard] >= known[shard]);
#endif
				spare[shard] = old[shard];
				shard++
			:: else -> shard = 0; break
			od;
			flushing--;
			flushes++
		:: else -> break
		od;
		unfinished--
	} unless { stalled }
}

#ifdef STALLS
proctype Fate() {
	if
	:: d_step { stalled = true; printf("the flusher stops for good\n") }
	:: true
	fi
}
#endif

/* When all is quiet, what was recorded is what was drained and what is still in the banks. */
proctype Audit() {
	byte shard, bank, cpu, count, sum;
	timeout;
	assert(writing == 0); /* nobody kept a writer waiting */
	assert(stalled || unfinished == 0);
	if
	:: !stalled
	:: else -> goto end
	fi;
	do
	:: cpu < CPUS -> barrier(cpu); cpu++
	:: else -> break
	od;
	do
	:: shard < SHARDS ->
		count = drained[shard]; sum = drained[shard]; bank = 0;
		do
		:: bank < BANKS ->
			count = count + memory[WORD(shard, bank, COUNT)];
			sum = sum + memory[WORD(shard, bank, SUM)];
			bank++
		:: else -> break
		od;
		assert(count == UPDATES * (WRITERS / SHARDS) && sum == count);
		shard++
	:: else -> break
	od;
end:	skip
}

init {
	byte n;
	atomic {
		do
		:: n < WRITERS -> run Writer(n % SHARDS); n++
		:: else -> n = 0; break
		od;
		do
		:: n < FLUSHERS -> run Flusher(SHARDS + n, 1 + n); n++
		:: else -> n = 0; break
		od;
#ifndef SHARED
		do
		:: n < CPUS -> run Memory(n); n++
		:: else -> n = 0; break
		od;
#endif
#ifdef STALLS
		run Fate();
#endif
		run Audit()
	}
}
