// Package atomic has the atomic types of the protocol between writers and flusher.
//
// In a normal build they are sync/atomic's own types, by alias. With the build tag metricsbuffer_yield they are types
// with the same methods, which stop before each access until a scheduler lets the goroutine continue (internal/yield):
// a test can then run the real code in every order of its accesses. The source of the protocol carries no marks.
package atomic
