// Package losses lists the ways in which the contenders were found to lose or double counts, and has one small test for
// each that shows it by itself, without this suite.
//
// A test passes while the loss is there. One that fails after an upgrade is good news: the library has fixed it, and
// the entry goes. Several are documented by the library itself and are a choice, not an oversight; they are listed
// because they decide whether a program may use the library in that way.
package losses

// A Loss is one way to lose or to double.
type Loss struct {
	Module      string // of the library; go.mod has its version
	Description string // happens, and when
	Documented  bool   // by the library, as how it is meant to be
	Test        string // that shows it
}

// All is every loss that was found.
var All = []Loss{
	{
		"github.com/DataDog/datadog-go/v5",
		"With extended client-side aggregation, a timing, histogram or distribution sample recorded while the aggregator " +
			"flushes may be added to the context that has just been flushed, and is not sent.",
		false, "TestDatadogSampleDuringFlush",
	}, {
		"github.com/DataDog/datadog-go/v5",
		"In channel mode with extended aggregation, Close does not drain the aggregator's channel: samples still in it are " +
			"not sent.",
		false, "TestDatadogChannelModeClose",
	}, {
		"github.com/DataDog/datadog-go/v5",
		"A payload that could not be written is dropped, and counted in the client's telemetry.",
		true, "TestDatadogFailedWrite",
	}, {
		"github.com/lyft/gostats",
		"Two concurrent Store.Flush calls may report a counter out of order; the later delta is then negative, which the " +
			"unsigned value passed to the sink carries as a number near 2⁶⁴.",
		false, "TestGostatsConcurrentFlush",
	}, {
		"github.com/lyft/gostats",
		"A timer made by NewMilliTimer truncates to whole milliseconds: shorter durations are sent as 0.",
		false, "TestGostatsShortDurations",
	}, {
		"github.com/hashicorp/go-metrics",
		"PrometheusSink: when a counter is first incremented by several goroutines at once, each may create one; the last " +
			"that is stored stays, and the increments of the others are not exported.",
		false, "TestHashicorpFirstIncrements",
	}, {
		"github.com/hashicorp/go-metrics",
		"StatsdSink.Shutdown does not send the content of its buffer (up to 100 ms or 1,400 bytes of metrics).",
		false, "TestHashicorpShutdown",
	}, {
		"github.com/hashicorp/go-metrics",
		"StatsdSink: after a write that failed, metrics are taken from the queue and dropped for five seconds, to avoid a " +
			"backlog, also when the server is back before.",
		false, "TestHashicorpAfterAnOutage",
	}, {
		"github.com/uber-go/tally/v4",
		"Closing a root scope reports once more, without waiting for a report of the interval that has begun; if both read " +
			"a counter before either has stored the reported value, it is reported twice.",
		false, "TestTallyCloseDuringReport",
	}, {
		"go.opentelemetry.io/otel/sdk/metric",
		"PeriodicReader with delta temporality: the data of a failed export are not exported again.",
		true, "TestOpenTelemetryFailedExport",
	}, {
		"go.opentelemetry.io/otel/sdk/metric",
		"PeriodicReader: if one observable callback returns an error the collection is not exported; with delta " +
			"temporality the other instruments' counts of that interval are not exported later either.",
		false, "TestOpenTelemetryFailedCallback",
	}, {
		"github.com/prometheus/client_golang",
		"A counter that a program keeps after DeleteLabelValues is not exported any more, even when the same labels are " +
			"used again.",
		true, "TestPrometheusDeletedWhileHeld",
	}, {
		"github.com/rcrowley/go-metrics",
		"Counter.Count followed by Counter.Clear, the only way to read and reset, loses the counts between the two.",
		false, "TestGoMetricsCountAndClear",
	}, {
		"github.com/puzpuzpuz/xsync/v4",
		"Counter.Value followed by Counter.Reset loses the counts between the two; Reset is documented as for use " +
			"without concurrent modifications only.",
		true, "TestXsyncValueAndReset",
	},
}
