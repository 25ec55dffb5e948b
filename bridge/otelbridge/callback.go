package otelbridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
	"github.com/metricsbuffer/metricsbuffer/internal/seriesid"
)

// ErrObservable is the error of a callback that cannot observe an instrument: it is registered for an instrument of
// another meter or another package, or of one beyond the limit. It also reports, to [otel.Handle], that a callback
// observes an instrument for which it is not registered, or a total that has grown by more than a counter can hold.
var ErrObservable = errors.New("otelbridge: the callback cannot observe the instrument")

// A callback is a function that the buffer polls. Each is polled by itself, so one that hangs harms only itself. The
// buffer does not call it twice at a time.
type callback struct {
	embedded.Registration

	provider   *MeterProvider
	number     uint64 // callbacks that were registered later have greater ones
	registered map[observableID]bool
	poll       *metricsbuffer.Poll
	totals     map[*sum]*big.Int // in steps, as observed by the call before; used by calls only
	told       sync.Map          // the texts of errors that were reported: a few for each instrument

	// The provider's lock for sums guards the fields below.
	sums  map[seriesid.ID]level // as observed by the call before
	ended bool
}

// A call is one call of a callback. It adds up what is observed for a series, as the SDK does. The callback may observe
// on several goroutines.
type call struct {
	*callback

	mu     sync.Mutex // guards the fields below
	over   bool       // the callback has returned
	totals map[*sum]*total
	sums   map[seriesid.ID]level // several sets of attributes may have one series
}

// A level is the sum of what a call observes for the series of a gauge.
type level struct {
	of  *metricsbuffer.Gauge
	sum float64
}

// A total is the sum of observations of int64 and of float64. It is exact, because a sum that depends on the order of
// the observations could be smaller than the one before. Only its growth needs to fit an int64.
type total struct {
	of    *instrument[*sum]
	whole big.Int
	float big.Float
}

// exact is enough precision for any sum of float64, in steps: from 2^-1074 to 2^1024, times 10^9, times their number.
const exact = 2200

func (p *MeterProvider) poll(ids []observableID, f func(context.Context, *call) error) *callback {
	c := &callback{
		provider: p, number: p.callbacks.Add(1),
		registered: make(map[observableID]bool, len(ids)), totals: make(map[*sum]*big.Int),
	}
	for _, id := range ids {
		c.registered[id] = true
	}
	c.poll = p.buffer.Poll(func() {
		observed := &call{
			callback: c, totals: make(map[*sum]*total), sums: make(map[seriesid.ID]level),
		}
		defer observed.end() // also if f panics
		err := f(context.Background(), observed)
		observed.end()
		observed.record()
		if err != nil {
			otel.Handle(fmt.Errorf("otelbridge: a callback failed: %w", err))
		}
	})
	return c
}

// end makes later observations an error. Nobody changes the call from then on.
func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// record records the totals and sums.
func (c *call) record() {
	for s, t := range c.totals {
		growth, ok := c.growth(s, t)
		if !ok {
			t.of.reject()
			c.tell(fmt.Errorf("%w: the total of %q has grown by more than a counter can hold; "+
				"this growth is not recorded, later growth is", ErrObservable, t.of.Name))
			continue
		}
		s.steps.Add(growth)
	}
	c.provider.setSums(c.callback, c.sums, false)
}

// growth returns by how many steps the total has grown, or false if they do not fit an int64. A total that is smaller
// than the one before has begun anew at zero, unless it is only rounded.
func (c *callback) growth(s *sum, t *total) (growth int64, ok bool) {
	now := t.steps()
	before := c.totals[s]
	if before != nil && t.isRounded(now, before) {
		return 0, true // the next one grows from the greater of both
	}
	c.totals[s] = now
	if before != nil && now.Cmp(before) >= 0 {
		now = new(big.Int).Sub(now, before)
	}
	return now.Int64(), now.IsInt64()
}

// steps returns the total in steps, rounded down. A total that is a whole number of steps but for the noise of scaling
// is that number. A greater total never gives fewer steps.
func (t *total) steps() *big.Int {
	factor := decimal.Power(t.of.decimals)
	float := new(big.Float).SetPrec(exact).Mul(&t.float, new(big.Float).SetInt64(factor))
	if factor != 1 {
		nearly, _ := float.Float64()
		float.Add(float, big.NewFloat(noiseOf(nearly)))
	}
	steps, _ := float.Int(nil)
	return steps.Add(steps, new(big.Int).Mul(&t.whole, big.NewInt(factor)))
}

