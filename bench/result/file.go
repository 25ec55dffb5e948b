package result

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// file is the content of results.json. Medians, quartiles and ratios follow from the samples and are not in it.
type file struct {
	*Run
	Samples []samples
}

// samples are all measurements of a contender doing a workload: by the number of goroutines and the metric, one number
// for each round.
type samples struct {
	Workload, Contender string
	ByCPU               map[int]map[string][]float64
}

// Save writes the run to a file.
func (r *Run) Save(path string) error {
	f := file{Run: r}
	for _, m := range r.Measurements {
		at := slices.IndexFunc(f.Samples, func(s samples) bool {
			return s.Workload == m.Workload && s.Contender == m.Contender
		})
		if at < 0 {
			at = len(f.Samples)
			f.Samples = append(f.Samples, samples{m.Workload, m.Contender, make(map[int]map[string][]float64)})
		}
		if f.Samples[at].ByCPU[m.CPU] == nil {
			f.Samples[at].ByCPU[m.CPU] = make(map[string][]float64)
		}
		f.Samples[at].ByCPU[m.CPU][m.Metric] = m.Samples
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(path, inLines(text), 0o644)
}

// Load reads a run from a file.
func Load(path string) (*Run, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := file{Run: new(Run)}
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%s is not the results.json of a run: %w", path, err)
	}
	for _, s := range f.Samples {
		for _, cpu := range slices.Sorted(maps.Keys(s.ByCPU)) {
			for _, metric := range slices.Sorted(maps.Keys(s.ByCPU[cpu])) {
				f.Measurements = append(f.Measurements, Measurement{
					Workload: s.Workload, Contender: s.Contender, CPU: cpu, Metric: metric, Samples: s.ByCPU[cpu][metric],
				})
			}
		}
	}
	if len(f.Contenders) == 0 || len(f.Samples) == 0 && len(f.Audit) == 0 {
		return nil, fmt.Errorf("%s has no samples and no audit: an older version of bench wrote it, or another program", path)
	}
	f.Summarize(f.Contenders[0].Name)
	return f.Run, nil
}

// inLines breaks compact JSON into lines: one for each element of a list, or of a map, that the outermost object has.
func inLines(compact []byte) []byte {
	const deepest = 2
	var text []byte
	depth, quoted, escaped := 0, false, false
	newline := func() {
		if depth <= deepest {
			text = append(text, '\n')
		}
	}
	for _, b := range compact {
		closing := !quoted && (b == '}' || b == ']')
		if closing {
			newline()
			depth--
		}
		text = append(text, b)
		switch {
		case quoted:
			quoted, escaped = escaped || b != '"', !escaped && b == '\\'
		case b == '{' || b == '[':
			depth++
			newline()
		case b == ',':
			newline()
		case b == '"':
			quoted = true
		}
	}
	return append(text, '\n')
}
