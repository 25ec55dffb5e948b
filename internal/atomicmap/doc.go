// Package atomicmap holds series by name and tags: a hash map whose lookups write nothing and whose changes take no
// lock. Lookups happen on every update, changes once in a series' life.
//
//	Map.root ──▶ table                                table
//	             next ──────────────────────────────▶ next ──▶ nil
//	             ┌─────┬─────┬─────┬─────┬─ ─ ─┬─────┐ ┌─────┬─────┬─────┬─ ─
//	             │  a  │ end │  b  │  c† │     │ end │ │     │  d  │  a  │        (b is still to be
//	             └─────┴─────┴─────┴─────┴─ ─ ─┴─────┘ └─────┴─────┴─────┴─ ─      copied; c is dead)
//
// # How it works
//
// A table is an array of slots, each nil or a pointer, searched from a key's hash upward. Two words decide everything:
//
//   - A slot is written once, from nil: to an entry, or to the table's end, which freezes it.
//   - An entry's deleted mark is set once. Deleting is setting it; the entry keeps its slot, and searches pass by it.
//
// A store walks to the first nil slot, unless it meets its key alive, and writes its entry there with a
// compare-and-swap. A table without room is replaced: freeze every nil slot, count the live entries, make a table for
// that many, install it as next by compare-and-swap, copy the live entries, move the root. The new table may be larger,
// as large, or smaller; the dead are left behind in any case. A search that ends at a frozen slot goes on in the next
// table, and if there is none the key is absent.
//
// # Why no key is ever stored twice
//
// All searches for one key walk the same slots, and what they have passed never changes but by dying. So the first
// nil slot is the only one where the key can be stored, a compare-and-swap lets one store have it, and the others
// read it again and find the winner. Where the walk ends at a frozen slot, the key can never again be stored in this
// table: a store that found it dead or missing up to there may go to the next table at once, before anything was
// copied. What is copied later has another key, or is dead.
//
// # Why a slow helper does no harm
//
// Anyone may copy at any time, again and again. The root moves only after somebody has copied everything, and a table
// is frozen only after the root has moved to it. Therefore one who comes late with an entry finds it in the table it
// should go to, or the entry had died before; a dead entry put there once more is passed by like every other. Its room
// was reserved: entries are counted after the freeze, from when on they only die.
//
// # Assumptions, guarantees, progress
//
//   - Assumed: sync/atomic's sequential consistency, and that equal keys come with equal hashes. Bad hashes make it
//     slow, not wrong.
//   - Load, LoadOrStore and Delete are linearizable. What was written before LoadOrStore stored an entry is visible to
//     who gets it from Load.
//   - Load is wait-free: it passes each slot of a table at most once, and goes to a further table only if one was
//     replaced. LoadOrStore and Delete are lock-free: whoever is suspended anywhere, the others go on.
//
// # Cost
//
// A slot is a pointer. Tables are between a quarter and thirteen sixteenths full, 10 to 32 bytes of table for an entry,
// and at least five sixteenths of a table's slots are stored into before it is replaced, so that a store costs constant
// time over the long run; the one that replaces the table pays for all. Dead entries stay in memory until then, at most
// about as many as the table has room for. The package's benchmarks compare it with other maps.
package atomicmap
