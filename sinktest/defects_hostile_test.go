package sinktest_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

const notApart = "have not arrived as series of their own"

// newlinesKept escapes everything but the end of the line.
func newlinesKept(s *sender) {
	escape := s.escape
	s.escape = func(text string) string { return strings.ReplaceAll(escape(text), "%0A", "\n") }
}

var hostileDefects = map[string]flawed{
	"does not escape newlines": {"Hostile", "the output is not valid", sending(newlinesKept)},
	"does not escape newlines, with a lenient parser": {"Hostile", `counter "root" = `, sending(func(s *sender) {
		newlinesKept(s)
		s.server.lenient = true
	})},
	"writes empty values": {"Hostile", "the output is not valid", sending(func(s *sender) { s.drop = infinite })},
	"replaces characters": {"Hostile", notApart, sending(func(s *sender) {
		s.escape = func(text string) string {
			return strings.Map(func(r rune) rune {
				if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz", r) {
					return r
				}
				return '_'
			}, text)
		}
	})},
	"folds case": {"Hostile", `counter "root" = `, sending(func(s *sender) {
		s.escape = func(text string) string { return newSender().escape(strings.ToLower(text)) }
	})},
	"drops the last of two tags with one key": {"Hostile", notApart, sending(func(s *sender) {
		s.tags = func(tags []metricsbuffer.Tag) []metricsbuffer.Tag {
			return slices.CompactFunc(tags, func(a, b metricsbuffer.Tag) bool { return a.Key == b.Key })
		}
	})},
	"drops the first of two tags with one key": {"Hostile", notApart, sending(func(s *sender) {
		s.tags = func(tags []metricsbuffer.Tag) []metricsbuffer.Tag {
			slices.Reverse(tags)
			return slices.CompactFunc(tags, func(a, b metricsbuffer.Tag) bool { return a.Key == b.Key })
		}
	})},
	"drops a tag that is given twice": {"Hostile", notApart, sending(func(s *sender) { s.tags = slices.Compact })},
	"joins the values of a key": {"Hostile", notApart, sending(func(s *sender) {
		s.tags = func(tags []metricsbuffer.Tag) (joined []metricsbuffer.Tag) {
			for _, tag := range tags {
				if n := len(joined); n > 0 && joined[n-1].Key == tag.Key {
					joined[n-1].Value += "," + tag.Value
				} else {
					joined = append(joined, tag)
				}
			}
			return joined
		}
	})},
	"forgets the unit": {"Hostile", `histogram "size" = `, sending(func(s *sender) { s.unitless = true })},
	"is poisoned by a name": {"Hostile", `A point that cannot be delivered must be dropped`, writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			for _, p := range batch.Points {
				if p.Name == "\xff" {
					return errBroken
				}
			}
			return s.Write(ctx, batch)
		})},
	"changes a tag": {"Hostile", "Write changed a point of the batch", writing(
		func(_ *sender, _ context.Context, batch *metricsbuffer.Batch) error {
			for _, p := range batch.Points {
				if len(p.Tags) > 0 {
					p.Tags[0].Key = "changed"
				}
			}
			return nil
		})},
	"has a reason for each point": {"Hostile", "reasons must be few", sending(func(s *sender) {
		s.drop = func(p *metricsbuffer.Point) string { return fmt.Sprintf("cannot deliver %q", p.Name) }
	})},
	"drops without a reason": {"Hostile", "reasons must be few, constant and not empty", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			err := s.Write(ctx, batch)
			for i := range batch.Points {
				if _, dropped := batch.Dropped(i); dropped {
					batch.Drop(i, "")
				}
			}
			return err
		})},
	"skips without dropping": {"Hostile", notApart, writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			return s.Write(ctx, &metricsbuffer.Batch{Points: batch.Points})
		})},
	"delivers dropped points": {"Hostile", "series arrived that were not recorded", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			err := s.Write(ctx, batch)
			if len(batch.Points) > 100 {
				batch.Drop(100, "cannot be delivered")
			}
			return err
		})},
	"gives up at the first drop": {"Hostile", notApart, writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			first := slices.IndexFunc(batch.Points, func(p metricsbuffer.Point) bool { return s.drop(&p) != "" })
			if first < 0 {
				return s.Write(ctx, batch)
			}
			batch.Drop(first, "the name is empty")
			return s.Write(ctx, &metricsbuffer.Batch{Points: batch.Points[:first]})
		})},
	"drops the batch of a hostile point": {"Hostile", "must not take others of its batch along", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			hostile := func(p metricsbuffer.Point) bool { return s.drop(&p) != "" }
			if !slices.ContainsFunc(batch.Points, hostile) {
				return s.Write(ctx, batch)
			}
			for i := range batch.Points {
				batch.Drop(i, "the payload was refused")
			}
			return nil
		})},
	"drops everything after a hostile batch": {"Hostile", `counter "conformance_jobs" "worker"="a" = 5 has not arrived`,
		sending(func(s *sender) {
			drop, seen := s.drop, false
			s.drop = func(p *metricsbuffer.Point) string {
				if seen && strings.HasPrefix(p.Name, "conformance") {
					return "blocked"
				}
				seen = true
				return drop(p)
			}
		})},
	"limits the length of texts": {"Hostile", notApart, escaping(func(text string) string {
		return text[:min(len(text), 255)]
	})},
	"collapses underscores": {"Hostile", notApart, escaping(func(text string) string {
		return strings.ReplaceAll(text, "__", "_")
	})},
	"escapes all but backslashes": {"Hostile", notApart, escaping(func(text string) string {
		return strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(text)
	})},
	"escapes all but percent signs": {"Hostile", notApart, escaping(func(text string) string {
		return strings.ReplaceAll(text, "\n", "%0A")
	})},
	"escapes all but plus signs": {"Hostile", notApart, sending(func(s *sender) {
		s.escape = func(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "%2B", "+") }
	})},
	"makes numbers of texts": {"Hostile", notApart, escaping(func(text string) string {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
		return text
	})},
	"has a tag and a field of one key": {"Hostile", notApart, writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			points := s.expressible(batch)
			for i := range points {
				p := &points[i]
				for _, tag := range p.Tags {
					if tag.Key == "name" {
						p.Name = tag.Value
					}
				}
				p.Tags = slices.DeleteFunc(slices.Clone(p.Tags), func(tag metricsbuffer.Tag) bool { return tag.Key == "name" })
			}
			return s.Write(ctx, &metricsbuffer.Batch{Points: points})
		})},
	"takes the count of a histogram for a counter's": {"Hostile", "have the sum of several recorded series", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			points := s.expressible(batch)
			for i := range points {
				if p := &points[i]; p.Kind == metricsbuffer.KindHistogram && p.Unit == "" {
					p.Kind, p.Name = metricsbuffer.KindCounter, p.Name+".count"
				}
			}
			return s.Write(ctx, &metricsbuffer.Batch{Points: points})
		})},
	"fails if it drops all": {"Hostile", "A point that cannot be delivered must be dropped: broken", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			points := s.expressible(batch)
			if len(points) == 0 && len(batch.Points) > 0 {
				return errBroken
			}
			return s.Write(ctx, &metricsbuffer.Batch{Points: points})
		})},
	"counts wrong": {"Hostile", "series have got another value", sending(func(s *sender) {
		s.value = func(p *metricsbuffer.Point) string {
			if p.Name == "root" && len(p.Tags) > 0 {
				return "7"
			}
			return number(p)
		}
	})},
}
