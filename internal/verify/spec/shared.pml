/* How one of several writers enters a shard, and how the flusher waits for them: shard_shared.go. All words are
 * atomic, hence no store waits in a buffer, and each statement is one step that everybody sees.
 */

byte visitors[SHARDS * BANKS];
byte departed[SHARDS]; /* sections that have been left: for the assertions only */
#define VISITORS(shard, bank) visitors[(shard) * BANKS + (bank)]
#define LEFT(shard) departed[shard]

/* Opens the section that leave closes; bank may be written until then. It tries again only if a flip came between. */
inline enter(shard, bank) {
	d_step { seen = flips; bank = current[shard] };
	do
	:: true ->
		VISITORS(shard, bank)++;
#ifdef NO_SECOND_LOOK
		break;
#endif
		if
		:: d_step {
			current[shard] == bank ->
			tries = 0; seen = 0;
			printf("writer enters shard %d, bank %d\n", shard, bank)
		}; break
		:: else
		fi;
		VISITORS(shard, bank)--;
		d_step { tries++; assert(tries <= flips - seen); bank = current[shard] }
	od
}

inline leave(shard, bank) {
	d_step {
		VISITORS(shard, bank)--;
		departed[shard]++;
		printf("writer has left shard %d, bank %d\n", shard, bank);
		bank = 0
	}
}

inline increase(shard, bank, slot) { memory[WORD(shard, bank, slot)]++ }

inline fence() { skip } /* none is needed */

/* Continues when nobody is registered with the bank that was flipped out. */
inline await(shard, bank) {
#ifndef NO_AWAIT
	VISITORS(shard, bank) == 0
#else
	skip
#endif
}
