/* How a writer enters a shard that it owns, and how the flusher waits for it: shard_exclusive.go. All words of a
 * shard are plain; its writer is processor number `shard`.
 */

/* Opens the section that leave closes; bank may be written until then. Nobody else writes the gate, so that its load
 * and store can be one step here.
 */
inline enter(shard, bank) {
	d_step { load(shard, GATE(shard), value); store(shard, GATE(shard), value + 1); value = 0 }; /* odd: inside */
#ifdef WRITERS_FENCE
	barrier(shard);
#endif
	d_step { bank = current[shard]; printf("writer %d: enters, bank %d is active\n", shard, bank) }
}

inline leave(shard, bank) {
	d_step {
		load(shard, GATE(shard), value); store(shard, GATE(shard), value + 1); value = 0;
		bank = 0;
		printf("writer %d: has left\n", shard)
	}
}

/* Adds one to a word of the bank that was entered. */
inline increase(shard, bank, slot) {
	d_step { load(shard, WORD(shard, bank, slot), value) };
	d_step { store(shard, WORD(shard, bank, slot), value + 1); value = 0 }
}

/* The fence: every writer's processor executes a full barrier, one after the other, at any point of what it does. */
inline fence() {
#if !defined(WRITERS_FENCE) && !defined(NO_FENCE)
	shard = 0;
	do
	:: shard < SHARDS -> barrier(shard); shard++
	:: else -> break
	od;
#endif
	shard = 0
}

/* Continues when no writer is left that entered before the flip. */
inline await(shard, bank) {
#ifndef NO_AWAIT
	value = memory[GATE(shard)];
	if
	:: value % 2 == 1 -> memory[GATE(shard)] != value
	:: else
	fi;
#endif
	value = 0
}

/* How many sections have been left as far as anybody else can know. */
#define LEFT(shard) (memory[GATE(shard)] / 2)
