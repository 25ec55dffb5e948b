package decimal_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
)

func TestAppend(t *testing.T) {
	for _, test := range []struct {
		n           int64
		decimals    int
		long, short string
	}{
		{0, 0, "0", "0"}, {0, 3, "0.000", "0"}, {5, 0, "5", "5"}, {-5, 0, "-5", "-5"}, {250, 2, "2.50", "2.5"},
		{300, 2, "3.00", "3"}, {1, 18, "0.000000000000000001", "0.000000000000000001"}, {-1, 2, "-0.01", "-0.01"},
		{-250, 1, "-25.0", "-25"}, {100, 0, "100", "100"},
		{math.MaxInt64, 18, "9.223372036854775807", "9.223372036854775807"},
		{5, -1, "5", "5"}, {5, 100, "0.000000000000000005", "0.000000000000000005"}, // of a point that a program has made
		{math.MinInt64, 9, "-9223372036.854775808", "-9223372036.854775808"},
	} {
		require.Equal(t, test.long, string(decimal.Append(nil, test.n, test.decimals)))
		require.Equal(t, test.short, string(decimal.AppendShort(nil, test.n, test.decimals)))
	}
}

// Both forms are the exact quotient, and can be read back.
func TestExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		n, decimals := int64(random.Uint64())>>random.IntN(64), random.IntN(decimal.Most+1)
		want := big.NewRat(n, decimal.Power(decimals))
		long := string(decimal.Append(nil, n, decimals))
		for _, text := range []string{long, string(decimal.AppendShort(nil, n, decimals))} {
			got, ok := new(big.Rat).SetString(text)
			require.True(t, ok, text)
			require.Zero(t, want.Cmp(got), "%d, %d is written as %s", n, decimals, text)
		}
		read, places, err := decimal.Parse(long)
		require.NoError(t, err)
		require.Equal(t, n, read)
		require.Equal(t, decimals, places)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", ".", "1.", "-", "1.-5", "1.+5", "1e3", "1.5e3", "NaN", "0.0000000000000000001", "99999999999999999999",
		"1_0", "1._5",
	} {
		_, _, err := decimal.Parse(text)
		require.Error(t, err, text)
	}
}
