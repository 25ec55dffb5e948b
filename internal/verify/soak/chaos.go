package main

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricsbuffer/metricsbuffer/internal/fence"
)

// mostProcs is the highest GOMAXPROCS, and so the number of shards of a buffer that lives for long.
const mostProcs = 64

// disturb changes GOMAXPROCS and the fence, collects garbage and starves the process until the function it returns is
// called, which restores GOMAXPROCS and the fence.
func disturb(r *report) (stop func()) {
	var stopped atomic.Bool
	var wait sync.WaitGroup
	procs := runtime.GOMAXPROCS(0)
	wait.Go(func() {
		for !stopped.Load() {
			runtime.GOMAXPROCS(1 + rand.IntN(mostProcs))
			r.procs.Add(1)
			pause(&stopped, time.Duration(1+rand.IntN(30))*time.Millisecond)
		}
	})
	wait.Go(func() {
		for !stopped.Load() {
			r.collect()
			pause(&stopped, time.Duration(20+rand.IntN(300))*time.Millisecond)
		}
	})
	wait.Go(func() {
		for !stopped.Load() {
			pause(&stopped, time.Duration(500+rand.IntN(2500))*time.Millisecond)
			starve(4*runtime.NumCPU(), time.Duration(20+rand.IntN(300))*time.Millisecond)
			r.famine.Add(1)
		}
	})
	wait.Go(func() {
		for !stopped.Load() {
			pause(&stopped, time.Duration(50+rand.IntN(500))*time.Millisecond)
			fence.Refuse(true) // from now on the flushers stop the world instead
			r.refusals.Add(1)
			pause(&stopped, time.Duration(1+rand.IntN(200))*time.Millisecond)
			fence.Refuse(false)
		}
	})
	return func() {
		stopped.Store(true)
		wait.Wait()
		runtime.GOMAXPROCS(procs)
	}
}

func (r *report) collect() {
	runtime.GC()
	r.collections.Add(1)
}

// starve keeps n threads busy for a while, which are more than there are cores: some of those that are inside a pinned
// section are put away by the operating system meanwhile.
func starve(n int, d time.Duration) {
	var wait sync.WaitGroup
	end := time.Now().Add(d)
	for range n {
		wait.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for time.Now().Before(end) {
				for range 10_000 {
					sink64.Load()
				}
			}
		})
	}
	wait.Wait()
}

// sink64 is what busy threads look at, so that the compiler leaves them their work.
var sink64 atomic.Int64

// pause sleeps, unless it is time to stop.
func pause(stopped *atomic.Bool, d time.Duration) {
	for end := time.Now().Add(d); !stopped.Load() && time.Now().Before(end); {
		time.Sleep(min(d, 20*time.Millisecond))
	}
}
