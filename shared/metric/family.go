package metric

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

type kind string

const (
	kindCounter   kind = "counter"
	kindGauge     kind = "gauge"
	kindHistogram kind = "histogram"
)

// family is all metrics of one name.
type family struct {
	name   string
	help   string
	kind   kind
	labels []string
	max    int // combinations; 0 for a family registered one by one

	mu     sync.RWMutex
	series map[string]*series // by appendKey of the values
}

// series is one combination of label values.
type series struct {
	values []string
	v      sample
}

// same reports whether f may take part in the family too.
func (f *family) same(g *family) bool {
	return f.kind == g.kind && f.help == g.help && f.max == 0 && g.max == 0 && slices.Equal(f.labels, g.labels)
}

// outputNames are the names that stand at the start of lines.
func (f *family) outputNames() []string {
	if f.kind == kindHistogram {
		return []string{f.name, f.name + "_bucket", f.name + "_sum", f.name + "_count"}
	}
	return []string{f.name}
}

// get returns the combination's series. make is called with the lock held, for a new one.
func (f *family) get(values []string, make func() sample, overflow *Counter) sample {
	var stack [128]byte
	key := appendKey(stack[:0], values)
	f.mu.RLock()
	s := f.series[string(key)]
	f.mu.RUnlock()
	if s != nil {
		return s.v
	}
	return f.add(values, make, overflow)
}

func (f *family) add(values []string, make func() sample, overflow *Counter) sample {
	if len(values) != len(f.labels) {
		panic(fmt.Sprintf("BUG: metric: %s has %d labels, got %d values", f.name, len(f.labels), len(values)))
	}
	own := cleanAll(values) // a new slice: the caller's stays on its stack
	key := string(appendKey(nil, own))
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.series[key]; s != nil {
		return s.v
	}
	if len(f.series) >= f.max {
		overflow.Inc()
		own = slices.Repeat([]string{"other"}, len(own))
		key = string(appendKey(nil, own))
		if s := f.series[key]; s != nil {
			return s.v
		}
	}
	s := &series{own, make()}
	f.series[key] = s
	return s.v
}

func (f *family) delete(values []string) {
	key := string(appendKey(nil, cleanAll(values)))
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.series, key)
}

// sorted returns the series by their values.
func (f *family) sorted() []*series {
	f.mu.RLock()
	out := make([]*series, 0, len(f.series))
	for _, s := range f.series {
		out = append(out, s)
	}
	f.mu.RUnlock()
	slices.SortFunc(out, func(a, b *series) int { return slices.Compare(a.values, b.values) })
	return out
}

// appendKey joins values so that no two lists give the same key.
func appendKey(b []byte, values []string) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return b
}

// maxValue bounds a label value in bytes; more is cut off.
const maxValue = 128

// clean makes v fit to print: valid UTF-8 and bounded, for it may come from a client.
func clean(v string) string {
	return strings.ToValidUTF8(v[:min(len(v), maxValue)], "\uFFFD")
}

func cleanAll(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = clean(v)
	}
	return out
}

// check panics unless the family can be registered under the short name. The rules are those of "promtool check metrics".
func (f *family) check(short string) {
	checkName("name", short)
	if f.help == "" {
		panic("BUG: metric: " + f.name + " has no help")
	}
	if total := strings.HasSuffix(short, "_total"); total != (f.kind == kindCounter) {
		panic("BUG: metric: " + f.name + ": counters, and only counters, end in _total")
	}
	for _, s := range []string{"_bucket", "_count", "_sum", "_info"} {
		if f.kind == kindHistogram && strings.HasSuffix(short, s) {
			panic("BUG: metric: histogram " + f.name + " ends in " + s)
		}
	}
	for i, l := range f.labels {
		checkName("label", l)
		if strings.HasPrefix(l, "__") || f.kind == kindHistogram && l == "le" || slices.Contains(f.labels[:i], l) {
			panic(fmt.Sprintf("BUG: metric: %s: label %q is reserved or doubled", f.name, l))
		}
	}
}

// checkName panics unless s is lower-case letters, digits and underscores, beginning with a letter.
func checkName(what, s string) {
	for i, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || i > 0 && (c == '_' || c >= '0' && c <= '9') {
			continue
		}
		s = ""
		break
	}
	if s == "" {
		panic(fmt.Sprintf("BUG: metric: %s must be lower-case letters, digits and underscores", what))
	}
}

func checkBounds(bounds []float64) {
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= bounds[i-1] {
			panic(fmt.Sprintf("BUG: metric: histogram bounds must ascend and be finite: %v", bounds))
		}
	}
}
