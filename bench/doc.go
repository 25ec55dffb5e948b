// Bench compares metricsbuffer with other ways to count and time, and audits which of them lose counts. Its help,
//
//	go -C bench run . -h
//
// has the options and examples.
//
// It measures in rounds: every contender once, and then again. A disturbance of the machine so affects all of them. A
// figure is the median of the rounds, with its quartiles and its ratio to this library in the same run. Each
// measurement begins with a fresh instance. Times differ from machine to machine; ratios differ less, and the audit not
// at all.
//
// Package contender says how each library is used, package workload how it is measured, package audit how losses are
// found, and package losses has one small test for each known loss.
package main
