package atomicmap

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/puzpuzpuz/xsync/v3"
)

// BenchmarkByName measures the by-name path: find a counter by name and tags, and add to it. It compares this map with
// maps whose key is one string of name and tags, which is built for every update.
//
//	go test -bench=ByName -cpu=1,2 -count=9 ./internal/atomicmap
func BenchmarkByName(b *testing.B) {
	tags := []testTag{{"status", "success"}, {"producer_name", "events"}}
	for _, c := range []struct {
		name  string
		names int
		tags  []testTag
	}{
		{"names=1", 1, nil},
		{"names=1000", 1000, nil},
		{"names=100000", 100_000, nil},
		{"names=1_tags=2", 1, tags},
		{"names=1000_tags=2", 1000, tags},
	} {
		names := make([]string, c.names)
		for i := range names {
			names[i] = "arroyo.consumer.metric." + strconv.Itoa(i)
		}
		b.Run(c.name, func(b *testing.B) {
			b.Run("map=ours", func(b *testing.B) { benchmarkOurs(b, names, c.tags) })
			b.Run("map=xsync", func(b *testing.B) { benchmarkXsync(b, names, c.tags) })
			b.Run("map=sync.Map", func(b *testing.B) { benchmarkSyncMap(b, names, c.tags) })
			b.Run("map=RWMutex", func(b *testing.B) { benchmarkRWMutex(b, names, c.tags) })
		})
	}
}

// rotate calls update with each name in turn. Every goroutine starts at another name.
func rotate(b *testing.B, names []string, update func(name string)) {
	var place atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(place.Add(7919)) % len(names)
		for pb.Next() {
			update(names[i])
			if i++; i == len(names) {
				i = 0
			}
		}
	})
}

func joined(name string, tags []testTag) string {
	if len(tags) == 0 {
		return name
	}
	var key strings.Builder
	key.Grow(128)
	key.WriteString(name)
	for _, t := range tags {
		key.WriteByte(',')
		key.WriteString(t.Key)
		key.WriteByte('=')
		key.WriteString(t.Value)
	}
	return key.String()
}

func benchmarkOurs(b *testing.B, names []string, tags []testTag) {
	var m Map[testTag, *atomic.Int64]
	for _, name := range names {
		m.LoadOrStore(NewEntry(Hash(name, tags), name, tags, new(atomic.Int64)))
	}
	rotate(b, names, func(name string) {
		m.Load(Hash(name, tags), name, tags).Value.Add(1)
	})
}

func benchmarkXsync(b *testing.B, names []string, tags []testTag) {
	m := xsync.NewMapOf[string, *atomic.Int64]()
	for _, name := range names {
		m.Store(joined(name, tags), new(atomic.Int64))
	}
	rotate(b, names, func(name string) {
		v, _ := m.Load(joined(name, tags))
		v.Add(1)
	})
}

func benchmarkSyncMap(b *testing.B, names []string, tags []testTag) {
	var m sync.Map
	for _, name := range names {
		m.Store(joined(name, tags), new(atomic.Int64))
	}
	rotate(b, names, func(name string) {
		v, _ := m.Load(joined(name, tags))
		v.(*atomic.Int64).Add(1)
	})
}

func benchmarkRWMutex(b *testing.B, names []string, tags []testTag) {
	var mu sync.RWMutex
	m := make(map[string]*atomic.Int64)
	for _, name := range names {
		m[joined(name, tags)] = new(atomic.Int64)
	}
	rotate(b, names, func(name string) {
		mu.RLock()
		v := m[joined(name, tags)]
		mu.RUnlock()
		v.Add(1)
	})
}
