package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
	"github.com/metricsbuffer/metricsbuffer/bench/report"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
	"github.com/metricsbuffer/metricsbuffer/bench/workload"
)

// A plan is what the command line asks for.
type plan struct {
	quick      bool
	rounds     int
	duration   time.Duration // of one measurement
	auditFor   time.Duration // of one scenario
	series     int
	cpus       []int
	workloads  []workload.Workload
	contenders []contender.Contender
	audit      bool
	out        string
	baseline   string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	var (
		flags     = flag.NewFlagSet("bench", flag.ContinueOnError)
		quick     = flags.Bool("quick", false, "short: less than 3 minutes, for a first look; not to be quoted")
		run       = flags.String("run", "", "comma-separated `parts` of the names of workloads to measure; audit is one")
		with      = flags.String("with", "", "comma-separated `parts` of the names of contenders to measure")
		cpu       = flags.String("cpu", "", "GOMAXPROCS and goroutines, comma-separated (default 1, 2, … twice the cores)")
		duration  = flags.Duration("duration", 0, "of one measurement (default 50ms, with -quick 10ms)")
		rounds    = flags.Int("rounds", 0, "number of rounds (default 7, with -quick 3)")
		out       = flags.String("out", "out", "`directory` for results.json, benchstat text, page and charts")
		baseline  = flags.String("baseline", "", "compare with this results.json `file` of an earlier run")
		publish   = flags.Bool("publish", false, "make RESULTS.md and the README's section from results, no more")
		list      = flags.Bool("list", false, "list workloads and contenders")
		childMode = flags.Bool("child", false, "measure what standard input asks for: how bench runs itself")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *childMode:
		return serve(os.Stdin, os.Stdout)
	case *list:
		listAll()
		return nil
	case *publish:
		return report.Publish("..")
	}

	p := plan{quick: *quick, rounds: 7, duration: 50 * time.Millisecond, auditFor: time.Second, series: 100_000,
		out: *out, baseline: *baseline}
	if *quick {
		p.rounds, p.duration, p.auditFor, p.series = 3, 10*time.Millisecond, 100*time.Millisecond, 20_000
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	if *duration > 0 {
		p.duration = *duration
	}
	var err error
	if p.cpus, err = cpus(*cpu, *quick); err != nil {
		return err
	}
	parts := split(*run)
	p.audit = len(parts) == 0 || slices.Contains(parts, "audit")
	if parts = slices.DeleteFunc(parts, func(part string) bool { return part == "audit" }); len(parts) > 0 || *run == "" {
		if p.workloads, err = workload.Select(parts); err != nil {
			return err
		}
	}
	if p.contenders, err = contender.Select(split(*with)); err != nil {
		return err
	}
	return compare(p, "go -C bench run . "+strings.Join(args, " "))
}

// compare measures, reports on the terminal and writes the files.
func compare(p plan, command string) error {
	var before *result.Run
	if p.baseline != "" {
		var err error
		if before, err = result.Load(p.baseline); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	results, err := measure(p)
	if err != nil {
		return err
	}
	results.Command = strings.TrimSpace(command)
	if err := report.Terminal(os.Stdout, results); err != nil {
		return err
	}
	if before != nil {
		if err := report.Compare(os.Stdout, before, results); err != nil {
			return err
		}
	}
	if err := report.Files(p.out, results); err != nil {
		return err
	}
	path, err := filepath.Abs(filepath.Join(p.out, "index.html"))
	if err != nil {
		return err
	}
	fmt.Printf("\n%s took %s. The page: file://%s\n", results.Command, results.Took, path)
	return nil
}

func listAll() {
	fmt.Println("workloads:")
	for _, w := range workload.All() {
		fmt.Printf("  %-14s %s. %s\n", w.Name, w.Title, w.What)
	}
	fmt.Println("  audit          Who loses counts.")
	fmt.Println("contenders:")
	for _, c := range contender.All() {
		fmt.Printf("  %-26s %s\n", c.Name, c.How)
	}
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// cpus parses -cpu.
func cpus(list string, quick bool) ([]int, error) {
	var cpus []int
	for _, s := range split(list) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-cpu: %q is not a number of processors", s)
		}
		cpus = append(cpus, n)
	}
	if len(cpus) > 0 {
		return cpus, nil
	}
	cores := runtime.NumCPU()
	for n := 1; n < cores; n *= 2 {
		cpus = append(cpus, n)
	}
	if cpus = append(cpus, cores); !quick {
		cpus = append(cpus, 2*cores)
	}
	return cpus, nil
}
