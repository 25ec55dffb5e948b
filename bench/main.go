package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
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

const help = `Bench compares metricsbuffer with other ways to count and time, and audits which of them lose counts.

	go -C bench run . [options]

	go -C bench run .                          everything, in less than 30 minutes
	go -C bench run . -quick                   the same, shorter and less exact, in less than 5 minutes
	go -C bench run . -run hot,timer           some workloads; -with prometheus,tally for some contenders
	go -C bench run . -cpu 1,8,64 -run memory  with other numbers of goroutines
	go -C bench run . -out results             keeps the results where -publish looks for them
	go -C bench run . -baseline FILE           also tells which figures have changed since an earlier run
	go -C bench run . -publish                 measures nothing; makes the page, the chart, RESULTS.md and the README's
	                                           block from results/results.json

The options:

`

// A plan is the work that the command line asks for.
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
	var err error
	if slices.Equal(os.Args[1:], []string{childFlag}) {
		err = serve(os.Stdin, os.Stdout)
	} else {
		err = run(os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run does as the command line says. Asking for help is no error.
func run(args []string, stdout io.Writer) error {
	var (
		flags = flag.NewFlagSet("bench", flag.ContinueOnError)
		quick = flags.Bool("quick", false, "short, for a first look; not to be quoted")
		run   = flags.String("run", "", "comma-separated `parts` of the names of workloads to measure; audit is one")
		with  = flags.String("with", "", "comma-separated `parts` of the names of contenders to measure")
		cpu   = flags.String("cpu", "",
			"comma-separated `numbers` of goroutines, and GOMAXPROCS (default 1, 2, … twice the cores)")
		duration = flags.Duration("duration", 0, "of one measurement (default 50ms, with -quick 10ms)")
		rounds   = flags.Int("rounds", 0, "number of rounds (default 7, with -quick 3)")
		out      = flags.String("out", "out", "`directory` for results.json, benchstat.txt, index.html and summary.svg")
		baseline = flags.String("baseline", "", "compare with the results.json `file` of an earlier run")
		publish  = flags.Bool("publish", false, "make all that is published from results/results.json, and measure nothing")
		list     = flags.Bool("list", false, "list workloads and contenders")
	)
	var usage strings.Builder
	flags.SetOutput(&usage)
	flags.Usage = func() {
		usage.WriteString(help)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(stdout, usage.String())
		return err
	case err != nil:
		return fmt.Errorf("%w: -h shows the options", err)
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: -h shows the options", flags.Arg(0))
	case *list:
		return listAll(stdout)
	case *publish:
		return report.Publish("..")
	}

	p := plan{quick: *quick, rounds: 7, duration: 50 * time.Millisecond, auditFor: time.Second, series: 100_000,
		out: *out, baseline: *baseline}
	if *quick {
		p.rounds, p.duration, p.auditFor, p.series = 3, 10*time.Millisecond, 100*time.Millisecond, 20_000
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if given["rounds"] {
		p.rounds = *rounds
	}
	if given["duration"] {
		p.duration = *duration
	}
	if p.rounds < 1 || p.duration <= 0 {
		return fmt.Errorf("-rounds %d -duration %v: both must be positive", p.rounds, p.duration)
	}
	for name, list := range map[string]string{"run": *run, "with": *with, "cpu": *cpu} {
		if list != "" && len(split(list)) == 0 {
			return fmt.Errorf("-%s %q names nothing: leave the option out for its default", name, list)
		}
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
	return compare(stdout, p, strings.TrimSpace("go -C bench run . "+strings.Join(args, " ")))
}

// compare measures, reports on the terminal and writes the files.
func compare(stdout io.Writer, p plan, command string) error {
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
	results.Command = command
	if err := report.Terminal(stdout, results); err != nil {
		return err
	}
	if before != nil {
		if err := report.Compare(stdout, before, results); err != nil {
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
	_, err = fmt.Fprintf(stdout, "\n%s took %s. The page: file://%s\n", results.Command, results.Took, path)
	return err
}

func listAll(w io.Writer) error {
	var text strings.Builder
	text.WriteString("workloads:\n")
	for _, workload := range workload.All() {
		fmt.Fprintf(&text, "  %-14s %s. %s\n", workload.Name, workload.Title, workload.Description)
	}
	text.WriteString("  audit          Which contenders lose counts.\ncontenders:\n")
	for _, c := range contender.All() {
		fmt.Fprintf(&text, "  %-26s %s\n", c.Name, c.How)
	}
	_, err := io.WriteString(w, text.String())
	return err
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
			return nil, fmt.Errorf("-cpu: %q is not a number of goroutines: write for example -cpu 1,2,4", s)
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
