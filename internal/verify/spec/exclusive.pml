/* How a writer passes the gate of a shard that it owns, and how the flusher waits for it: gate_exclusive.go. All words
 * of a shard are plain.
 */

#ifdef STOPS_THE_WORLD
bool pinned[SHARDS]; /* its goroutine cannot be stopped */
#define PIN(shard, yes) pinned[shard] = yes
#else
#define PIN(shard, yes) skip
#endif

/* Opens the section that leave closes. The bank may be written until then. Nobody else writes the gate, so its load and
 * store can be one step here.
 */
inline enter(shard, bank) {
	d_step {
		PIN(shard, true);
		load(shard, GATE(shard), value); store(shard, GATE(shard), value + 1); value = 0 /* odd: inside */
	};
	d_step { bank = current[shard]; printf("writer %d: enters, bank %d is active\n", shard, bank) }
}

inline leave(shard, bank) {
	d_step {
		load(shard, GATE(shard), value); store(shard, GATE(shard), value + 1); value = 0;
		bank = 0;
		PIN(shard, false);
		printf("writer %d: has left\n", shard)
	}
}

/* Adds one to a word. Owner only. */
inline add(shard, where) {
	d_step { load(shard, where, value) };
	d_step { store(shard, where, value + 1); value = 0 }
}

/* The fence: every writer's processor executes a full barrier, one after the other, at any point of its program. Or all
 * of them are stopped at one moment, and none of them is pinned then.
 */
inline fence() {
#ifdef STOPS_THE_WORLD
	atomic {
		!pinned[0] && !pinned[SHARDS - 1]; /* of at most two */
		printf("flusher: has stopped the world\n");
		barriers()
	}
#else
#ifndef NO_FENCE
	barriers();
#endif
#endif
	shard = 0
}

inline barriers() {
	shard = 0;
	do
	:: shard < SHARDS -> barrier(shard); shard++
	:: else -> break
	od
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
