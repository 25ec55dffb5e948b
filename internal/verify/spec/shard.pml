/* Shards with banks of their own and nothing in common: enough for flip.pml and expire.pml. A file that includes this
 * one says how many SHARDS there are, and how many SLOTS a bank has.
 */
#define GATES SHARDS
#define CPUS (SHARDS + 1)

/* Words of memory: the gates, then the banks. */
#define GATE(shard) (shard)
#define WORD(shard, bank, slot) (SHARDS + ((shard) * BANKS + (bank)) * SLOTS + (slot))
#define WORDS (SHARDS + SHARDS * BANKS * SLOTS)

#include "gate.pml"

/* Adds one to a word of the bank that was entered. */
inline increase(shard, bank, slot) { add(shard, WORD(shard, bank, slot)) }
