package otelsink

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rejectedBy says whether the backend has taken the rest, because all errors that err is made of say so, and how many
// points it has rejected. The exporters' error for that is of an internal type, so only the type's name can tell. A
// text would not do: an error of the network may contain any.
func rejectedBy(err error) (points int64, partial bool) {
	switch err := err.(type) { //nolint:errorlint // it looks at each error of the tree
	case interface{ Unwrap() []error }:
		all := err.Unwrap()
		for _, one := range all {
			n, partial := rejectedBy(one)
			if !partial {
				return 0, false
			}
			points += n
		}
		return points, len(all) > 0
	case interface{ Unwrap() error }:
		return rejectedBy(err.Unwrap())
	}
	t := reflect.TypeOf(err)
	if t == nil || t.Name() != "PartialSuccess" ||
		!strings.Contains(t.PkgPath(), "go.opentelemetry.io/otel/exporters/otlp/") { // behind vendor/ in some programs
		return 0, false
	}
	if n := reflect.ValueOf(err).FieldByName("RejectedItems"); n.IsValid() && n.CanInt() {
		return n.Int(), true
	}
	return 1, true // an exporter of another version: better an error too many than a loss that is not told
}

const (
	tooLarge = "too large"
	invalid  = "refused as invalid"
	notJSON  = "not in JSON"
)

// refusal returns the reason why a request with this content can never be taken, or "". Nothing of such a request has
// been taken. The protocol forbids to repeat it.
//
// Other answers are final by the protocol, too, such as those to a wrong token or path. They are not about the content:
// the points would be taken after somebody has mended the configuration. Some servers call such a request invalid, too:
// see takesEmpty. A ResourceExhausted may mean a quota, so its message has to speak of a size.
//
// An exporter that writes JSON, such as stdoutmetric, has an error of encoding/json for NaN and infinities.
func refusal(err error) (reason string) {
	if unsupported := new(json.UnsupportedValueError); errors.As(err, &unsupported) {
		return notJSON
	}
	s, ok := status.FromError(err)
	if !ok {
		return refusalOfHTTP(err)
	}
	switch s.Code() {
	case codes.InvalidArgument:
		return invalid
	case codes.ResourceExhausted:
		mayRetry := slices.ContainsFunc(s.Details(), func(detail any) bool {
			_, ok := detail.(*errdetails.RetryInfo)
			return ok
		})
		if !mayRetry && ofSize.MatchString(s.Message()) {
			return tooLarge
		}
	}
	return ""
}

// ofSize matches the messages of the usual servers and of gRPC itself, which checks requests before it sends them.
var ofSize = regexp.MustCompile(`(?i)larger than max|exceeds maximum|too large`)

// refusalOfHTTP does the same for errors without a status of gRPC. The exporters' own errors are untyped, and known by
// the beginning of one error of the chain. Errors of the network begin otherwise, and the server's text comes later.
func refusalOfHTTP(err error) (reason string) {
	switch parts := ownError.FindStringSubmatch(err.Error()); {
	case parts == nil:
	case parts[1] == "400", parts[1] == "422":
		return invalid
	default:
		return tooLarge
	}
	switch err := err.(type) { //nolint:errorlint // it looks at each error of the tree
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			if reason = refusalOfHTTP(err); reason != "" {
				return reason
			}
		}
	case interface{ Unwrap() error }:
		if wrapped := err.Unwrap(); wrapped != nil {
			return refusalOfHTTP(wrapped)
		}
	}
	return ""
}

// ownError matches an answer of a server of HTTP, whose status is the group, and the exporters' own limit on the size
// of a request.
var ownError = regexp.MustCompile(
	`^failed to send metrics to \S+: (400|413|422) |^request (?:message|body) too large: `)
