// Package seriesid tells the bridges which instruments record in the same series. Two can, though they were made with
// different tags: beyond the limit of series, all that have a name share an overflow series.
package seriesid

// An ID is the same for all instruments of a series. No other series has it, as long as one of the instruments exists.
// Instruments that record nothing have the zero ID. An ID does not keep its series.
type ID struct {
	Buffer any // an address
	Kind   uint8
	Slot   uint32
}

// Of returns the ID of a counter, gauge, timer or histogram: a pointer to it. Package metricsbuffer sets it when the
// program starts. It is here and not a method there, because users need it not.
var Of func(instrument any) ID
