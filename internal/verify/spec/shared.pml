/* How one of several writers passes a gate, and how the flusher waits for them: SharedGate of gate.go. All words are
 * atomic. So no store waits in a buffer, and each statement is one step that everybody sees.
 */

byte visitors[GATES * BANKS];
byte departed[GATES]; /* sections that have been left: for the assertions only */
#define VISITORS(gate, bank) visitors[(gate) * BANKS + (bank)]

/* Opens the section that leave closes. The bank may be written until then. It tries again only if a flip came between.
 */
inline enterShared(gate, bank) {
	d_step { seen = flips; bank = current[gate] };
	do
	:: true ->
		VISITORS(gate, bank)++;
#ifdef NO_SECOND_LOOK
		break;
#endif
		if
		:: d_step {
			current[gate] == bank ->
			tries = 0; seen = 0;
			printf("writer enters gate %d, bank %d\n", gate, bank)
		}; break
		:: else
		fi;
		VISITORS(gate, bank)--;
		d_step { tries++; assert(tries <= flips - seen); bank = current[gate] }
	od
}

inline leaveShared(gate, bank) {
	d_step {
		VISITORS(gate, bank)--;
#ifdef SHARED
		departed[gate]++;
#endif
		printf("writer has left gate %d, bank %d\n", gate, bank);
		bank = 0
	}
}

/* Continues when nobody is registered with the bank that was flipped out. */
inline awaitShared(gate, bank) { VISITORS(gate, bank) == 0 }

#ifdef SHARED
/* The twin of this name has such a gate for each shard. */
inline enter(shard, bank) { enterShared(shard, bank) }
inline leave(shard, bank) { leaveShared(shard, bank) }

/* Adds one to a word. */
inline add(shard, where) { memory[where]++ }

inline fence() { skip } /* none is needed */

inline await(shard, bank) {
#ifndef NO_AWAIT
	awaitShared(shard, bank)
#else
	skip
#endif
}

/* How many sections have been left as far as anybody else can know. */
#define LEFT(shard) departed[shard]
#endif
