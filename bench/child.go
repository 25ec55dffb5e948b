package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer/bench/audit"
	"github.com/metricsbuffer/metricsbuffer/bench/contender"
	"github.com/metricsbuffer/metricsbuffer/bench/result"
	"github.com/metricsbuffer/metricsbuffer/bench/workload"
)

// A mode of this library that needs a build of its own is measured by a child process: bench, built with another tag.
// It does one measurement for each request and is idle otherwise, so its rounds can be interleaved with all others.
// Requests and answers are lines of JSON on its standard input and output.

// childFlag makes a process a child. It is no option for people: main looks for it before it parses those.
const childFlag = "-child"

// A request asks for one measurement, or for the audit of a contender.
type request struct {
	Workload, Contender string
	Setting             workload.Setting

	Audit    bool
	Duration time.Duration // of one of the audit's scenarios
}

type answer struct {
	Values     workload.Values
	NotOffered bool
	Findings   []result.Finding
	Error      string
}

// do measures or audits in this process.
func (r request) do() answer {
	c, ok := contender.Find(r.Contender)
	if !ok {
		return answer{Error: fmt.Sprintf("there is no contender %q", r.Contender)}
	}
	var a answer
	var err error
	if r.Audit {
		a.Findings, err = audit.Run(c, r.Duration)
	} else {
		w, ok := workload.Find(r.Workload)
		if !ok {
			return answer{Error: fmt.Sprintf("there is no workload %q", r.Workload)}
		}
		a.Values, err = w.Measure(c, r.Setting)
	}
	switch {
	case errors.Is(err, workload.ErrNotOffered):
		a.NotOffered = true
	case err != nil:
		a.Error = err.Error()
	}
	return a
}

// serve answers requests until the input ends: it is the main function of a child.
func serve(in io.Reader, out io.Writer) error {
	requests, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(r.do()); err != nil {
			return err
		}
	}
}

// children are the processes that measure for this one, by build tag.
type children struct {
	running map[string]*child
	missing map[string]string // the reason why there is none
	builds  map[string]string // tags of contenders
	dir     string
}

type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startChildren(contenders []contender.Contender) *children {
	c := &children{running: make(map[string]*child), missing: make(map[string]string), builds: make(map[string]string)}
	for _, contender := range contenders {
		tag := contender.BuildBy
		c.builds[contender.Name] = tag
		if tag == "" || c.running[tag] != nil || c.missing[tag] != "" {
			continue
		}
		started, err := c.start(tag)
		if err != nil {
			c.missing[tag] = fmt.Sprintf("bench could not build and start itself with -tags %s: %v", tag, err)
			continue
		}
		c.running[tag] = started
	}
	return c
}

// start builds and starts a child. Its working directory must be that of bench, as it is with go -C bench run.
func (c *children) start(tag string) (*child, error) {
	if c.dir == "" {
		var err error
		if c.dir, err = os.MkdirTemp("", "metricsbuffer-bench-"); err != nil {
			return nil, err
		}
	}
	program := filepath.Join(c.dir, "bench-"+tag)
	if output, err := exec.Command("go", "build", "-tags", tag, "-o", program, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	started := &child{command: exec.Command(program, childFlag)}
	started.command.Stderr = os.Stderr
	var err error
	if started.in, err = started.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := started.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started.out = bufio.NewReader(out)
	return started, started.command.Start()
}

// ask has the request done, by the child that the contender needs or in this process.
func (c *children) ask(r request) (a answer) {
	child := c.running[c.builds[r.Contender]]
	if child == nil {
		return r.do()
	}
	err := json.NewEncoder(child.in).Encode(r)
	if err == nil {
		var line []byte
		if line, err = child.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &a)
		}
	}
	if err != nil {
		a.Error = fmt.Sprintf("%s: the child process that measures it failed: %v", r.Contender, err)
	}
	return a
}

func (c *children) stop() {
	for _, child := range c.running {
		_ = child.in.Close() // ends it
		_ = child.command.Wait()
	}
	_ = os.RemoveAll(c.dir)
}
