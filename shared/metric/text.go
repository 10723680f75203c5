package metric

import (
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ContentType is the media type of WriteText's output.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// sample is what can print its lines.
type sample interface {
	append(b []byte, f *family, s *series) []byte
}

type (
	counterFunc func() uint64
	gaugeFunc   func() float64

	histogramFunc struct {
		bounds []float64
		read   func(counts []uint64) (sum float64)
	}
)

// WriteText prints all metrics in name order, those of one name in the order of their label values. It writes family
// by family; an error is the writer's.
func (r *Registry) WriteText(w io.Writer) error {
	r.mu.RLock()
	before := slices.Clone(r.before)
	r.mu.RUnlock()
	for _, f := range before {
		f()
	}
	r.mu.RLock()
	families := slices.SortedFunc(maps.Values(r.families), func(a, b *family) int { return strings.Compare(a.name, b.name) })
	r.mu.RUnlock()
	var b []byte
	for _, f := range families {
		b = f.append(b[:0])
		if len(b) == 0 {
			continue
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// append prints the family; one without a combination prints nothing.
func (f *family) append(b []byte) []byte {
	all := f.sorted()
	if len(all) == 0 {
		return b
	}
	b = append(b, "# HELP "...)
	b = append(b, f.name...)
	b = append(b, ' ')
	b = appendEscaped(b, f.help, false)
	b = append(b, "\n# TYPE "...)
	b = append(b, f.name...)
	b = append(b, ' ')
	b = append(b, f.kind...)
	b = append(b, '\n')
	for _, s := range all {
		b = s.v.append(b, f, s)
	}
	return b
}

func (c *Counter) append(b []byte, f *family, s *series) []byte {
	return appendUint(b, f, s, "", "", c.Value())
}

func (c counterFunc) append(b []byte, f *family, s *series) []byte {
	return appendUint(b, f, s, "", "", c())
}

func (g *Gauge) append(b []byte, f *family, s *series) []byte {
	return appendFloat(b, f, s, "", g.Value())
}

func (g gaugeFunc) append(b []byte, f *family, s *series) []byte {
	return appendFloat(b, f, s, "", g())
}

// append prints the buckets, cumulative. _count is the +Inf bucket, so that the two never differ.
func (h *Histogram) append(b []byte, f *family, s *series) []byte {
	counts := make([]uint64, len(h.counts))
	for i := range h.counts {
		counts[i] = h.counts[i].Load()
	}
	return appendBuckets(b, f, s, h.bounds, counts, h.Sum())
}

func (h *histogramFunc) append(b []byte, f *family, s *series) []byte {
	counts := make([]uint64, len(h.bounds)+1)
	sum := h.read(counts)
	return appendBuckets(b, f, s, h.bounds, counts, sum)
}

func appendBuckets(b []byte, f *family, s *series, bounds []float64, counts []uint64, sum float64) []byte {
	var n uint64
	for i, c := range counts {
		le := "+Inf"
		if i < len(bounds) {
			le = formatFloat(bounds[i])
		}
		n += c
		b = appendUint(b, f, s, "_bucket", le, n)
	}
	b = appendFloat(b, f, s, "_sum", sum)
	return appendUint(b, f, s, "_count", "", n)
}

func appendUint(b []byte, f *family, s *series, suffix, le string, v uint64) []byte {
	b = appendHead(b, f, s, suffix, le)
	b = strconv.AppendUint(b, v, 10)
	return append(b, '\n')
}

func appendFloat(b []byte, f *family, s *series, suffix string, v float64) []byte {
	b = appendHead(b, f, s, suffix, "")
	b = append(b, formatFloat(v)...)
	return append(b, '\n')
}

// appendHead appends name, labels and the blank before the value. le is the bucket's bound, if any.
func appendHead(b []byte, f *family, s *series, suffix, le string) []byte {
	b = append(b, f.name...)
	b = append(b, suffix...)
	sep := byte('{')
	label := func(name, value string) {
		b = append(b, sep)
		sep = ','
		b = append(b, name...)
		b = append(b, '=', '"')
		b = appendEscaped(b, value, true)
		b = append(b, '"')
	}
	for i, v := range s.values {
		label(f.labels[i], v)
	}
	if le != "" {
		label("le", le)
	}
	if sep == ',' {
		b = append(b, '}')
	}
	return append(b, ' ')
}

// appendEscaped escapes as the format wants it: backslash and newline, and the quote in label values.
func appendEscaped(b []byte, s string, quote bool) []byte {
	for _, c := range []byte(s) {
		switch {
		case c == '\\':
			b = append(b, `\\`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '"' && quote:
			b = append(b, `\"`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

func formatFloat(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
