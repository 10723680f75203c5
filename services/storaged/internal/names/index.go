package names

import (
	"strings"
	"sync"
	"time"

	"github.com/google/btree"
)

// Entry is what the index knows of an object.
type Entry struct {
	Name     string
	Size     int64
	SHA256   [32]byte
	Modified time.Time
}

// Index holds the entries of all objects in memory, in the byte order of their names. Safe for concurrent use.
type Index struct {
	mu    sync.RWMutex
	tree  *btree.BTreeG[Entry]
	bytes int64
}

// NewIndex returns an empty index.
func NewIndex() *Index {
	return &Index{tree: btree.NewG(64, func(a, b Entry) bool { return a.Name < b.Name })}
}

// Get returns the entry of name.
func (x *Index) Get(name string) (Entry, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.tree.Get(Entry{Name: name})
}

// Put adds or replaces an entry.
func (x *Index) Put(e Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old, had := x.tree.ReplaceOrInsert(e)
	if had {
		x.bytes -= old.Size
	}
	x.bytes += e.Size
}

// Delete removes the entry of name.
func (x *Index) Delete(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old, had := x.tree.Delete(Entry{Name: name}); had {
		x.bytes -= old.Size
	}
}

// Len returns the number of objects and their bytes.
func (x *Index) Len() (objects int, bytes int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.tree.Len(), x.bytes
}

// List returns up to limit entries whose names begin with prefix and come after the name after; more says whether others
// follow.
func (x *Index) List(prefix, after string, limit int) (page []Entry, more bool) {
	from := max(prefix, after)
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.tree.AscendGreaterOrEqual(Entry{Name: from}, func(e Entry) bool {
		switch {
		case !strings.HasPrefix(e.Name, prefix):
			return false
		case e.Name <= after && after != "":
			return true
		case len(page) == limit:
			more = true
			return false
		}
		page = append(page, e)
		return true
	})
	return page, more
}
