package rcrowleybridge

import (
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

// Sarama says how the metrics of sarama are recorded, for [WithSeries]. It makes tags of the brokers, topics and
// protocol keys, and of the consumer groups, in their names:
//
//	request-rate                                 request-rate
//	request-rate-for-broker-3                    request-rate-for-broker{broker=3}
//	record-send-rate-for-topic-orders            record-send-rate-for-topic{topic=orders}
//	protocol-requests-rate-18                    protocol-requests-rate{request=18}
//	protocol-requests-rate-18-for-broker-3       protocol-requests-rate-for-broker{broker=3, request=18}
//	consumer-group-join-total-billing            consumer-group-join-total{group=billing}
//
// A prefix that ends in a dot, such as one of metrics.NewPrefixedChildRegistry, stays before the name.
//
// The series without a broker or topic is sarama's own sum over all of them, so it has another name than its parts.
// Sarama writes underscores for the dots of topics. The counters of requests in flight are recorded as gauges. The unit
// of a histogram is "bytes", "records", "ms" or "percent", by its name.
//
// Brokers and topics are as many as the cluster has. Sarama unregisters metrics when it closes a broker's connection.
func Sarama(name string) Series {
	for _, metric := range []string{"join-total", "join-failed", "sync-total", "sync-failed"} {
		metric = "consumer-group-" + metric
		prefix, group, found := strings.Cut(name, metric+"-")
		if found && (prefix == "" || strings.HasSuffix(prefix, ".")) {
			return Series{Name: prefix + metric, Tags: []metricsbuffer.Tag{{Key: "group", Value: group}}}
		}
	}
	metric, of, _ := strings.Cut(name, "-for-")
	own := metric[strings.LastIndex(metric, ".")+1:] // sarama's own names have no dots
	s := Series{Name: metric, Unit: units[own], Level: own == "requests-in-flight"}
	if request, found := strings.CutPrefix(own, "protocol-requests-rate-"); found {
		s.Name = strings.TrimSuffix(metric, "-"+request)
		s.Tags = append(s.Tags, metricsbuffer.Tag{Key: "request", Value: request})
	}
	if key, value, _ := strings.Cut(of, "-"); key == "broker" || key == "topic" {
		s.Name += "-for-" + key
		s.Tags = append(s.Tags, metricsbuffer.Tag{Key: key, Value: value})
	} else if of != "" {
		return Series{Name: name} // it is not sarama's
	}
	return s
}

// units has the units of sarama's histograms.
var units = map[string]string{
	"request-size":                 "bytes",
	"response-size":                "bytes",
	"batch-size":                   "bytes",
	"consumer-fetch-response-size": "bytes",
	"request-latency-in-ms":        "ms",
	"throttle-time-in-ms":          "ms",
	"compression-ratio":            "percent",
	"records-per-request":          "records",
	"consumer-batch-size":          "records",
}
