// Package atomicmap holds series by name and tags. It is a hash map whose lookups write nothing and whose changes take
// no lock. A lookup happens on every update, a change once in a series' life.
//
//	Map.root ──▶ table                                table
//	             next ──────────────────────────────▶ next ──▶ nil
//	             ┌─────┬─────┬─────┬─────┬─ ─ ─┬─────┐ ┌─────┬─────┬─────┬─ ─
//	             │  a  │ end │  b  │  c† │     │ end │ │     │  d  │  a  │        (b is still to be
//	             └─────┴─────┴─────┴─────┴─ ─ ─┴─────┘ └─────┴─────┴─────┴─ ─      copied; c is dead)
//
// # How it works
//
// A table is an array of slots. A slot is nil or points to an entry. A search starts at the key's hash and goes upward.
// Two words decide everything:
//
//   - A slot is written once, from nil: to an entry, or to the table's end, which freezes the slot.
//   - An entry's deleted mark is set once. Setting it deletes the entry. The entry keeps its slot; searches pass it.
//
// A store walks to the first nil slot and writes its entry there with a compare-and-swap. If it meets its key alive on
// the way, it returns that entry instead. A table without room is replaced: freeze every nil slot, count the live
// entries, make a table for that many, install it as next with a compare-and-swap, copy the live entries, move the
// root. The new table may be larger, as large, or smaller. Dead entries are not copied. A search that ends at a frozen
// slot continues in the next table. If there is no next table, the key is absent.
//
// # Why no key is stored twice
//
// All searches for one key walk the same slots. A slot that a search has passed changes no more, but its entry may die.
// So the first nil slot is the only one where the key can be stored. A compare-and-swap lets one store have it. The
// other stores read the slot again and find the winner. If a walk ends at a frozen slot, the key can never be stored in
// this table again. So a store that found the key dead or missing up to there may go to the next table at once, before
// any entry was copied. Every entry that is copied later has another key, or is dead.
//
// # Why a slow helper does no harm
//
// Any goroutine may copy at any time, any number of times. The root moves only after some goroutine has copied
// everything, and a table is frozen only after the root has moved to it. Therefore a late helper finds its entry in the
// new table, or the entry had died before. A dead entry that is put there once more is passed like every other dead
// entry. Its room was reserved: entries are counted after the freeze, and from then on they can only die.
//
// # Assumptions, guarantees, progress
//
//   - Assumed: sync/atomic's sequential consistency, and that equal keys come with equal hashes. Bad hashes make it
//     slow, not wrong.
//   - Load, LoadOrStore and Delete are linearizable. Writes before the LoadOrStore that stored an entry are visible to
//     a caller that gets the entry from Load.
//   - Load and Find are wait-free: they pass each slot of a table at most once, and go to a further table only if one
//     was replaced. LoadOrStore and Delete are lock-free: if a goroutine is suspended anywhere, the others go on.
//
// # Cost
//
// A slot is a pointer. Tables are between a quarter and thirteen sixteenths full, so an entry takes 10 to 32 bytes of
// table. At least five sixteenths of a table's slots are stored into before it is replaced. So a store costs constant
// time in the long run. The store that replaces the table pays for the others. Dead entries stay in memory until then.
// They are at most about as many as the table has room for. Find adds 32 to 128 bytes for an entry, and 128 KiB at most
// (hints.go). The package's benchmarks compare the map with others.
package atomicmap
