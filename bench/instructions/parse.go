// Package instructions guards the number of instructions that the hot operations take. Unlike a time, that number is
// the same in every run and on every machine, so a bound can be exact and never fails by chance.
package instructions

import (
	"fmt"
	"strconv"
	"strings"
)

// parse reads a file in the format of callgrind (valgrind's manual, section "Callgrind Format Specification") and
// returns the cost of each function itself, without that of the functions it calls. Callgrind writes a recursive call
// as NAME'2. It takes a function for recursive, too, if a signal interrupts it in a bad moment.
func parse(text string) (map[string]int64, error) {
	costs := make(map[string]int64)
	names := make(map[string]string) // a name stands in full the first time, then as its number: (7)
	function, called := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch key, value, _ := strings.Cut(line, "="); key {
		case "fn", "cfn":
			number, name, _ := strings.Cut(value, " ")
			if name != "" {
				names[number] = strings.TrimSuffix(name, "'2")
			}
			if key == "fn" {
				function = names[number]
			}
			continue
		case "calls":
			called = true // the next line has the cost in the called function
			continue
		}
		if line == "" || !strings.ContainsAny(line[:1], "0123456789+-*") {
			continue
		}
		if called {
			called = false
			continue
		}
		_, cost, _ := strings.Cut(line, " ")
		n, err := strconv.ParseInt(cost, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("not a line with a position and a cost: %q", line)
		}
		costs[function] += n
	}
	return costs, nil
}
