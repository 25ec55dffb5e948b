// Bench runs metricsbuffer beside what a program would use instead, and says who is fast, who is small, and who loses
// counts:
//
//	go -C bench run .                      everything, in less than 30 minutes
//	go -C bench run . -quick               the same, shorter and less exact, in less than 3 minutes
//	go -C bench run . -run hot,timer       some workloads only; -with prometheus,tally some contenders only
//	go -C bench run . -baseline FILE       also compares with the results.json of an earlier run
//	go -C bench run . -out results         keeps what it found where the next line looks for it
//	go -C bench run . -publish             makes RESULTS.md and the README's section from results, and measures nothing
//
// It measures in rounds, one contender after the other and then again, so that whatever else happens on the machine
// happens to all of them; every figure is the median of the rounds, with its quartiles and with its ratio to this
// library in the same run. Each round begins with a fresh instance. Absolute times differ from machine to machine;
// ratios and, more so, the audit do not.
//
// Where to read on: package contender has what each library is made to do, package workload what is measured, package
// audit how losses are found, and package losses one small test for each loss that was found.
package main
