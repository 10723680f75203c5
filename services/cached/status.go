package cached

import (
	"fmt"
	"strconv"
	"strings"
)

// Status returns sizes, ratios and the hottest keys.
func (s *Service) Status() any {
	st := s.store.Stats()
	out := Status{
		Connections: s.gate.Counts().Current, Items: st.Items, Memory: Memory{Used: st.Used, Limit: st.Limit},
		HitRatio: map[string]float64{}, Evictions: st.Evictions, Hot: s.insight.hot.Top(hotShown),
		Curve: s.insight.estimates(st.Limit), Policy: s.store.Policy().Mode,
	}
	for _, b := range s.bound {
		out.Listen = append(out.Listen, b.String())
	}
	for _, w := range windows() {
		if r, ok := s.insight.windows.Ratio(w.span); ok {
			out.HitRatio[w.name] = r
		}
	}
	out.Summary = out.lines()
	return out
}

// lines are the status for people.
func (s *Status) lines() []Line {
	lines := []Line{
		{"items", fmt.Sprintf("%d in %s of %s", s.Items, mib(s.Memory.Used), mib(s.Memory.Limit))},
		{"connections", strconv.FormatInt(s.Connections, 10)},
		{"hit ratio", s.ratios()},
		{"evictions", fmt.Sprintf("%d, mode %s", s.Evictions, s.Policy)},
	}
	if c := s.advice(); c != "" {
		lines = append(lines, Line{"other sizes", c})
	}
	for i, h := range s.Hot[:min(3, len(s.Hot))] {
		name := ""
		if i == 0 {
			name = "hot keys"
		}
		lines = append(lines, Line{name, fmt.Sprintf("%q, %.1f %% of all", h.Key, 100*h.Share)})
	}
	return lines
}

func (s *Status) ratios() string {
	var parts []string
	for _, w := range windows() {
		if r, ok := s.HitRatio[w.name]; ok {
			parts = append(parts, fmt.Sprintf("%.1f %% in %s", 100*r, w.name))
		}
	}
	if len(parts) == 0 {
		return "nothing was read lately"
	}
	return strings.Join(parts, ", ")
}

// advice is the estimate for half, once and twice the limit.
func (s *Status) advice() string {
	var parts []string
	for _, e := range s.Curve {
		if e.Factor >= 0.5 && e.Factor <= 2 {
			parts = append(parts, fmt.Sprintf("%s %.1f %%", mib(e.Bytes), 100*e.Ratio))
		}
	}
	return strings.Join(parts, ", ")
}

func mib(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func formatFactor(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func join(s []string) string { return strings.Join(s, ", ") }
