package main

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
	"github.com/metricsbuffer/metricsbuffer/internal/fence"
)

func cores() int { return runtime.NumCPU() }

// machine describes the machine that this runs on, as far as the system tells.
func machine() result.Machine {
	m := result.Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: "unknown", Go: runtime.Version(), Cores: cores(), Fence: fence.Mode(),
	}
	switch runtime.GOOS {
	case "linux":
		text, _ := os.ReadFile("/proc/cpuinfo") // without it the model is unknown
		for line := range strings.Lines(string(text)) {
			if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	case "darwin":
		m.CPU = output("sysctl", "-n", "machdep.cpu.brand_string")
	case "windows":
		m.CPU = os.Getenv("PROCESSOR_IDENTIFIER")
	}
	if runtime.GOOS != "windows" {
		m.Kernel = output("uname", "-r")
	}
	return m
}

func output(name string, args ...string) string {
	text, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// modules returns the versions of all modules in this program.
func modules() map[string]string {
	versions := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			versions[m.Path] = m.Version
			if m.Replace != nil {
				versions[m.Path] = "this checkout"
				if commit := output("git", "rev-parse", "--short", "HEAD"); commit != "unknown" {
					versions[m.Path] = "commit " + commit
				}
			}
		}
	}
	return versions
}
