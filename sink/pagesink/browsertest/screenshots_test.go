package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// TestScreenshots makes the pictures of the README:
//
//	go test -run Screenshots -screenshots ..
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("SKIPPED: no folder for screenshots; give one by -screenshots")
	}
	for _, picture := range []struct {
		name, scheme  string
		width, height int64
		dark, charts  bool
	}{
		{"light", "light", 1280, 760, false, true},
		{"dark", "dark", 1280, 760, true, true},
		{"list", "light", 1280, 760, false, false},
		{"phone", "dark", 390, 720, true, false},
		{"phone-charts", "light", 390, 760, false, true},
	} {
		t.Run(picture.name, func(t *testing.T) {
			l := open(t, picture.width, picture.height, metricsbuffer.WithSink(metricsbuffer.SinkFunc(
				func(context.Context, *metricsbuffer.Batch) error { return nil }), metricsbuffer.SinkName("statsd")))
			call(l, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: picture.scheme}}})
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			go workload(ctx, l.buffer)
			time.Sleep(1500 * time.Millisecond)
			l.start()
			if picture.charts {
				l.openCharts("http.server.duration")
			} else if picture.width > 400 {
				l.click("summary")
			}
			time.Sleep(25 * time.Second)
			l.shoot(picture.name)
			l.clean()
		})
	}
}

// workload records like a server under load.
func workload(ctx context.Context, b *metricsbuffer.Buffer) {
	routes := []string{"/orders", "/orders/{id}", "/users", "/search", "/healthz"}
	for tick := 0; ctx.Err() == nil; tick++ {
		for i, route := range routes {
			tag, scale := metricsbuffer.Tag{Key: "route", Value: route}, 4<<i
			for range 5 + rand.IntN(20) + 10*(i+tick/40%3) {
				took := time.Duration(float64(scale) * (0.5 + rand.ExpFloat64()) * float64(time.Millisecond))
				b.IncrTimer("http.server.duration", took, tag)
				status := "200"
				if rand.IntN(60) == 0 {
					status = "500"
				}
				b.IncrCounter("http.server.requests", 1, tag, metricsbuffer.Tag{Key: "status", Value: status})
				b.Histogram("http.response.size", "bytes", tag).Observe(int64(200 * rand.ExpFloat64() * float64(i+1)))
			}
		}
		b.SetGauge("queue.depth", float64(20+rand.IntN(10)+tick%50))
		b.SetGauge("goroutines", float64(100+rand.IntN(5)))
		for _, topic := range []string{"orders", "users", "audit"} {
			tag := metricsbuffer.Tag{Key: "topic", Value: topic}
			b.IncrCounter("kafka.produced", int64(rand.IntN(400)), tag)
			b.IncrTimer("kafka.delivery", time.Duration(rand.ExpFloat64()*float64(3*time.Millisecond)), tag)
		}
		b.IncrCounter(fmt.Sprintf("jobs.%s", []string{"import", "export", "mail"}[tick%3]), 1)
		time.Sleep(100 * time.Millisecond)
	}
}

// small encodes a picture with its 256 most frequent colours.
func small(t *testing.T, picture []byte) []byte {
	full, err := png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	bounds, counts := full.Bounds(), make(map[color.Color]int)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			counts[full.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	reduced := image.NewPaletted(bounds, color.Palette(colours[:min(256, len(colours))]))
	draw.Draw(reduced, bounds, full, bounds.Min, draw.Src)
	var out bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, reduced))
	return out.Bytes()
}
