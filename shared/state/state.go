// Package state keeps a daemon's small files so that a crash at any moment leaves the old content or the new,
// never a part: written to a temporary name, synced, renamed, and the directory synced.
package state

import (
	"io/fs"
	"time"
)

// WriteFile writes path atomically and durably. On any error (a full disk, say) path is as it was and no
// temporary file is left.
func WriteFile(path string, data []byte, perm fs.FileMode) error { panic("skeleton") }

// Dir is a daemon's state directory, held by an exclusive lock so that two daemons cannot share it.
type Dir struct{}

// Open makes the directory (0700) where it is missing, removes leftover temporary files and takes the lock.
// A directory that another process holds is fault.Conflict and names the process.
func Open(path string) (*Dir, error) { panic("skeleton") }
func (d *Dir) Path() string          { panic("skeleton") }
func (d *Dir) Close() error          { panic("skeleton") }

// WriteFile, ReadFile and Remove work on a name inside the directory. ReadFile is bounded to 64 MiB.
func (d *Dir) WriteFile(name string, data []byte) error { panic("skeleton") }
func (d *Dir) ReadFile(name string) ([]byte, error)     { panic("skeleton") }
func (d *Dir) Remove(name string) error                 { panic("skeleton") }

// Save writes v as JSON in an envelope with kind, version and CRC32C; Load checks all three.
// A damaged file is fault.Corrupt, a missing one fault.NotFound, another kind or a newer version fault.Unsupported.
func (d *Dir) Save(name, kind string, version int, v any) error { panic("skeleton") }
func (d *Dir) Load(name, kind string, version int, v any) error { panic("skeleton") }

// Override is an operator's change at run time that is not configuration: drain, weight, maintenance.
// It is named, has an author and a reason, and expires.
type Override struct {
	Object  string    `json:"object"` // "pool/web/member/10.0.0.1:80"
	Field   string    `json:"field"`  // "state", "weight"
	Value   string    `json:"value"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by,omitempty"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires,omitzero"` // zero: until cleared
}

// Overrides is the durable set of a daemon's overrides, at most 1024.
type Overrides struct{}

func OpenOverrides(d *Dir) (*Overrides, error)        { panic("skeleton") }
func (o *Overrides) Set(v Override) error             { panic("skeleton") }
func (o *Overrides) Clear(object, field string) error { panic("skeleton") }

// List returns those in force at now, sorted by object and field; expired ones are forgotten.
func (o *Overrides) List(now time.Time) []Override { panic("skeleton") }

// Get returns the value in force at now.
func (o *Overrides) Get(now time.Time, object, field string) (string, bool) { panic("skeleton") }
