package conf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"reflect"
	"slices"
)

// Document is what was read. It refers to the struct that was filled, which must not change afterwards.
type Document struct {
	root    *node
	value   reflect.Value
	hash    string
	sources []Source
}

// Origin tells where the value at path ("pools.web.members[0].addr") came from:
// "lbd.yaml:12:5", "env EVERUP_LBD_LOG_LEVEL", or "default".
func (d *Document) Origin(path string) string {
	pos, ok := d.root.origin(path)
	if !ok {
		return "default"
	}
	return pos.String()
}

// Hash is the first 16 hex digits of the SHA-256 of the sources (secrets' contents included): equal hash, equal configuration.
// Expanded variables and files and overrides count as sources.
func (d *Document) Hash() string { return d.hash }

// Source returns the main file's bytes and name, to be kept as last-good.
func (d *Document) Source() (name string, data []byte) {
	return d.sources[0].Name, d.sources[0].Data
}

// Sources returns the main file and its overlays, for ParseSources.
func (d *Document) Sources() []Source { return slices.Clone(d.sources) }

// hash sums up what was read. Each text is preceded by its length, so that nothing can move from one to the next.
func (l *loader) hash(sources []Source) string {
	h := sha256.New()
	add := func(s string) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		h.Write(size[:])
		h.Write([]byte(s))
	}
	for _, s := range sources {
		add(string(s.Data))
	}
	for _, ref := range slices.Sorted(maps.Keys(l.exp.used)) {
		add("${" + ref + "}")
		add(l.exp.used[ref])
	}
	for _, o := range l.overrides {
		add(o.name)
		add(o.value)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
