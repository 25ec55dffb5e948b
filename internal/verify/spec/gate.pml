/* Gates: how writers and the flusher agree on who may use which bank. internal/owner, and flusher.flip of flush.go.
 *
 * A file that includes this one defines the numbers of SHARDS, GATES, WORDS and CPUS, and the word GATE(shard). Gates 0
 * to SHARDS - 1 are those of shards. Processor number `shard` is the one of the shard's writer, and the last one is the
 * flusher's.
 */
#define BANKS 2
#define FLUSHER SHARDS

#include "memory.pml"

byte current[GATES]; /* the active bank, which writers load and the flusher flips */
byte flips;          /* so far: for the assertions only */

#include "shared.pml"
#ifndef SHARED
#include "exclusive.pml"
#endif

/* The compare-and-swap is a locked instruction: zeroes that were stored before are visible before it is. */
inline flip(gate, to) {
	barrier(FLUSHER);
	d_step {
		current[gate] = to;
		flips++;
		printf("flusher: flips gate %d to bank %d\n", gate, to)
	}
}
