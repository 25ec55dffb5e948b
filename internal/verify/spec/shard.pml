/* A shard as writers and flushers share it: shard.go, and shard.flip of flush.go. What includes this says how many
 * SHARDS and FLUSHERS there are, and how many SLOTS a bank has.
 */
#define BANKS (1 + FLUSHERS) /* one active, and each flusher's spare */

/* Words of memory: the gates, then the banks. */
#define GATE(shard) (shard)
#define WORD(shard, bank, slot) (SHARDS + ((shard) * BANKS + (bank)) * SLOTS + (slot))
#define WORDS (SHARDS + SHARDS * BANKS * SLOTS)

#define CPUS (SHARDS + FLUSHERS) /* the writers', then the flushers' */

#include "memory.pml"

byte current[SHARDS]; /* the active bank, which writers load and flushers flip */
byte flips;           /* so far: for the assertions only */

#ifdef SHARED
#include "shared.pml"
#else
#include "exclusive.pml"
#endif

/* The compare-and-swap is a locked instruction: the zeroes of the spare are visible before it is. */
inline flip(cpu, shard, spare, old) {
	barrier(cpu);
#ifdef STORED_FLIP
	old = current[shard];
	d_step {
		current[shard] = spare;
		flips++;
		printf("flusher %d: flips shard %d from bank %d to %d\n", cpu - SHARDS, shard, old, spare)
	}
#else
	do
	:: true ->
		old = current[shard];
		if
		:: d_step {
			current[shard] == old ->
			current[shard] = spare;
			flips++;
			printf("flusher %d: flips shard %d from bank %d to %d\n", cpu - SHARDS, shard, old, spare)
		}; break
		:: else
		fi
	od
#endif
}
