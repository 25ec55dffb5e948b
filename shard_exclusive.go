//go:build (amd64 || arm64) && !race && !purego

package metricsbuffer

import (
	"runtime"
	"sync/atomic"

	"github.com/metricsbuffer/metricsbuffer/internal/fence"
	"github.com/metricsbuffer/metricsbuffer/internal/yield"
)

// How writers enter a shard that one of them owns at a time: the model is HdrHistogram's WriterReaderPhaser, with one
// writer and hence without its atomic adds.
//
// The owner makes its gate odd, loads the bank, works, and makes the gate even. The flusher flips the bank, fences, and
// waits while the gate is odd and unchanged.
//
// Why that suffices. The processor may perform the owner's load of the bank before its store of the odd gate is
// visible. fence.Process puts a full barrier somewhere into the owner's instructions. If that is before the load, the
// load comes after the flip and finds the new bank. If it is after the load, it is also after the store, and the
// flusher, which reads the gate after the fence, finds it odd; or finds it changed since, and then the work is done and
// visible, because stores become visible in order (amd64) or the closing store is a release (arm64) and the flusher's
// load acquires.
//
// The compiler must not move the plain stores across the atomic load of the bank, nor drop the first store of the gate
// for the second. Go's does neither, as atomic operations are ordered with all memory operations in its intermediate
// form; the stress test watches it.

// A gate counts how often its owner entered and left. Odd: inside.
type gate struct{ passed uint64 }

// visitors is needed by the other twin only.
type visitors struct{}

// enter opens the section that leave closes, and returns the bank that may be written until then. The goroutine is
// pinned and owns the shard.
func (s *shard) enter() *bank {
	if yield.On {
		yield.Write(&s.gate.passed)
	}
	if fence.Writers {
		atomic.AddUint64(&s.gate.passed, 1) // a store would do, but some emulators let the load pass it
	} else {
		s.gate.passed++
	}
	if yield.On {
		yield.Read(&s.bank)
	}
	return s.bank.Load()
}

func (s *shard) leave(*bank) {
	if yield.On {
		yield.Write(&s.gate.passed)
	}
	if runtime.GOARCH == "amd64" {
		s.gate.passed++
	} else {
		atomic.StoreUint64(&s.gate.passed, s.gate.passed+1) // a release, no more, on arm64
	}
}

// await returns when no writer is left that entered before the flip of the bank.
func (s *shard) await(*bank) {
	if yield.On {
		yield.Read(&s.gate.passed)
	}
	passed := atomic.LoadUint64(&s.gate.passed)
	for tries := 0; passed%2 == 1 && atomic.LoadUint64(&s.gate.passed) == passed; tries++ {
		if yield.On {
			yield.Wait(&s.gate.passed)
		}
		pause(tries)
	}
}
