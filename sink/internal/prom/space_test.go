package prom_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

type tag = metricsbuffer.Tag

func gauge(name string, tags ...tag) *metricsbuffer.Point {
	return &metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: name, Tags: tags}
}

// A name is taken from Claim to Release of the last series with it.
func TestClaimAndRelease(t *testing.T) {
	space := prom.NewSpace("test", []prom.Label{{Key: "zone", Value: "1"}})
	find := func(p *metricsbuffer.Point) prom.Identity {
		id, refused, err := space.Find(p)
		require.NoError(t, err)
		require.Empty(t, refused)
		return id
	}
	a, b := gauge("a.b", tag{Key: "x", Value: "1"}), gauge("a.b", tag{Key: "x", Value: "2"})
	idA, idB := find(a), find(b)
	require.Equal(t, []prom.Label{{Key: "x", Value: "1"}, {Key: "zone", Value: "1"}}, idA.Labels)
	require.Equal(t, "a_b", idA.Family.Name())
	require.NotEqual(t, idA.Key, idB.Key)
	_ = find(gauge("a-b")) // nobody has claimed it
	space.Claim(idA, a)
	idB = find(b)
	require.Same(t, idA.Family, idB.Family)
	space.Claim(idB, b)
	require.Same(t, idA.Family, space.Family("a_b"))

	_, refused, err := space.Find(gauge("a-b"))
	require.Equal(t, prom.Collides, refused)
	require.EqualError(t, err, `test: gauge "a.b" and gauge "a-b" would both be a_b: `+
		"the first is served, the second dropped; rename one")
	_, refused, err = space.Find(gauge("a.b", tag{Key: "zone", Value: "2"}))
	require.Equal(t, "a label with two values", refused)
	require.NoError(t, err, "one series is at fault, not two")

	space.Release(idA)
	_, refused, _ = space.Find(gauge("a-b"))
	require.Equal(t, prom.Collides, refused)
	require.Equal(t, idA.Key, find(a).Key)
	space.Release(idB)
	_ = find(gauge("a-b"))
	require.Nil(t, space.Family("a_b"))
}

// A series has the same key in any order of its labels, and with empty ones.
func TestKey(t *testing.T) {
	a, b := prom.Label{Key: "a", Value: "1"}, prom.Label{Key: "b", Value: "2"}
	key := prom.Key("x", []prom.Label{a, b})
	require.Equal(t, key, prom.Key("x", []prom.Label{b, {Key: "c"}, a}))
	require.NotEqual(t, key, prom.Key("x", []prom.Label{a}))
	require.NotEqual(t, key, prom.Key("y", []prom.Label{a, b}))
}

func TestDescribe(t *testing.T) {
	require.Equal(t, `counter "x"`, prom.Describe(&metricsbuffer.Point{Name: "x"}))
	require.Equal(t, `counter "x" in "By" (decimals: 2)`,
		prom.Describe(&metricsbuffer.Point{Name: "x", Unit: "By", Decimals: 2}))
}
