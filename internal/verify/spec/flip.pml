/* Writers and flips: no update is lost or counted twice, none is torn, and no writer waits.
 *
 * A writer makes UPDATES updates. Each increases two words, as a timer's count and sum: they must be equal whenever
 * they are drained. The flusher flips the banks of all shards, fences, waits, and drains, FLIPS times.
 *
 * Holds with, and has a counter-example with:
 *   (nothing)        as the code has it
 *   STOPS_THE_WORLD  the flusher stops the world instead of calling the fence: where the operating system has none
 *   SHARED           the twin whose gates count writers
 *   STALLS           the flusher may stop for good at any point: every writer still finishes
 *   NO_FENCE         nobody fences
 *   EARLY_FENCE      the flusher fences before it flips
 *   NO_AWAIT         the gate is not looked at
 *   NO_SECOND_LOOK   a writer registers, and does not look again
 *   NO_ZERO          a drained bank is flipped in as it is
 *   LOCKS            a writer waits while a flush is under way (with STALLS)
 */
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

bool flushing;
byte drained[SHARDS];
byte writing = WRITERS;
bool flushed;
bool stalled;

proctype Writer(byte shard) {
	byte bank, value, tries, seen, updates;
	do
	:: updates < UPDATES ->
#ifdef LOCKS
		!flushing;
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

inline drain(shard, bank) {
	d_step { load(FLUSHER, WORD(shard, bank, COUNT), count) };
	d_step {
		load(FLUSHER, WORD(shard, bank, SUM), sum);
		printf("flusher: drains count %d, sum %d from bank %d of shard %d\n", count, sum, bank, shard);
		assert(count == sum); /* not torn */
		drained[shard] = drained[shard] + count;
		count = 0; sum = 0
	};
#ifndef NO_ZERO
	d_step { store(FLUSHER, WORD(shard, bank, COUNT), 0) };
	d_step { store(FLUSHER, WORD(shard, bank, SUM), 0) }
#endif
}

proctype Flusher() {
	byte known[SHARDS];
	byte shard, bank, flushes, value, count, sum; /* bank: the one to be drained */
	{
		do
		:: flushes < FLIPS ->
			flushing = true;
#ifdef EARLY_FENCE
			fence();
#endif
			do
			:: shard < SHARDS ->
				known[shard] = LEFT(shard);
				flip(shard, 1 - bank);
				shard++
			:: else -> shard = 0; break
			od;
#ifndef EARLY_FENCE
			fence();
#endif
			do
			:: shard < SHARDS -> await(shard, bank); shard++
			:: else -> shard = 0; break
			od;
			do
			:: shard < SHARDS ->
				drain(shard, bank);
				/* Updates that had returned before the flush are in it, or were in an earlier one. */
				assert(drained[shard] >= known[shard]);
				shard++
			:: else -> shard = 0; break
			od;
			bank = 1 - bank;
			flushing = false;
			flushes++
		:: else -> break
		od;
		flushed = true
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

/* When all is quiet, the recorded updates are those that were drained and those still in the banks. */
proctype Audit() {
	byte shard, bank, cpu, count, sum;
	timeout;
	assert(writing == 0); /* nobody kept a writer waiting */
	assert(stalled || flushed);
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
		run Flusher();
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
