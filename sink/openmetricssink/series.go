package openmetricssink

import (
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/prom"
)

type series = cumulative.Series[entry]

// An entry is the constant part of a series' lines.
type entry struct {
	id       prom.Identity
	family   *family
	position int // in family.members

	// The labels of a counter or gauge end before the value, as `{queue="mail"} `. Those of a histogram end before the
	// label le, as `{queue="mail",`.
	labels string

	created stamp // of the total's start
}

// admit gives the series a name and labels that no other one has. It returns the reason if that is impossible, and an
// error if the reason is another series.
func (s *Sink) admit(total *series) (refused string, err error) {
	id, refused, err := s.space.Find(&total.Point)
	if refused != "" {
		return refused, err
	}
	s.space.Claim(id, &total.Point)
	f := s.families[id.Family]
	if f == nil {
		f = newFamily(id.Family)
		if id.Family.Type == prom.Histogram {
			f.setBounds(s.bounds.Of(total.Kind, total.Unit))
		}
		s.families[id.Family] = f
		s.sorted = nil
	}
	f.describe()
	total.Detail = entry{id: id, family: f, position: len(f.members), labels: labelsOf(&id)}
	f.members = append(f.members, total)
	return "", nil
}

// redescribe takes over the description of a series that is on the page.
func (s *Sink) redescribe(total *series) {
	f := total.Detail.family
	f.Describe(&total.Point)
	f.describe()
}

// release removes the series from the page.
func (s *Sink) release(total *series) {
	e := &total.Detail
	f := e.family
	last := len(f.members) - 1
	f.members[e.position] = f.members[last]
	f.members[e.position].Detail.position = e.position
	f.members[last] = nil
	f.members = f.members[:last]
	if last == 0 {
		delete(s.families, f.Family)
		s.sorted = nil
	}
	s.space.Release(e.id)
}

// labelsOf returns the text of [entry.labels].
func labelsOf(id *prom.Identity) string {
	var b strings.Builder
	for i, label := range id.Labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(label.Key)
		b.WriteString(`="`)
		_, _ = labelEscapes.WriteString(&b, label.Value) // a Builder cannot fail
		b.WriteByte('"')
	}
	switch {
	case id.Family.Type != prom.Histogram && len(id.Labels) == 0:
		return " "
	case id.Family.Type != prom.Histogram:
		b.WriteString("} ")
	case len(id.Labels) == 0:
		return "{"
	default:
		b.WriteByte(',')
	}
	return b.String()
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// A stamp is a time, and its text as the value of a line.
type stamp struct {
	at   time.Time
	text string
}

// createdText returns the value of the series' _created line. Series of one batch share the text.
func (s *Sink) createdText(total *series) string {
	created := &total.Detail.created
	if created.text == "" || !created.at.Equal(total.Start) {
		if s.latest.text == "" || !s.latest.at.Equal(total.Start) {
			s.latest = stamp{total.Start, string(append(appendTime(nil, total.Start), '\n'))}
		}
		*created = s.latest
	}
	return created.text
}
