package metric

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// parsed is one family as a strict reader of the format sees it.
type parsed struct {
	name, typ, help string
	samples         map[string]float64 // by name and labels as printed
}

var sampleLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\[\\n"])*",?)+)\})? (\S+)$`)

// parseText reads exposition format 0.0.4 more strictly than the format asks: HELP and TYPE must be there once for each
// family, before its samples; families ascend; no sample comes twice; histograms add up.
func parseText(text string) ([]parsed, error) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("no newline at the end")
	}
	var out []parsed
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			if len(out) > 0 && out[len(out)-1].name >= name {
				return nil, fmt.Errorf("family %s out of order", name)
			}
			out = append(out, parsed{name: name, help: help, samples: map[string]float64{}})
			continue
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("line before HELP: %q", line)
		}
		f := &out[len(out)-1]
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, typ, _ := strings.Cut(rest, " ")
			if name != f.name || f.typ != "" || !slices.Contains([]string{"counter", "gauge", "histogram"}, typ) {
				return nil, fmt.Errorf("bad or misplaced %q", line)
			}
			f.typ = typ
			continue
		}
		if err := f.addSample(line); err != nil {
			return nil, err
		}
	}
	for _, f := range out {
		if err := f.check(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *parsed) addSample(line string) error {
	m := sampleLine.FindStringSubmatch(line)
	if m == nil || f.typ == "" {
		return fmt.Errorf("not a sample: %q", line)
	}
	v, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return err
	}
	suffix, ok := strings.CutPrefix(m[1], f.name)
	histogram := suffix == "_bucket" || suffix == "_sum" || suffix == "_count"
	if !ok || histogram != (f.typ == "histogram") || !histogram && suffix != "" {
		return fmt.Errorf("%q is not of family %s", line, f.name)
	}
	id := line[:strings.LastIndexByte(line, ' ')]
	if _, dup := f.samples[id]; dup {
		return fmt.Errorf("%s twice", id)
	}
	f.samples[id] = v
	return nil
}

var leLabel = regexp.MustCompile(`,?le="([^"]*)"\}$`)

func (f *parsed) check() error {
	if len(f.samples) == 0 || f.help == "" || f.typ == "" {
		return fmt.Errorf("family %s lacks samples, help or type", f.name)
	}
	type bucket struct{ le, n float64 }
	buckets := map[string][]bucket{} // by labels without le
	for id, v := range f.samples {
		rest, ok := strings.CutPrefix(id, f.name+"_bucket")
		if f.typ != "histogram" || !ok {
			continue
		}
		m := leLabel.FindStringSubmatch(rest)
		if m == nil {
			return fmt.Errorf("%s has no le", id)
		}
		le, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return err
		}
		labels := strings.TrimSuffix(rest, m[0])
		if labels != "" && labels != "{" {
			labels += "}"
		}
		labels = strings.TrimSuffix(labels, "{")
		buckets[labels] = append(buckets[labels], bucket{le, v})
	}
	for labels, bs := range buckets {
		slices.SortFunc(bs, func(a, b bucket) int { return int(math.Copysign(1, a.le-b.le)) })
		if !slices.IsSortedFunc(bs, func(a, b bucket) int { return int(a.n - b.n) }) {
			return fmt.Errorf("%s%s is not cumulative: %v", f.name, labels, bs)
		}
		last := bs[len(bs)-1]
		count, ok := f.samples[f.name+"_count"+labels]
		_, ok2 := f.samples[f.name+"_sum"+labels]
		if !math.IsInf(last.le, 1) || !ok || !ok2 || count != last.n {
			return fmt.Errorf("%s%s: +Inf %v, count %v (%v), sum (%v)", f.name, labels, last, count, ok, ok2)
		}
	}
	if f.typ == "histogram" && len(buckets) == 0 {
		return fmt.Errorf("%s has no buckets", f.name)
	}
	return nil
}
