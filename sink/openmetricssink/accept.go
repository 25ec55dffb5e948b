package openmetricssink

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// A format is a way to write the page.
type format struct {
	contentType string
	render      func(s *Sink, page []byte) []byte
}

var (
	classicText = &format{"text/plain; version=0.0.4; charset=utf-8", (*Sink).appendClassic}
	openMetrics = &format{"application/openmetrics-text; version=1.0.0; charset=utf-8", (*Sink).appendOpen}
	protobuf    = &format{protobufType + "; proto=" + protobufMessage + "; encoding=delimited", (*Sink).appendProtobuf}
)

const (
	protobufType    = "application/vnd.google.protobuf"
	protobufMessage = "io.prometheus.client.MetricFamily"
)

// formatOf returns the most wanted format of the header Accept. The first of several has precedence. The classic text
// is for clients that want nothing that is served, or anything.
func formatOf(header http.Header) *format {
	best, wanted := classicText, 0.0
	for value := range strings.SplitSeq(strings.Join(header.Values("Accept"), ","), ",") {
		if name, parameters, quality := preference(value); quality > wanted {
			if f := known(name, parameters); f != nil {
				best, wanted = f, quality
			}
		}
	}
	return best
}

// known returns the format of a media range, or nil.
func known(name string, parameters map[string]string) *format {
	version := parameters["version"]
	switch name {
	case "text/plain", "text/*", "*/*":
		if version == "" || version == "0.0.4" {
			return classicText
		}
	case "application/openmetrics-text":
		if version == "" || version == "1.0.0" {
			return openMetrics
		}
	case protobufType:
		if parameters["proto"] == protobufMessage && parameters["encoding"] == "delimited" {
			return protobuf
		}
	}
	return nil
}

// takesGzip says whether the header Accept-Encoding names gzip, or anything, as acceptable.
func takesGzip(header http.Header) bool {
	gzip, anything := -1.0, 0.0
	for value := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		switch name, _, quality := preference(value); name {
		case "gzip", "x-gzip":
			gzip = max(gzip, quality)
		case "*":
			anything = quality
		}
	}
	return gzip > 0 || gzip < 0 && anything > 0
}

// preference parses a part of a header, such as "text/plain;version=0.0.4;q=0.5" (RFC 9110, section 12.4.2). A part
// that cannot be parsed has the quality 0.
func preference(part string) (name string, parameters map[string]string, quality float64) {
	name, parameters, err := mime.ParseMediaType(part)
	if err != nil {
		return "", nil, 0
	}
	q, weighted := parameters["q"]
	if !weighted {
		return name, parameters, 1
	}
	quality, err = strconv.ParseFloat(q, 64)
	if err != nil || !(0 <= quality && quality <= 1) {
		return "", nil, 0
	}
	return name, parameters, quality
}
