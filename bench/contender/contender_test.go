package contender

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const times = 1234 // a number that is found in the text if, and only if, the contender counted right

// repeated is an order that does everything to the first series, and once to the second.
func repeated() []uint32 {
	order := make([]uint32, times, times+1)
	return append(order, 1)
}

// exported returns the text of the contender after the loop has run.
func exported[T any](t *testing.T, c Contender, loop func(T) Loop) string {
	t.Helper()
	instance, err := c.Open(nil)
	require.NoError(t, err)
	offered, ok := instance.(T)
	if !ok {
		t.Skipf("%s does not offer it; why is in the contender's field Without", c.Name)
	}
	loop(offered)(0, repeated())
	var text bytes.Buffer
	require.NoError(t, instance.Export(&text))
	require.NoError(t, instance.Close())
	return text.String()
}

// requireGroup checks the series of [Group].
func requireGroup(t *testing.T, text string) {
	t.Helper()
	require.Equal(t, times+1, valueIn(t, text, "requests"))
	require.Equal(t, 512*(times+1), valueIn(t, text, "bytes"))
	require.Equal(t, times+1, valueIn(t, text, "latency"), "the number of observations")
}

// values are the forms in which the contenders write a count, a value, or the number of observations, of a series.
var values = []string{
	`^%s[: ](\d+)(?:\|[cg])?$`,                                             // a line of StatsD or Prometheus
	`^%s(?:_count |\.ns\.count:)(\d+)(?:\|c)?$`,                            // the same, of a timer
	`^(?:counter|timer|gauge) %s\n +(?:count|value): +(\d+)(?:\.0+)?$`,     // rcrowley/go-metrics
	`"Name":"%s",[^[]*\[\{"Attributes":\[\],[^[}]*"(?:Value|Count)":(\d+)`, // OpenTelemetry
}

// valueIn returns the sum of what the text has of the series: a contender may write it in parts.
func valueIn(t *testing.T, text, name string) (sum int) {
	t.Helper()
	found := false
	for _, form := range values {
		for _, match := range regexp.MustCompile(`(?m)`+fmt.Sprintf(form, name)).FindAllStringSubmatch(text, -1) {
			n, err := strconv.Atoi(match[1])
			require.NoError(t, err)
			sum, found = sum+n, true
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^`+name+`:.*\|ms$`).FindAllString(text, -1) { // DogStatsD: all durations
		sum, found = sum+strings.Count(line, ":"), true
	}
	require.True(t, found, "%s is not in %.500s", name, text)
	return sum
}

// Every contender counts correctly, in every way it offers: no workload measures an error path.
func TestEachAdapterCounts(t *testing.T) {
	names := []string{"first", "second"}
	labels := []Labels{{"events", "1"}, {"events", "2"}}
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Run("counters", func(t *testing.T) {
				text := exported(t, c, func(i Instance) Loop { return i.Counters(names) })
				require.Contains(t, text, strconv.Itoa(times))
			})
			t.Run("named", func(t *testing.T) {
				text := exported(t, c, func(i Named) Loop { return i.Named(names) })
				require.Contains(t, text, strconv.Itoa(times))
				require.Contains(t, text, "first")
				require.Contains(t, text, "second")
			})
			t.Run("tagged", func(t *testing.T) {
				text := exported(t, c, func(i Tagged) Loop { return i.Tagged("tagged", labels) })
				require.Contains(t, text, strconv.Itoa(times))
			})
			t.Run("vector", func(t *testing.T) {
				text := exported(t, c, func(i Vector) Loop { return i.Vector("vector", labels) })
				require.Contains(t, text, strconv.Itoa(times))
				require.Contains(t, text, "events")
			})
			t.Run("group", func(t *testing.T) {
				text := exported(t, c, func(i Group) Loop { return i.Group() })
				requireGroup(t, text)
			})
			t.Run("request", func(t *testing.T) {
				text := exported(t, c, func(i Request) Loop { return i.Request() })
				requireGroup(t, text)
				require.Equal(t, 1, valueIn(t, text, "inflight"), "the last one of the order")
			})
			t.Run("page", func(t *testing.T) {
				instance, err := c.Open(nil)
				require.NoError(t, err)
				defer func() { require.NoError(t, instance.Close()) }()
				offered, ok := instance.(Page)
				if !ok {
					t.Skipf("%s does not offer it; why is in the contender's field Without", c.Name)
				}
				loop, page := offered.Page(names)
				loop(0, repeated())
				recorder := httptest.NewRecorder()
				page.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				lines := strings.Split(recorder.Body.String(), "\n")
				require.Contains(t, lines, fmt.Sprintf(`jobs_done_total{topic="first"} %d`, times))
				require.Contains(t, lines, `jobs_done_total{topic="second"} 1`)
			})
		})
	}
}

func TestEachAdapterReports(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			var mu sync.Mutex // tally reports by itself
			deltas, totals := make(map[string]int64), make(map[string]int64)
			instance, err := c.Open(func(reports []Report) error {
				mu.Lock()
				defer mu.Unlock()
				for _, r := range reports {
					if r.Total {
						totals[r.Name] = r.Value
					} else {
						deltas[r.Name] += r.Value
					}
				}
				return nil
			})
			require.NoError(t, err)
			loop := instance.Counters([]string{"first", "second"})
			loop(0, repeated())
			require.NoError(t, instance.Report())
			loop(0, repeated())
			if c.Limits.Closing != "" { // then closing it does not report
				require.NoError(t, instance.Report())
			}
			require.NoError(t, instance.Close())
			mu.Lock()
			defer mu.Unlock()
			require.EqualValues(t, 2*times, deltas["first"]+totals["first"])
			require.EqualValues(t, 2, deltas["second"]+totals["second"])
		})
	}
}

// A contender has a reason for each capability that it does not implement, and for no other.
func TestEveryMissingCapabilityHasAReason(t *testing.T) {
	for _, c := range All() {
		instance, err := c.Open(nil)
		require.NoError(t, err)
		offers := make(map[string]bool)
		_, offers["named"] = instance.(Named)
		_, offers["tagged"] = instance.(Tagged)
		_, offers["vector"] = instance.(Vector)
		_, offers["timer"] = instance.(Timer)
		_, offers["stopwatch"] = instance.(Stopwatch)
		_, offers["group"] = instance.(Group)
		_, offers["request"] = instance.(Request)
		_, offers["page"] = instance.(Page)
		for capability, offered := range offers {
			require.Equal(t, offered, c.Without[capability] == "", "%s, %s", c.Name, capability)
		}
		require.NoError(t, instance.Close())
	}
}

// The compiler puts the body of each and its argument into the loop, so that a workload measures the library alone.
func TestLoopsAreCompiledInPlace(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bench")
	output, err := exec.Command("go", "build", "-o", program, "..").CombinedOutput()
	require.NoError(t, err, "%s", output)
	symbols, err := exec.Command("go", "tool", "nm", program).Output()
	require.NoError(t, err)
	require.Contains(t, string(symbols), "bench/contender.(*ours).Counters")
	require.NotContains(t, string(symbols), "bench/contender.each", "go tool objdump says who calls it")
}
