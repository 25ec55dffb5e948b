package metricstest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/metricstest"
)

// A Till is code that records its sales.
type Till struct{ metrics *metricsbuffer.Buffer }

func (t *Till) Sell(fruit string, n int64) {
	t.metrics.IncrCounter("sold", n, metricsbuffer.Tag{Key: "fruit", Value: fruit})
	t.metrics.IncrTimer("sale", 20*time.Millisecond)
}

// The examples run as tests of their own, with this for the t that a test function is given.
func exampleT() (t *testingT, end func()) {
	t = new(testingT)
	return t, func() {
		for _, f := range t.cleanups {
			f()
		}
		fmt.Print(t.output)
	}
}

// One line asserts a value.
func ExampleCount() {
	t, end := exampleT() // in a test function: t *testing.T
	defer end()

	buffer := metricstest.New(t)
	till := &Till{metrics: buffer}
	till.Sell("apple", 2)
	till.Sell("apple", 3)

	apples := metricsbuffer.Tag{Key: "fruit", Value: "apple"}
	fmt.Println(metricstest.Count(t, buffer, "sold", apples) == 5)
	fmt.Println(metricstest.Timer(t, buffer, "sale").Count == 2)
	// Output:
	// true
	// true
}

// A scope is asked as the code under test asks it.
func ExampleCount_scope() {
	t, end := exampleT() // in a test function: t *testing.T
	defer end()

	shop := metricstest.New(t).With(metricsbuffer.T("shop", "north"))
	till := &Till{metrics: shop}
	till.Sell("apple", 2)

	fmt.Println(metricstest.Count(t, shop, "sold", metricsbuffer.T("fruit", "apple")) == 2)
	// Output:
	// true
}

// Equal compares all series, and shows the difference when the test fails.
func ExampleEqual() {
	t, end := exampleT() // in a test function: t *testing.T
	defer end()

	buffer := metricstest.New(t)
	till := &Till{metrics: buffer}
	till.Sell("apple", 2)
	till.Sell("pear", 1)

	metricstest.Equal(t, buffer, `
		counter sold{fruit=apple} 3
		counter sold{fruit=pear} 1
		timer sale 2
	`)
	// Output:
	// metricstest: the recorded series are not the wanted ones (- wanted, + recorded):
	// 	- counter sold{fruit=apple} 3
	// 	+ counter sold{fruit=apple} 2
	// 	  counter sold{fruit=pear} 1
	// 	  timer sale 2
}

// A real test has no more than this.
func TestTill(t *testing.T) {
	buffer := metricstest.New(t)
	till := &Till{metrics: buffer}
	till.Sell("apple", 2)

	metricstest.Equal(t, buffer, `
		counter sold{fruit=apple} 2
		timer sale 1
	`)
}
