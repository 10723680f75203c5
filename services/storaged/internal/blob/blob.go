// Package blob stores objects, one file each, so that an acknowledged change survives a power cut and a reader sees an
// object whole or not at all.
//
// A change of an object is decided and made in its commit section, under the lock of its name: condition, rename, sync of the
// directory, index. A reader opens the file under the same lock; so it never sees what is not durable yet, and what it has open stays
// whole whatever happens to the name. Operations on one name are linearizable.
package blob

import (
	"crypto/sha256"
	"errors"
	"hash"
	"hash/maphash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
)

// Options of a Store.
type Options struct {
	MaxObjects int                      // new names beyond it are refused with fault.Full
	OnSync     func(took time.Duration) // called after each commit's sync of file or directory; may be nil
	Now        func() time.Time         // nil means time.Now
}

// Store is safe for concurrent use.
type Store struct {
	dir   *Dir
	index *names.Index
	o     Options

	seed  maphash.Seed
	locks [stripes]sync.RWMutex
}

// stripes is how many locks the names share.
const stripes = 1024

// Damage is a file that Open could not read.
type Damage struct {
	Path string
	Err  error
}

// Open reads all heads in path, whose lock the caller holds. Damaged files are reported and left where they are: reading
// their names fails, writing replaces them.
func Open(path string, o Options) (*Store, []Damage, error) {
	d, err := OpenDir(path)
	if err != nil {
		return nil, nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{dir: d, index: names.NewIndex(), o: o, seed: maphash.MakeSeed()}
	var damaged []Damage
	err = d.Walk(func(path string, m Meta, err error) error {
		if err != nil {
			damaged = append(damaged, Damage{path, err})
			return nil
		}
		s.index.Put(m.Entry())
		return nil
	})
	return s, damaged, err
}

// Index is the index of the store's names; it is only to be read.
func (s *Store) Index() *names.Index { return s.index }

// Space is the room of the file system.
func (s *Store) Space() (Space, error) { return s.dir.Space() }

// Probe proves that the store can be written.
func (s *Store) Probe() error { return s.dir.Probe() }

func (s *Store) lock(name string) *sync.RWMutex {
	return &s.locks[maphash.String(s.seed, name)%stripes]
}

// Object is an object open for reading.
type Object struct {
	Meta
	file *os.File
}

// Body returns a reader of the whole body, for any number of uses until Close.
func (o *Object) Body() *io.SectionReader { return io.NewSectionReader(o.file, HeadSize, o.Size) }

// Close lets go of the file.
func (o *Object) Close() error { return o.file.Close() }

// Get opens an object. fault.NotFound, or fault.Corrupt when the file fails its checks.
func (s *Store) Get(name string) (*Object, error) {
	l := s.lock(name)
	l.RLock()
	defer l.RUnlock()
	f, m, err := s.dir.Open(name)
	if err != nil {
		return nil, err
	}
	return &Object{Meta: m, file: f}, nil
}

// Condition decides, in the commit section, whether a change may be made: e is what is there, if anything.
type Condition func(e names.Entry, exists bool) error

// Upload is an object on its way in. It is for one goroutine. Close must be called.
type Upload struct {
	s    *Store
	file *os.File
	meta Meta
	sum  hash.Hash
	size int64
}

// NewUpload begins an object; m gives name and headers.
func (s *Store) NewUpload(m Meta) (*Upload, error) {
	if !m.Fits() {
		return nil, fault.New(fault.Invalid, "blob: name and headers of %q are too long", m.Name)
	}
	f, err := s.dir.createTemp()
	if err != nil {
		return nil, fault.Wrap(writeClass(err), err, "blob: begin %q", m.Name)
	}
	u := &Upload{s: s, file: f, meta: m, sum: sha256.New()}
	if _, err := f.Seek(HeadSize, io.SeekStart); err != nil {
		u.Close()
		return nil, fault.Wrap(writeClass(err), err, "blob: begin %q", m.Name)
	}
	return u, nil
}

// Write takes a part of the body.
func (u *Upload) Write(p []byte) (int, error) {
	n, err := u.file.Write(p)
	u.size += int64(n)
	u.sum.Write(p[:n])
	return n, fault.Wrap(writeClass(err), err, "blob: write %q", u.meta.Name)
}

// SHA256 returns the checksum of what was written.
func (u *Upload) SHA256() [32]byte { return [32]byte(u.sum.Sum(nil)) }

// Commit makes the upload the object of its name if cond (nil: always) allows it, and returns when that is on stable storage. created
// tells whether there was none. An error of cond comes back as it is. After an error the old object is in place, except after an error of
// the very last sync, which is fault.Internal: then the new one is, but a power cut may still undo it.
func (u *Upload) Commit(cond Condition) (m Meta, created bool, err error) {
	u.meta.Size, u.meta.SHA256 = u.size, u.SHA256()
	u.meta.Modified = u.s.o.Now().UTC().Truncate(time.Millisecond)
	if err := u.finish(); err != nil {
		return Meta{}, false, err
	}
	l := u.s.lock(u.meta.Name)
	l.Lock()
	defer l.Unlock()
	return u.commitLocked(cond)
}

// finish writes the head and syncs the file.
func (u *Upload) finish() error {
	head, err := EncodeHead(&u.meta)
	if err != nil {
		return err
	}
	if _, err = u.file.WriteAt(head, 0); err == nil && u.size == 0 {
		err = u.file.Truncate(HeadSize)
	}
	if err != nil {
		return fault.Wrap(writeClass(err), err, "blob: write head of %q", u.meta.Name)
	}
	start := time.Now()
	if err := u.file.Sync(); err != nil {
		return fault.Wrap(writeClass(err), err, "blob: sync %q", u.meta.Name)
	}
	u.s.synced(start)
	return nil
}

func (u *Upload) commitLocked(cond Condition) (Meta, bool, error) {
	s := u.s
	old, exists := s.index.Get(u.meta.Name)
	if cond != nil {
		if err := cond(old, exists); err != nil {
			return Meta{}, false, err
		}
	}
	if n, _ := s.index.Len(); !exists && n >= s.o.MaxObjects {
		return Meta{}, false, fault.New(fault.Full, "blob: there are %d objects, the limit", n)
	}
	start := time.Now()
	done, err := s.dir.publish(u.file.Name(), u.meta.Name)
	if done {
		s.index.Put(u.meta.Entry())
		s.synced(start)
	}
	if done && err != nil {
		err = fault.Wrap(fault.Internal, err, "blob: %q is replaced, but maybe not for good", u.meta.Name)
	}
	return u.meta, !exists, err
}

func (s *Store) synced(start time.Time) {
	if s.o.OnSync != nil {
		s.o.OnSync(time.Since(start))
	}
}

// Close lets go of the upload; without a Commit before, nothing of it is left.
func (u *Upload) Close() error {
	err := os.Remove(u.file.Name())
	if errors.Is(err, os.ErrNotExist) { // committed: the file has its name
		err = nil
	}
	return errors.Join(err, u.file.Close())
}

// Delete removes an object if cond (nil: always) allows it, and returns when that is on stable storage. cond is also
// asked when there is none; then the answer is its error or fault.NotFound.
func (s *Store) Delete(name string, cond Condition) (names.Entry, error) {
	l := s.lock(name)
	l.Lock()
	defer l.Unlock()
	old, exists := s.index.Get(name)
	if cond != nil {
		if err := cond(old, exists); err != nil {
			return names.Entry{}, err
		}
	}
	start := time.Now()
	done, err := s.dir.remove(name)
	if done {
		s.index.Delete(name)
		s.synced(start)
	}
	if done && err != nil {
		err = fault.Wrap(fault.Internal, err, "blob: %q is removed, but maybe not for good", name)
	}
	return old, err
}
