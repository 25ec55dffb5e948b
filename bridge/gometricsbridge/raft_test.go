package gometricsbridge_test

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:embed testdata/raft.go.txt
var raftProgram string

// Programs with the raft of each era build together with the bridge, and their metrics arrive. Each is a module of its
// own with the versions that its raft requires. Go fetches them from the module proxy the first time.
func TestRaft(t *testing.T) {
	if testing.Short() {
		t.Skip("builds six programs")
	}
	const armon, compat, hashicorp = "github.com/armon/go-metrics", "github.com/hashicorp/go-metrics/compat",
		"github.com/hashicorp/go-metrics"
	for _, test := range []struct{ raft, metrics, tags, goMetrics string }{
		{"v1.6.0", armon, "", "v0.5.4"},
		{"v1.7.3", compat, "", "v0.5.4"},
		{"v1.7.3", compat, "armonmetrics", "v0.5.4"},
		{"v1.7.3", compat, "hashicorpmetrics", "v0.5.4"},
		{"v1.7.3", hashicorp, "hashicorpmetrics", "v0.5.4"},
		{"v1.8.0", hashicorp, "", "v0.7.0"},
	} {
		t.Run(strings.TrimSpace(test.raft+" "+filepath.Base(test.metrics)+" "+test.tags), func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			root, err := filepath.Abs("../..")
			require.NoError(t, err)
			bridge := filepath.Join(root, "bridge", "gometricsbridge")
			write := func(name, text string) {
				require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600))
			}
			write("main.go", strings.ReplaceAll(raftProgram, "METRICS", test.metrics))
			write("go.mod", "module example.com/program\n\ngo 1.25.0\n\nrequire (\n"+
				"\tgithub.com/hashicorp/raft "+test.raft+"\n"+
				"\tgithub.com/metricsbuffer/metricsbuffer v0.0.0\n"+
				"\tgithub.com/metricsbuffer/metricsbuffer/bridge/gometricsbridge v0.0.0\n)\n\nreplace (\n"+
				"\tgithub.com/metricsbuffer/metricsbuffer => "+root+"\n"+
				"\tgithub.com/metricsbuffer/metricsbuffer/bridge/gometricsbridge => "+bridge+"\n)\n")
			run := func(arg ...string) string {
				command := exec.CommandContext(t.Context(), "go", arg...)
				command.Dir = directory
				command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
				output, err := command.CombinedOutput()
				require.NoError(t, err, "go %v: %s", arg, output)
				return string(output)
			}
			lines := strings.Split(strings.TrimSpace(run("run", "-tags", test.tags, ".")), "\n")
			require.Equal(t, "applied 10 committed true", lines[len(lines)-1])
			version := strings.TrimSpace(run("list", "-m", "-f", "{{.Version}}", "github.com/hashicorp/go-metrics"))
			require.Equal(t, test.goMetrics, version)
		})
	}
}
