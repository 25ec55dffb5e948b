// Package statsdsink sends batches to StatsD and DogStatsD servers, over UDP, TCP and unix sockets, or to an
// [io.Writer] of one's own.
//
// # What is sent
//
// One line per value, ended by a newline, with the tags as DogStatsD writes them, or ([WithGraphiteTags]) as Graphite:
//
//	name:3|c|#key:value,key2:value2
//	name;key=value;key2=value2:3|c
//
// DogStatsD's is the default because most servers read it: Datadog's agent, statsd_exporter, telegraf, the
// OpenTelemetry Collector, and StatsD itself from 0.9.0 on, which makes it into Graphite's. Older StatsD and its kin
// read Graphite's.
//
//	counter   name:delta|c
//	gauge     name:value|g           name:0|g and name:-value|g for negative values, as a sign means "add" to most
//	timer     name.ns.count:n|c      observations
//	          name.ns.sum:n|c        their sum
//	          name.ns.min:n|g        the shortest and
//	          name.ns.max:n|g        the longest of the batch
//	histogram name.hist.count:n|c    and so on, for one without a unit; in bytes: name.hist-bytes.count:n|c
//
// # Timers
//
// A timer's figures are whole nanoseconds, so that the number of observations and the total time add up at the server
// to exactly what was recorded: counters are the one type that every server only adds up. statsd_exporter shows a timer
// as name_ns_count and name_ns_sum, which is how Prometheus names such a pair. That is why [Parts] are the default.
// StatsD's own timers (|ms) are made for single observations, and servers compute from them what a batch knows. If
// that is what is wanted, for dashboards that exist or for percentiles over several processes, [WithTimers] has a timer
// go out under its own name:
//
// Without such dashboards keep the default. With them: New("udp", address, [WithTimers]([Timings])); for Datadog's
// percentiles, which count all hosts together, Distributions, and WithPacking to go with it.
//
//	Parts, WithQuantiles(0.5, 0.999)   as above, and name.ns.p50:n|g and name.ns.p99_9:n|g
//	Sum                                name:12.5|ms                  the total, once per batch
//	Timings                            name:12.5|ms|@0.1             ten observations, for each bucket
//	Histograms                         name:12.5|h|@0.1              histograms, too: name.hist-bytes:512|h
//	Distributions                      name:12.5|d|@0.1
//	WithPacking                        name:12.5:13.1:14|d|@0.125    eight of each
//
// Sums are exact at servers that add them up (StatsD, statsd_exporter, telegraf), but count batches instead of
// observations.
//
// Of a distribution, every bucket that is not empty is a line with its middle, within 2.2 % of all that is in it, and
// with the sample rate that says how many that is. What a server counts is exact: servers take 1/rate for the number,
// some cut off what is behind the point, and only such rates are sent for which that is the number. For one number of
// six there is none, 49 being the least; its bucket becomes two lines, or some more. With packing all rates are powers
// of two, so that values of many buckets share a line. A rate stands for 65,536 observations at most, unless there are
// more than 134 million in a bucket: statsd_exporter makes an object of each. Minimum, maximum, sums and percentiles
// are as near as the middles; StatsD computes all of them but the count as if each line were one observation.
//
//	                           Sum   Timings  Histograms  Distributions  packing
//	StatsD                     yes   yes      no: as counters            no: the last value only
//	statsd_exporter            yes   yes      yes         yes            yes
//	telegraf                   yes   yes      yes         no: no rates   no: refused
//	Datadog's agent            yes   yes      yes         yes            yes, from 7.25 on
//
// All but the last line are tested with the real server, that is as Datadog documents it. statsd_exporter takes |ms
// for milliseconds, which it shows as seconds, and |h and |d as they are, here milliseconds. It cannot read a container
// id in a line that has one value and no tags: add a constant tag ([WithTags]). Where a name is of one type only, as in
// Prometheus, a counter and a timer need names of their own.
//
// # What servers make of it
//
// Both StatsD and statsd_exporter add in float64, exact up to 2^53, in nanoseconds 104 days.
// StatsD takes counters below zero; statsd_exporter refuses them, and counts that in
// statsd_exporter_events_error_total. A gauge keeps its value at the server until it is sent again, a timer's min and
// max too.
//
// Telegraf needs datadog_extensions, and metric_separator = "." for dots to stay dots. Over TCP a line is a message to
// it, of which it throws away, having read them, those that find allowed_pending_messages waiting, 10,000 by default:
// set it to more than a batch has lines. With more than one of its number_workers_threads (5) lines are taken out of
// order, so that over TCP a gauge that is set to a negative value, by two lines, may become 0. Series it tells apart by
// what it makes of tags and name, written one behind the other: to it, jobs with the tags a:1b and c:2 is jobs with a:1
// and bc:2, and a counter with the tag metric_type:counter is the one without. It passes distributions (|d) on line by
// line, without regard to their sample rates, and cannot read several values in a line.
//
// What cannot be sent is dropped, which [metricsbuffer.SinkStats] counts by reason: gauges that are NaN or infinite,
// and points that are longer than a packet ([WithMaxPacket]). All lines of a point are in one packet, but for those of
// a distribution: if a packet in its middle cannot be sent, what the server has of it is not sent again.
//
// # Names, keys and values
//
// Any string can be a name, a key or a value. It arrives as one, no two arrive as the same, and nothing else arrives:
// what could end a name, begin a tag or be stripped by a server is escaped, and escapes can be read back. They are
// made of bytes that no server changes. The rules are the same for both ways to write tags, and for names, keys and
// values where nothing else is said.
//
//	A-Z a-z 0-9 _ . -     as it is
//	any other byte        _xHH_, HH being its number in hexadecimal: a space is _x20_, é is _xC3__xA9_
//	_                     _x5F_ where it would read as the beginning of an escape: in front of an x that is followed
//	                      by 0-9, A-F, _ or a byte that is escaped
//	empty                 _x_
//	_ . - at the start    of a name or key, escaped: _x5F_ _x2E_ _x2D_. "_sc" and
//	                      "_e" begin what is not a metric to Datadog's agent and telegraf, and a key that
//	                      statsd_exporter writes as "__…" keeps it from showing any metric.
//	a key a second time   _x_ in front of the second, _x__x_ of the third, …: servers keep one value per key.
//	                      Constant tags come first: with WithTags of env=a, the env=b of a series is _x_env:b.
//	ends like a timer     a name that ends in .ns, .hist or .hist-… and .count, .sum, .min, .max or .p50, with its last
//	                      dot escaped: jobs.ns_x2E_count, for jobs.ns.count is the timer jobs. So is, with Histograms and
//	                      Distributions, that of a timer's name that ends in .hist or .hist-….
//	a unit                as it is, but for A-Z a-z 0-9 only
//	constructor, …        a name that every object has in JavaScript, with its first byte escaped: _x63_onstructor.
//	                      StatsD 0.9.0 loses what is counted under it. (hasOwnProperty, isPrototypeOf, toString,
//	                      propertyIsEnumerable, toLocaleString and valueOf are the others.)
//	c                     as the whole name, _x63_: telegraf takes "c:1|c" for the id of a container, and loses it
//
// Servers that fold what is left do so after that, and no sender could prevent it without making ordinary names
// unreadable: statsd_exporter writes dots and dashes in names and keys as underscores, so that a.b and a_b are one
// metric there; Datadog writes dashes in names so, and tags in lower case.
//
// # What is known when Write returns
//
// tcp and unix: one connection carries one batch. The sink writes it, says that no more will come, and waits for the
// server to close the connection. StatsD and statsd_exporter, as servers do that read a stream in a loop, close it
// when they have read everything, and reset it otherwise. If it is closed, the batch has been read as a whole; if it
// is reset, or still open when the context ends, nothing is acknowledged and all of it is sent again, so that what the
// server did read of it is counted twice. A server that never closes cannot be used; and behind a proxy the word is
// the proxy's. A server that ends by itself, in the middle of a batch, at a moment when it has read all that had
// arrived, over a network, can seem to have read the rest.
//
// unixgram: each packet is acknowledged when the server's socket has it. A server that is slow makes the sink wait,
// until the context ends; then the rest stays in the buffer. Nothing is lost or sent twice, but what is in its socket
// when a server ends.
//
// udp: a packet is acknowledged when it has been sent and was not refused. A machine that is up refuses what is sent
// to a port nobody listens on, and that is known one write late: of each packet but the last by the write of the next,
// and of the last by waiting 2 milliseconds. So nearly nothing is lost to a server that is down on the same machine,
// and little in the same network. What else becomes of a packet is not known: it may be lost on the way, or the
// refusal come later (the next Write then reports it). The sink pauses between bursts, so that a server can keep up,
// and sends at most some 70,000 series a second.
//
// A writer's: each packet is acknowledged when Write has returned without an error.
//
// In no network is it known what a server makes of what it has read. StatsD and telegraf keep it in memory until their
// own interval ends, and what is there when they crash is lost.
//
// After an error the connection is closed, and the next Write opens one: only then a host's name is looked up again.
package statsdsink