// isRounded says whether the total is smaller than the one before by no more than rounding explains. A program that
// adds up float64 in another order gets another sum, which may be just below a whole number of steps. A small total is
// not taken for that: it may have begun anew and be nearly as large again.
func (t *total) isRounded(now, before *big.Int) bool {
	if t.float.Sign() == 0 || now.Cmp(before) >= 0 || before.BitLen() <= 20 {
		return false
	}
	most := new(big.Int).Rsh(before, 40)
	most.Add(most, big.NewInt(1))
	return most.Cmp(new(big.Int).Sub(before, now)) >= 0
}

// A part is a callback's part of the sum of a gauge.
type part struct {
	by *callback
	level
}

// setSums sets gauges to the sum of all callbacks' observations. A series that a callback no longer observes has no
// part from it.
func (p *MeterProvider) setSums(c *callback, sums map[seriesid.ID]level, end bool) {
	p.sumsMu.Lock()
	defer p.sumsMu.Unlock()
	if c.ended {
		return
	}
	for id := range c.sums {
		if _, ok := sums[id]; !ok {
			p.setParts(id, c)
		}
	}
	for id, l := range sums {
		p.setParts(id, c, part{c, l})
	}
	c.sums, c.ended = sums, end
}

// setParts replaces the callback's part of the gauge's sum by one or no part. The parts are added in the order of
// registration: another order may give another sum.
func (p *MeterProvider) setParts(id seriesid.ID, c *callback, by ...part) {
	parts := p.parts[id]
	i, found := slices.BinarySearchFunc(parts, c.number, func(p part, number uint64) int {
		return cmp.Compare(p.by.number, number)
	})
	if found {
		parts = slices.Delete(parts, i, i+1)
	}
	parts = slices.Insert(parts, i, by...)
	if len(parts) == 0 {
		delete(p.parts, id)
		return
	}
	p.parts[id] = parts
	sum := 0.0
	for _, part := range parts {
		sum += part.sum
	}
	parts[0].of.Set(sum)
}

// Unregister ends the calls. A call that is under way goes on, and Unregister does not wait for it.
func (c *callback) Unregister() error {
	c.poll.Stop()
	c.provider.setSums(c, nil, true)
	return nil
}

// RegisterCallback has f called before each batch, unless it can observe none of the instruments. See
// [metricsbuffer.Buffer.Poll]. As in the SDK, the error names the instruments that f cannot observe, and f is called
// for the others.
func (m *meter) RegisterCallback(f metric.Callback, instruments ...metric.Observable) (metric.Registration, error) {
	if f == nil {
		return nil, fmt.Errorf("%w: the callback is nil", ErrObservable)
	}
	var ids []observableID
	var errs error
	for _, i := range instruments {
		var o *observable
		switch i := i.(type) {
		case *int64Observable:
			o = &i.observable
		case *float64Observable:
			o = &i.observable
		default:
			return nil, fmt.Errorf("%w: a %T is not of this package; create it by this meter", ErrObservable, i)
		}
		if err := m.canObserve(o); err != nil {
			errs = errors.Join(errs, err)
		} else {
			ids = append(ids, o.id)
		}
	}
	if len(ids) == 0 {
		return noop.Registration{}, errs // as in the SDK, which does not call f
	}
	return m.provider.poll(ids, func(ctx context.Context, c *call) error { return f(ctx, observer{call: c}) }), errs
}

func (m *meter) canObserve(o *observable) error {
	switch {
	case o.meter.provider != m.provider || o.meter.scope != m.scope:
		return fmt.Errorf("%w: %q is of another meter; register the callback by the meter that created it",
			ErrObservable, o.id.Name)
	case o.id.Name == overflowName:
		return fmt.Errorf("%w: it is beyond the limit of instruments (WithMaxSeries)", ErrObservable)
	}
	return nil
}

