// Command soak tries to make a buffer lose, double or tear an update, for as long as it is told to.
//
//	go run ./internal/verify/soak -for 1h
//
// It opens and ends one buffer after the other, several at a time, and one that lasts as long as the soak. Goroutines
// record in all of them by every instrument there is, one by one and together. They write in bursts to series that rest
// afterwards, so that Ps get chunks of their own and lose them again. Sinks refuse, panic, hang, give points up and
// acknowledge by halves. Series come, expire and come back. Buffers are closed under way, and left to the garbage
// collector. Meanwhile GOMAXPROCS changes between 1 and 64, the fence fails so that the world is stopped instead,
// garbage is collected, and now and then more threads are busy than there are cores.
//
// Every update is accounted for. The files: ways.go and its neighbours record, fault.go and sink.go go wrong, audit.go
// checks each batch, life.go and endings.go compare the accounts of a buffer.
//
// It prints its progress to stderr and a summary to stdout. Its exit status is 1 if a promise was broken. Each breach
// is printed with the seed, which repeats the random choices (options, sinks, faults, values), though not the
// scheduling.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

type settings struct {
	length  time.Duration
	seed    uint64
	buffers int // at a time
}

func main() {
	var s settings
	flag.DurationVar(&s.length, "for", 10*time.Second, "how long to soak")
	flag.Uint64Var(&s.seed, "seed", 0, "repeats the choices of the run with this seed (0: a new one)")
	flag.IntVar(&s.buffers, "buffers", 4, "how many buffers are open at a time, beside the one that lasts")
	flag.Parse()
	if flag.NArg() > 0 || s.length <= 0 || s.buffers < 1 {
		fmt.Fprintln(os.Stderr, "soak: -for and -buffers must be positive, and there are no other arguments")
		flag.Usage()
		os.Exit(2)
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	if !soak(s, os.Stdout, os.Stderr) {
		os.Exit(1)
	}
}

// soak soaks, writes the summary to out and what happens to log, and returns whether all promises were kept.
func soak(s settings, out, log io.Writer) bool {
	r := &report{seed: s.seed, log: log}
	before := measure()
	began := time.Now()
	stopDisturbing := disturb(r)
	var lanes sync.WaitGroup
	lanes.Go(func() { // the one that lasts
		guarded(newLife(r, 0, rand.New(rand.NewPCG(s.seed, 0)), closedQuiet, s.length))
	})
	for lane := range s.buffers {
		lanes.Go(func() {
			for number := int64(lane + 1); time.Since(began) < s.length; number += int64(s.buffers) {
				rng := rand.New(rand.NewPCG(s.seed, uint64(number)))
				length := time.Duration(10+rng.IntN(800)) * time.Millisecond
				if rng.IntN(20) == 0 {
					length *= 10
				}
				guarded(newLife(r, number, rng, rng.IntN(len(fates)), min(length, s.length)))
			}
		})
	}
	finished := make(chan struct{})
	go func() { lanes.Wait(); close(finished) }()
	tick := time.NewTicker(min(max(s.length/60, 2*time.Second), 30*time.Second))
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
			elapsed := time.Since(began)
			r.progress(fmt.Sprintf("%v of %v", elapsed.Round(time.Second), s.length))
		case <-finished:
			done = true
		}
	}
	stopDisturbing()
	after := measureUntil(before.goroutines)
	if after.goroutines > before.goroutines {
		r.problem(wrong, "%d goroutines are left, and %d were there before", after.goroutines, before.goroutines)
		_ = pprof.Lookup("goroutine").WriteTo(log, 1)
	}
	if after.heap > before.heap+heapLeeway {
		r.problem(wrong, "the heap has grown from %d to %d bytes", before.heap, after.heap)
	}
	r.summarize(out, s, time.Since(began), before, after)
	return r.ok()
}

// patienceWithLife is how much longer than planned a buffer may live: then something waits that never may.
const patienceWithLife = 3 * time.Minute

// guarded runs a life, and ends the program if that does not end.
func guarded(l *life) {
	alarm := time.AfterFunc(l.length+patienceWithLife, func() {
		l.report.problem(wrong, "%s does not come to an end; these are all goroutines:", l.label)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
		os.Exit(1)
	})
	defer alarm.Stop()
	l.run()
}

// heapLeeway is how much the heap may grow: less than a leak of a few bytes per batch or buffer comes to.
const heapLeeway = 8 << 20

type level struct {
	goroutines int
	heap       uint64
}

// measure returns what is in use when garbage has been collected.
func measure() level {
	for range 3 { // finalizers and cleanups lead to more garbage
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return level{runtime.NumGoroutine(), m.HeapAlloc}
}

// measureUntil gives goroutines that are about to end time to do so.
func measureUntil(goroutines int) level {
	l := measure()
	for tries := 0; l.goroutines > goroutines && tries < 300; tries++ {
		l = measure()
	}
	return l
}
