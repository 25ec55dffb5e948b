package main

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// disturb changes GOMAXPROCS, collects garbage and starves the process until the function it returns is called, which
// restores GOMAXPROCS.
func disturb(r *report) (stop func()) {
	var stopped atomic.Bool
	var wait sync.WaitGroup
	procs, most := runtime.GOMAXPROCS(0), 4*runtime.NumCPU()
	wait.Go(func() {
		for !stopped.Load() {
			runtime.GOMAXPROCS(1 + rand.IntN(most))
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
			starve(most, time.Duration(20+rand.IntN(300))*time.Millisecond)
			r.famine.Add(1)
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
