package interleave

// cellSize is a word, the granularity of accesses.
const cellSize = 8

// A cell is a word of memory that was accessed.
type cell struct {
	version uint32 // changes whenever it is written to
	last    [maxThreads][3]int32
}

// The ways to access a cell. They are the indexes of cell.last, which has the index of each thread's last such event,
// plus one.
const (
	reading = iota
	writing
	adding
)

// A memory finds cells by their address. Neighbouring cells are in one block.
type memory struct {
	blocks map[uintptr]*block
	latest *block
	number uintptr
}

const cellsPerBlock = 64

type block [cellsPerBlock]cell

func newMemory() memory { return memory{blocks: make(map[uintptr]*block)} }

func (m *memory) at(i uintptr) *cell {
	number := i / cellsPerBlock
	if m.latest == nil || m.number != number {
		b := m.blocks[number]
		if b == nil {
			b = new(block)
			m.blocks[number] = b
		}
		m.latest, m.number = b, number
	}
	return &m.latest[i%cellsPerBlock]
}
