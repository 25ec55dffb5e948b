// Package statsdsink sends batches to StatsD and DogStatsD servers over UDP, TCP and unix sockets. It can also write
// them to an [io.Writer].
//
//	sink, err := statsdsink.New("udp://127.0.0.1:8125")
//	// handle err
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(sink))
//
// [FromEnvironment] takes the server from DD_AGENT_HOST, STATSD_HOST and similar variables. Closing the buffer also
// closes the sink.
//
// # Lines
//
// Each value is one line, which ends with a newline. Tags are at the end of the line, as DogStatsD has them:
//
//	counter    name:3|c|#key:value,key2:value2
//	           name:0.25|c                 of fractions, with all digits
//	gauge      name:2.5|g
//	timer      name:12.5|ms|@0.1           ten observations of 12.5 milliseconds
//	histogram  name.hist-bytes.count:10|c  the number of observations
//	           name.hist-bytes.sum:5120|c
//	           name.hist-bytes.min:100|g   of this batch
//	           name.hist-bytes.max:900|g
//
// The unit of a histogram is a part of its name. Without a unit the name is name.hist.count, and so on. A negative
// gauge is two lines, name:0|g and name:-2.5|g, because most servers take a sign for "add this to the gauge". A gauge
// stays at the server as it is until the next batch with that gauge. The server also keeps the min and max of a
// histogram until the next batch with that histogram.
//
// StatsD, statsd_exporter and Datadog's agent add up fractions of counters. Telegraf, the Collector, gostatsd and
// veneur cut off the fraction of each line, and the sink cannot notice that. The other servers were not looked at.
// Where a fraction would be lost, count a smaller unit in whole numbers, such as cents, instead of fractions.
//
// A new series is sent once even if nothing was recorded in it: a counter and a gauge as 0, and a timer or histogram in
// the form Parts as a count and a sum of 0. The other forms have no line without an observation. Nothing is sent when
// the buffer forgets a series ([metricsbuffer.WithIdleExpiry]): a server keeps it, or deletes it by its own settings.
// The sink keeps the escaped name and tags of each series until then.
//
// # Timers
//
// A timer arrives under its own name and in milliseconds, as dashboards for StatsD expect it. Each bucket of its
// observations becomes a line. The value of the line is the middle of the bucket, which differs from each observation
// in the bucket by at most 2.2 %. The sample rate tells the number of observations. Servers compute this number as
// 1/rate, and some cut off the fraction. The sink only sends rates for which the result is exact at every server; a
// bucket may need several lines for that. So the number of observations is exact, and each value is at most 2.2 % off.
//
// [WithTimers] chooses another form:
//
//	Timings        name:12.5|ms|@0.1         the default
//	Parts          name.ns.count:10|c        also name.ns.sum|c, name.ns.min|g and name.ns.max|g: exact nanoseconds
//	Sum            name:125|ms               the total time of the batch, as one observation
//	Histograms     name:12.5|h|@0.1          histograms, too: name.hist-bytes:512|h
//	Distributions  name:12.5|d|@0.1          the same as |d, for Datadog
//
// [WithQuantiles] adds gauges to Parts, such as name.ns.p99. [WithPacking] writes several values of the same rate into
// one line, name:12.5:13.1:14|d|@0.125. In the forms Timings and Sum, histograms are sent as Parts.
//
// The next table shows the figures that servers compute of each form. N is the exact number of observations, S the
// exact sum, and M the exact minimum and maximum of a batch. The small letters n, s and m are approximate figures; s
// and m are at most 2.2 % off. If a letter is not in a cell, the server computes that figure wrongly or not at all.
// "Wrong" means that the server misreads the lines, and "lost" means that it refuses them. "Same" means: the same as
// without WithPacking. The rows of StatsD, statsd_exporter, telegraf and the Collector are tested. Collectd was tried
// by hand, and the other rows were read from source or documentation.
//
//	server           Timings    Parts  Sum  Histograms  Distributions  WithPacking
//	StatsD 0.9.0     N m (1)    N S M  S    wrong (2)   wrong (2)      wrong (3)
//	statsd_exporter  N s        N S M  S    N s         N s            same
//	telegraf         N s m      N S M  S    N s m       wrong (4)      lost
//	Collector (5)    N s m      N S M  S    N s m       N s m          lost
//	Datadog's agent  N s m      N S M  S    N s m       N s m          same
//	gostatsd         N m (1)    N S M  S    N m (1)     lost           lost
//	veneur           n s m (6)  N S M  S    n s m (6)   n s m (6)      N s m (6)
//	collectd         s (7)      N S M  S    lost        lost           wrong
//	statsite         m (8)      N S M  S    m (8)       lost           lost
//	netdata          m (9)      N S M  S    m (9)       lost           lost
//
// Notes:
//
//  1. Sums, means and percentiles count each line as one observation.
//  2. The lines become a counter.
//  3. StatsD keeps the last value of a line.
//  4. Telegraf passes each value on without its sample rate.
//  5. The OpenTelemetry Collector needs a timer_histogram_mapping of the observer_type histogram or summary. By default
//     it makes a gauge of each line, and ignores the sample rate.
//  6. Veneur reads rates as float32: it counts 14999.999838 for 15,000. The rates of WithPacking are powers of two,
//     which float32 has exactly. Old versions support neither |d nor packing.
//  7. Collectd counts the lines and divides their values by the rate. So only the sum is right.
//  8. Old versions of statsite ignore the sample rate.
//  9. Netdata counts at most 100 observations per line.
//
// # Servers
//
// The next table shows the options for each server. "Tested" means that tests of this package run the server, "tried"
// that it was run by hand, and "read" that its source or documentation was read.
//
//	StatsD 0.9.0            no options                                              tested
//	StatsD before 0.9       WithGraphiteTags: tags become a part of the name        read
//	statsd_exporter 0.31    no options                                              tested
//	telegraf 1.37           no options; settings below                              tested
//	Collector 0.165         udp, or WithKeptConnection with tcp                     tested
//	Datadog's agent 7       WithTimers(Distributions), WithSignedGauges;            read
//	                        FromEnvironment sets both
//	gostatsd                WithSignedGauges                                        read
//	veneur                  WithSignedGauges, WithPacking                           read
//	collectd 5.12           WithTimers(Parts), WithGraphiteTags                     tried
//	statsite                WithTimers(Parts), WithGraphiteTags                     read
//	netdata                 WithTimers(Parts); no tags                              read
//	brubeck                 WithTimers(Parts), WithGraphiteTags                     read
//
// Details, server by server:
//
//   - StatsD and statsd_exporter add in float64, which is exact up to 2^53. In nanoseconds this is 104 days.
//   - statsd_exporter refuses negative counters and counts them in statsd_exporter_events_error_total. It shows |ms in
//     seconds, and |h and |d as they are. It cannot read a container id in a line with one value and no tags: give it
//     a constant tag ([WithTags]). A name has one type there, as in Prometheus: a counter and a timer need different
//     names.
//   - Telegraf needs the settings datadog_extensions = true, and metric_separator = "." to keep dots. It puts each line
//     that comes over TCP into a queue, and throws lines away if the queue is full: set allowed_pending_messages to
//     more lines than a batch has. With more than one of number_workers_threads it mixes up the order of lines; a
//     negative gauge can then end as 0. It joins names and tags without a separator: the tags a:1b and c:2 are the same
//     as a:1 and bc:2, and a counter with the tag metric_type:counter is the same as one without it.
//   - The Collector's statsdreceiver aggregates by the client's address. By default this sink opens a TCP connection
//     per batch, so the Collector treats each batch as a different client: 10 batches in an interval make 10 points
//     of each counter and of each gauge, in no order. Set ignore_host: true, or use udp or WithKeptConnection.
//   - Datadog's agent, gostatsd and veneur take the sign of a gauge for a part of the number. Gostatsd also gives
//     both lines of a negative gauge the same timestamp and keeps only the first, name:0|g, so that without
//     WithSignedGauges every negative gauge is 0. The other servers need the two lines: with WithSignedGauges, a
//     gauge of 2 that is set to -3 becomes -1 there.
//   - Veneur refuses lines with a container id or a timestamp.
//   - Brubeck keeps values as float32: sums are exact up to 2^24. It ignores DogStatsD tags. Old versions read only the
//     first line of a packet and cannot be used.
//   - Collectd refuses lines with DogStatsD tags, and statsite does not support them.
//   - Netdata ignores DogStatsD tags, so that all series of a name become one. It reads Graphite tags as a part
//     of the value. Use different names instead of tags.
//
// Some servers take tags with certain keys for something else, and remove them: host at gostatsd and at Datadog's agent
// (the name of the machine); device and keys that begin with dd.internal. at Datadog's agent; veneurlocalonly,
// veneurglobalonly and veneursinkonly at veneur.
//
// A point that cannot be sent is dropped and counted, by reason, in [metricsbuffer.SinkStats]: a gauge that is NaN or
// infinite, and a point that is longer than a packet ([WithMaxPacket]). The lines of a point are in one packet, except
// that a distribution may need several packets; if one of them fails, the part that the server has is not sent again.
//
// # Names, keys and values
//
// A name, key or value may be any string. Two different strings are never sent as the same, and no string can add a
// line, a tag or a value. Bytes that mean something to a server are escaped; escapes use plain bytes only, and can be
// undone. The same rules hold for both ways to write tags. They hold for names, keys and values, unless the table says
// otherwise.
//
//	A-Z a-z 0-9 _ . -     as it is
//	any other byte        _xHH_, where HH is its hexadecimal number: a space is _x20_, é is _xC3__xA9_
//	_                     _x5F_ if it looks like the start of an escape: in a_x2E, but not in a_b. That is: before
//	                      an x that is followed by 0-9, A-F, _ or a byte that is escaped
//	empty                 _x_
//	_ . - at the start    of a name or key: _x5F_ _x2E_ _x2D_. A line that begins with "_sc" is a service check to
//	                      Datadog's agent, and one that begins with "_e" an event to telegraf. A key that begins with
//	                      "__" keeps statsd_exporter from showing any metric.
//	a repeated key        The second has _x_ in front, the third _x__x_: servers keep one value per key. Constant tags
//	                      come first: with WithTags of env=a, the env=b of a series is _x_env:b.
//	quantile, le          as a key: _x71_uantile and _x6C_e. A timer with such a tag makes statsd_exporter panic.
//	the end of a name     that is .ns, .hist or .hist-unit and then .count, .sum, .min, .max or .p50: the last dot is
//	                      _x2E_, as in jobs.ns_x2E_count, because jobs.ns.count belongs to the timer jobs. With
//	                      Histograms and Distributions, the dot of .hist at the end of a timer's name is escaped, too.
//	a unit                Only A-Z, a-z and 0-9 are as they are.
//	constructor, …        the name of a function of every JavaScript object: the first byte is escaped,
//	                      _x63_onstructor. StatsD 0.9.0 loses counters with such names. The others are
//	                      hasOwnProperty, isPrototypeOf, propertyIsEnumerable, toLocaleString, toString and valueOf.
//	c                     as a whole name: _x63_. Telegraf takes "c:1|c" for the id of a container and loses it.
//
// Some servers change names after that, and the sink cannot prevent it: statsd_exporter writes dots and dashes in
// names and keys as underscores, so that a.b and a_b become one metric. Datadog writes dashes in names as underscores,
// and tags in lower case.
//
// # Proof of delivery
//
// A batch is acknowledged if Write returns nil. The meaning depends on the network.
//
// tcp and unix: one connection carries one batch. The sink writes the batch, closes its sending side, and waits until
// the server closes its own side. A server that reads until the end, such as StatsD, statsd_exporter and telegraf,
// closes its side after it has read everything. If a server closes before it has read everything, the connection is
// reset. So a nil error means that the server has read the batch, with the exception below. After any other end nothing
// is acknowledged and the whole batch is sent again: the part that the server has read is then counted twice. A server
// that never closes connections cannot be used in this way. Behind a proxy, a nil error only proves that the proxy has
// read the batch. There is one exception: if the server closes early and has read all bytes that have arrived so far,
// the sink sees success although later bytes are lost.
//
// tcp and unix with [WithKeptConnection]: a nil error says that this machine's kernel has the batch, and that the
// server had not closed the connection before the batch or within 2 milliseconds after it.
//
// unixgram: a packet is acknowledged when the server's socket has it. If the server is slow, the sink waits until the
// context ends; the rest of the batch then stays in the buffer. Packets are lost only if the server ends before it
// reads its socket. They are never sent twice. Each batch goes to the socket that is at the path by then, so a
// server may start again between two batches.
//
// udp: a packet is acknowledged if it was sent and not refused. A machine refuses packets to a port on which nobody
// listens, and a router may refuse one that is too long for the next network, such as a tunnel; the packets after that
// are sent in pieces. The sink gets this error at the next write, or within 2 milliseconds after the first packet of a
// batch, after each eighth one and after the last one. So little is lost while a server on the same machine, or in the
// same network, is down: nothing, or up to 7 packets if it ends during a batch. The sink cannot notice other losses,
// such as all packets to a machine that is switched off. A refusal that comes later makes the next Write fail, although
// that Write was not refused. The sink pauses between bursts of packets, so that a server can keep up. It sends at most
// about 70,000 series per second.
//
// If the target of udp has a name instead of an address, the name is looked up again after 30 seconds and after each
// error, and packets go to the new address. If a name has addresses of both kinds, as localhost has, packets go to the
// one of IPv4; for a server that listens on IPv6 only, write udp6.
//
// A writer: a packet is acknowledged if Write of the writer returned no error.
//
// No network tells how a server goes on with a batch. StatsD and telegraf keep it in memory until their own
// interval ends, and lose it if they crash.
//
// After an error the connection is closed. The next Write opens a new one and resolves the host name again.
package statsdsink
