package certs

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MaxCertificates bounds the certificates of a front.
const MaxCertificates = 4096

// Source says where a certificate is.
type Source struct {
	Cert  string   // file of the chain, or a directory of such files
	Key   string   // file of the key; "": in Cert, or beside it
	OCSP  string   // file of the OCSP answer; "": Cert.ocsp, if it is there
	Names []string // what it is shown for, as CheckName returns them; none: what the certificate says
}

// unit is one certificate that a source stands for.
type unit struct {
	Source
	at     int    // index of the source
	dir    string // where it was found; "": it is named alone
	member bool   // shown to members: lbd is the client
}

// id tells units apart over time.
func (u *unit) id() string {
	return strings.Join(append([]string{u.Cert, u.Key, u.OCSP}, u.Names...), "\x00")
}

// expansion is what sources stand for.
type expansion struct {
	units    []unit
	dirs     map[string]bool // the directories among them: false, that it cannot be read now
	problems []Problem
}

// expand finds what the sources stand for; known are the directories of before. A file that several stand for counts once.
func expand(sources []Source, known map[string]bool) *expansion {
	x := &expansion{dirs: map[string]bool{}}
	seen := map[string]bool{}
	add := func(u unit) {
		if id := u.id(); !seen[id] {
			seen[id] = true
			x.units = append(x.units, u)
		}
	}
	for i, s := range sources {
		_, before := known[s.Cert]
		if !before && !stampOf(s.Cert).isDir() {
			add(unit{Source: s, at: i})
			continue
		}
		for _, path := range x.directory(i, s) {
			add(unit{Source: Source{Cert: path}, at: i, dir: s.Cert})
		}
	}
	if len(x.units) > MaxCertificates {
		x.problems = append(x.problems, Problem{At: []any{"certificates"}, Msg: fmt.Sprintf("stand for more than %d certificates; the rest is left out", MaxCertificates)})
		x.units = x.units[:MaxCertificates]
	}
	return x
}

// directory returns the chains of a source that is one.
func (x *expansion) directory(i int, s Source) []string {
	at := []any{"certificates", i, "cert"}
	if s.Key != "" || s.OCSP != "" || len(s.Names) > 0 {
		x.problems = append(x.problems, Problem{At: at, File: s.Cert, Msg: "is a directory, which takes no key, ocsp and names"})
	}
	found, err := list(s.Cert)
	x.dirs[s.Cert] = err == nil
	if err != nil {
		x.problems = append(x.problems, Problem{At: at, File: s.Cert, Msg: plain(err).Error(), lost: true})
	}
	return found
}

// list returns the chains of a directory.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch ext := filepath.Ext(path); {
		case strings.HasPrefix(e.Name(), "."):
		case ext == ".pem" || ext == ".crt":
			if !strings.HasSuffix(path, "privkey.pem") && !stampOf(path).isDir() {
				out = append(out, path)
			}
		case stampOf(filepath.Join(path, fullchain)).there():
			out = append(out, filepath.Join(path, fullchain))
		}
	}
	return out, nil
}

// What certbot calls the two files.
const (
	fullchain = "fullchain.pem"
	privkey   = "privkey.pem"
)

// keys returns where the key may be, if not with the chain.
func (u *unit) keys() []string {
	if u.Key != "" {
		return []string{u.Key}
	}
	out := []string{strings.TrimSuffix(u.Cert, filepath.Ext(u.Cert)) + ".key", u.Cert + ".key"}
	if filepath.Base(u.Cert) == fullchain {
		out = append(out, filepath.Join(filepath.Dir(u.Cert), privkey))
	}
	return out
}

func (u *unit) ocsp() string { return cmp.Or(u.OCSP, u.Cert+".ocsp") }

// look returns the stamps of all files of the unit.
func (u *unit) look() []stamp {
	out := []stamp{stampOf(u.Cert), stampOf(u.ocsp())}
	for _, k := range u.keys() {
		out = append(out, stampOf(k))
	}
	return out
}

// entry is what became of a unit.
type entry struct {
	unit
	stamps   []stamp
	settled  bool
	pair     *pair // in force; nil: none was ever good
	stapled  bool  // it has an OCSP answer that is good
	problems []Problem
	since    time.Time // when the first of these was met
	told     bool      // of problems
	stage    int       // how near its end the pair was when that was told
	gone     time.Time // when a file of a directory was missed first
}