// may says whether the callback is registered for the instrument, and reports it if not.
func (c *call) may(o *observable) bool {
	if c.registered[o.id] {
		return true
	}
	o.reject()
	c.tell(fmt.Errorf("%w: it is not registered for %q; name the instrument in RegisterCallback",
		ErrObservable, o.id.Name))
	return false
}

// tell reports an error, once: a callback may make the same mistake in each call, for each series of an instrument.
func (c *callback) tell(err error) {
	if _, told := c.told.LoadOrStore(err.Error(), true); !told {
		otel.Handle(err)
	}
}

func observedIn(opts []metric.ObserveOption) attribute.Set {
	config := metric.NewObserveConfig(opts)
	return rawAttributes(config.Attributes(), opts)
}

// totalOf returns the total to which the call adds what it observes with the options.
func (c *call) totalOf(i *instrument[*sum], opts []metric.ObserveOption) *total {
	s := i.of(observedIn(opts))
	t := c.totals[s]
	if t == nil {
		t = &total{of: i}
		t.float.SetPrec(exact)
		c.totals[s] = t
	}
	return t
}

// lock locks the call for an observation, or reports that it is too late for one and returns false.
func (c *call) lock(o *observable) bool {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		o.reject()
		c.tell(fmt.Errorf("%w: a value for %q is observed after the callback has returned", ErrObservable, o.id.Name))
		return false
	}
	return true
}

func (c *call) int64(o *observable, v int64, opts []metric.ObserveOption) {
	switch {
	case o.counter == nil:
		c.float64(o, float64(v), opts)
	case v < 0:
		o.counter.reject()
	case c.lock(o):
		defer c.mu.Unlock()
		whole := &c.totalOf(o.counter, opts).whole
		whole.Add(whole, big.NewInt(v))
	}
}

func (c *call) float64(o *observable, v float64, opts []metric.ObserveOption) {
	finite := !math.IsNaN(v) && !math.IsInf(v, 0)
	switch {
	case o.counter != nil && (!finite || v < 0):
		o.counter.reject()
	case o.gauge != nil && !finite && o.id.Kind != kindGauge:
		o.gauge.reject()
	case !c.lock(o):
		return
	case o.counter != nil:
		defer c.mu.Unlock()
		float := &c.totalOf(o.counter, opts).float
		float.Add(float, big.NewFloat(v))
	case o.id.Kind == kindGauge:
		defer c.mu.Unlock()
		o.gauge.of(observedIn(opts)).Set(v)
	default:
		defer c.mu.Unlock()
		gauge := o.gauge.of(observedIn(opts))
		id := seriesid.Of(gauge)
		c.sums[id] = level{gauge, c.sums[id].sum + v}
	}
}

// An observer is given to callbacks that are registered for any instruments.
type observer struct {
	embedded.Observer
	call *call
}

// ObserveInt64 observes v.
func (o observer) ObserveInt64(of metric.Int64Observable, v int64, opts ...metric.ObserveOption) {
	i, ok := of.(*int64Observable)
	if !ok {
		o.call.tell(fmt.Errorf("%w: a %T is not of this package", ErrObservable, of))
	} else if o.call.may(&i.observable) {
		o.call.int64(&i.observable, v, opts)
	}
}

// ObserveFloat64 observes v.
func (o observer) ObserveFloat64(of metric.Float64Observable, v float64, opts ...metric.ObserveOption) {
	i, ok := of.(*float64Observable)
	if !ok {
		o.call.tell(fmt.Errorf("%w: a %T is not of this package", ErrObservable, of))
	} else if o.call.may(&i.observable) {
		o.call.float64(&i.observable, v, opts)
	}
}

// An int64Observer is given to callbacks of one instrument.
type int64Observer struct {
	embedded.Int64Observer
	call *call
	of   *int64Observable
}

// Observe observes v.
func (o int64Observer) Observe(v int64, opts ...metric.ObserveOption) {
	o.call.int64(&o.of.observable, v, opts)
}

// A float64Observer is given to callbacks of one instrument.
type float64Observer struct {
	embedded.Float64Observer
	call *call
	of   *float64Observable
}

// Observe observes v.
func (o float64Observer) Observe(v float64, opts ...metric.ObserveOption) {
	o.call.float64(&o.of.observable, v, opts)
}
