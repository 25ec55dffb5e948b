package report

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	_ "gonum.org/v1/plot/vg/vgimg" // writes PNG
	_ "gonum.org/v1/plot/vg/vgsvg" // writes SVG

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

var (
	sans = font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(10)}

	oursColor   = color.RGBA{R: 0xc0, G: 0x39, B: 0x2b, A: 0xff}
	theirsColor = color.RGBA{R: 0x2c, G: 0x3e, B: 0x50, A: 0xff}
	paleColor   = color.RGBA{R: 0xae, G: 0xb6, B: 0xbf, A: 0xff}
)

// chart draws the main metric of a workload on a logarithmic scale, the best contender on top: a dot is the median, the
// line through it spans the quartiles; a pale ring is the median with one goroutine. It also returns the number of
// rows, and no chart if there is nothing to draw.
func chart(r *result.Run, w result.Workload) (*plot.Plot, int, error) {
	cpu := r.Reference(w.Name)
	ranking := r.Ranking(w, cpu)
	n := len(ranking)
	if n == 0 || ranking[0].Median <= 0 {
		return nil, 0, nil
	}
	p := plot.New()
	p.Title.TextStyle.Font, p.X.Label.TextStyle.Font = sans, sans
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font = sans, sans
	p.Title.Text = fmt.Sprintf("%s, %s", w.Title, goroutines(cpu))
	p.X.Label.Text = unit(w.Main)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())

	names, rows := labels(r), make([]string, n)
	ours := make(map[string]bool)
	for _, c := range r.Contenders {
		ours[c.Name] = c.Ours
	}
	for i, m := range ranking {
		y := float64(n - 1 - i)
		rows[n-1-i] = names[m.Contender]
		dot := theirsColor
		if ours[m.Contender] {
			dot = oursColor
		}
		quartiles, err := plotter.NewLine(plotter.XYs{{X: m.Low, Y: y}, {X: m.High, Y: y}})
		if err != nil {
			return nil, 0, err
		}
		quartiles.Color = dot
		if err := points(p, m.Median, y, draw.CircleGlyph{}, dot); err != nil {
			return nil, 0, err
		}
		if single := r.Find(w.Name, m.Contender, 1, w.Main); single != nil && cpu != 1 && single.Median > 0 {
			if err := points(p, single.Median, y, draw.RingGlyph{}, paleColor); err != nil {
				return nil, 0, err
			}
		}
		p.Add(quartiles)
	}
	p.X.Min, p.X.Max = p.X.Min/1.2, p.X.Max*1.2
	p.NominalY(rows...)
	return p, n, nil
}

func points(p *plot.Plot, x, y float64, glyph draw.GlyphDrawer, c color.Color) error {
	scatter, err := plotter.NewScatter(plotter.XYs{{X: x, Y: y}})
	if err != nil {
		return err
	}
	scatter.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(3), Shape: glyph}
	p.Add(scatter)
	return nil
}

// chartName is the name of a workload's chart, without what the format adds.
func chartName(w result.Workload) string {
	if w.Name == "export-1%" {
		return "export-1-percent"
	}
	return w.Name
}

// charts writes every workload's chart as SVG and as PNG.
func charts(directory string, r *result.Run) error {
	for _, w := range r.Workloads {
		p, rows, err := chart(r, w)
		if err != nil {
			return fmt.Errorf("chart of %s: %w", w.Name, err)
		}
		if p == nil {
			continue
		}
		for _, format := range []string{"svg", "png"} {
			path := filepath.Join(directory, chartName(w)+"."+format)
			if err := save(p, vg.Points(float64(100+16*rows)), format, path); err != nil {
				return fmt.Errorf("chart of %s: %w", w.Name, err)
			}
		}
	}
	return nil
}

// save writes a chart with a margin, which long names need.
func save(p *plot.Plot, height vg.Length, format, path string) error {
	const margin = 10
	canvas, err := draw.NewFormattedCanvas(vg.Points(700), height, format)
	if err != nil {
		return err
	}
	area := draw.New(canvas)
	area.SetColor(color.White)
	area.Fill(area.Path())
	p.Draw(draw.Crop(area, margin, -margin, margin, -margin))
	var image bytes.Buffer
	if _, err := canvas.WriteTo(&image); err != nil {
		return err
	}
	return os.WriteFile(path, image.Bytes(), 0o644)
}
