// Command platforms type-checks every package and test of every module of a checkout for the platforms that users have.
// It also runs the analyzers of go vet that can find a platform's faults:
//
//	go run . ../../.. ../../../bench
//
// `go vet` compiles all dependencies for each platform, which takes minutes. This program reads their sources instead.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/passes/asmdecl"
	"golang.org/x/tools/go/analysis/passes/atomicalign"
	"golang.org/x/tools/go/analysis/passes/buildtag"
	"golang.org/x/tools/go/analysis/passes/shift"
	"golang.org/x/tools/go/analysis/passes/stdversion"
	"golang.org/x/tools/go/analysis/passes/unsafeptr"
	"golang.org/x/tools/go/packages"
)

// platforms are pairs of an operating system and an architecture, and build tags.
var platforms = []struct{ os, arch, tags string }{
	{"linux", "amd64", "purego"},
	{"linux", "arm64", ""},
	{"linux", "386", ""},
	{"linux", "arm", ""},
	{"darwin", "arm64", ""},
	{"windows", "amd64", ""},
	{"freebsd", "amd64", ""},
}

// analyzers look at one package at a time: they need nothing from its dependencies but types.
var analyzers = []*analysis.Analyzer{
	asmdecl.Analyzer, atomicalign.Analyzer, buildtag.Analyzer, shift.Analyzer, stdversion.Analyzer, unsafeptr.Analyzer,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: platforms WORKSPACE...")
		os.Exit(2)
	}
	failed := false
	for _, p := range platforms {
		faults, err := check(os.Args[1:], p.os, p.arch, p.tags)
		if err != nil {
			fmt.Fprintf(os.Stderr, "platforms: %s/%s: %v\n", p.os, p.arch, err)
			os.Exit(1)
		}
		for _, fault := range faults {
			failed = true
			fmt.Printf("%s/%s: %s\n", p.os, p.arch, fault)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check returns the faults of all packages in the modules of the workspaces, for one platform.
func check(workspaces []string, goos, goarch, tags string) (faults []string, err error) {
	done := make(map[string]bool)
	for _, workspace := range workspaces {
		modules, err := modules(workspace)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", workspace, err)
		}
		modules = slices.DeleteFunc(modules, func(module string) bool { return done[module] })
		for _, module := range modules {
			done[module] = true
		}
		found, err := checkModules(workspace, modules, goos, goarch, tags)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", workspace, err)
		}
		faults = append(faults, found...)
	}
	return faults, nil
}

func checkModules(workspace string, modules []string, goos, goarch, tags string) (faults []string, err error) {
	config := &packages.Config{
		Mode:       packages.LoadAllSyntax | packages.NeedModule,
		Dir:        workspace,
		Tests:      true,
		BuildFlags: []string{"-tags=" + tags},
		Env:        append(os.Environ(), "GOWORK=", "GOFLAGS=", "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
	}
	loaded, err := packages.Load(config, modules...)
	if err != nil {
		return nil, err
	}
	if len(loaded) < len(modules) {
		return nil, fmt.Errorf("%d modules have %d packages", len(modules), len(loaded))
	}
	seen := make(map[string]bool) // a package and its variant for tests share files
	report := func(fault string) {
		if !seen[fault] {
			seen[fault] = true
			faults = append(faults, fault)
		}
	}
	for _, loaded := range loaded {
		for _, fault := range loaded.Errors {
			report(fault.Error())
		}
	}
	graph, err := checker.Analyze(analyzers, loaded, nil)
	if err != nil {
		return nil, err
	}
	for _, action := range graph.Roots {
		if action.Err != nil && !action.Package.IllTyped { // its type errors are reported already
			return nil, fmt.Errorf("%s: %w", action, action.Err)
		}
		for _, diagnostic := range action.Diagnostics {
			report(fmt.Sprintf("%s: %s", action.Package.Fset.Position(diagnostic.Pos), diagnostic.Message))
		}
	}
	return faults, nil
}

// modules returns a pattern of packages for each module that the workspace uses.
func modules(workspace string) (patterns []string, err error) {
	command := exec.Command("go", "list", "-m", "-f", "{{.Dir}}")
	command.Dir = workspace
	command.Env = append(os.Environ(), "GOWORK=", "GOFLAGS=")
	output, err := command.Output()
	if err != nil {
		return nil, err
	}
	for _, dir := range strings.Fields(string(bytes.TrimSpace(output))) {
		patterns = append(patterns, filepath.Join(dir, "..."))
	}
	if len(patterns) == 0 {
		return nil, errors.New("go list -m names no module")
	}
	return patterns, nil
}
