package point_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/point"
)

func TestUTF8(t *testing.T) {
	utf8 := func(name, unit, key, value string) bool {
		tags := []metricsbuffer.Tag{{Key: "a", Value: "b"}, {Key: key, Value: value}}
		return point.UTF8(&metricsbuffer.Point{Name: name, Unit: unit, Tags: tags})
	}
	require.True(t, utf8("", "é", "日本", "\ufffd\x00"))
	require.False(t, utf8("\xff", "", "", ""))
	require.False(t, utf8("", "a\xc3", "", ""))
	require.False(t, utf8("", "", "\xed\xa0\x80", ""))
	require.False(t, utf8("", "", "", "\xff"))
}