// refresh returns what becomes of a unit that was e, nil if it is new. It is e itself if nothing has changed.
func refresh(e *entry, u *unit, now time.Time) *entry {
	stamps := u.look()
	if e != nil && e.settled && slices.Equal(e.stamps, stamps) && e.gone.IsZero() && e.stapled == e.canStaple(now) {
		return e
	}
	next := &entry{unit: *u, stamps: stamps, settled: !slices.ContainsFunc(stamps, func(s stamp) bool { return !s.settled(now) })}
	p, problems := u.load(now)
	next.problems = problems
	if e != nil {
		next.keep(e)
	}
	switch {
	case p == nil:
		next.settled = false // once more, with a new reason perhaps
	case next.pair == nil || next.pair.sum != p.sum:
		next.pair, next.stage = p, 0
	}
	if len(problems) > 0 && next.since.IsZero() {
		next.since = now
	}
	next.stapled = next.canStaple(now)
	return next
}

func (e *entry) canStaple(now time.Time) bool { return e.pair != nil && e.pair.staple.good(now) }

// keep takes over what lasts.
func (e *entry) keep(old *entry) {
	e.pair, e.stage = old.pair, old.stage
	if slices.EqualFunc(e.problems, old.problems, Problem.same) {
		e.since, e.told = old.since, old.told
	}
}

// load reads the files. Without a pair there is a problem; with one there may be some.
func (u *unit) load(now time.Time) (*pair, []Problem) {
	chain, at, err := read(u.Cert, MaxFile)
	if err != nil {
		return nil, []Problem{u.problem("cert", u.Cert, err)}
	}
	p, err := newPair(chain, nil, u)
	keyFile, keyAt := u.Cert, at
	var key []byte
	if u.Key != "" || errors.Is(err, errNoKey) {
		if keyFile, key, keyAt, err = u.readKey(); err != nil {
			return nil, []Problem{u.problem("key", keyFile, err)}
		}
		p, err = newPair(chain, key, u)
	}
	if err != nil {
		where, file := "cert", u.Cert
		if k := (keyError{}); errors.As(err, &k) {
			where, file = "key", keyFile
		}
		return nil, []Problem{u.problem(where, file, err)}
	}
	var problems []Problem
	if keyAt.open() {
		problems = append(problems, Problem{At: u.place("key"), File: keyFile, Msg: "holds a key that others may read or write",
			Hint: "chmod 600 " + keyFile, Kind: Exposed})
	}
	for _, note := range p.notes {
		problems = append(problems, Problem{At: u.place("cert"), File: u.Cert, Msg: note, Kind: Noted})
	}
	var answer []byte
	var problem *Problem
	if !u.member {
		answer, problem = u.readStaple(p, now)
		p.issuer = nil
	}
	if problem != nil {
		problems = append(problems, *problem)
	}
	p.sum = sumOf(chain, key, answer)
	return p, problems
}

// readKey reads the first of the files that the key may be in which is there.
func (u *unit) readKey() (path string, b []byte, at stamp, err error) {
	for _, path = range u.keys() {
		b, at, err = read(path, MaxFile)
		if !errors.Is(err, fs.ErrNotExist) || u.Key != "" {
			return path, b, at, err
		}
	}
	return u.Cert, nil, stamp{}, errors.New("holds no key, and there is none beside it, as " + filepath.Base(u.keys()[0]))
}

// readStaple gives the pair its OCSP answer, if there is one that is good.
func (u *unit) readStaple(p *pair, now time.Time) (raw []byte, problem *Problem) {
	path := u.ocsp()
	wrong := func(err error) *Problem {
		return &Problem{At: u.place("ocsp"), File: path, Msg: err.Error(), Kind: Unstapled}
	}
	raw, _, err := read(path, MaxOCSP)
	switch {
	case errors.Is(err, fs.ErrNotExist) && u.OCSP == "":
		if mustStaple(p.leaf) {
			return nil, wrong(errors.New("is missing: the certificate says that it comes with an OCSP answer, and clients will refuse it"))
		}
		return nil, nil
	case err != nil:
		return nil, wrong(err)
	}
	if p.staple, err = parseStaple(raw, p.leaf, p.issuer); err != nil {
		return raw, wrong(err)
	}
	if !p.staple.good(now) {
		return raw, wrong(errors.New("is good from " + when(p.staple.from) + " until " + when(p.staple.until) + " only"))
	}
	return raw, nil
}

func (u *unit) place(key string) []any { return []any{"certificates", u.at, key} }

// problem is one that leaves the unit without a pair. What was found in a directory is told at the directory.
func (u *unit) problem(key, file string, err error) Problem {
	if u.dir != "" {
		return Problem{At: u.place("cert"), File: file, Msg: err.Error(), Kind: Skipped, lost: true}
	}
	return Problem{At: u.place(key), File: file, Msg: err.Error(), lost: true}
}

// sumOf sums up what was read. Each part is preceded by its length, so that nothing can move from one to the next.
func sumOf(parts ...[]byte) (sum [32]byte) {
	h := sha256.New()
	for _, p := range parts {
		n := len(p)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
