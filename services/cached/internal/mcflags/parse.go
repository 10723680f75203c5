// Package mcflags reads memcached's command line, so that an init script needs only another binary.
//
// Parse takes the arguments of memcached 1.6 (without the program's name) and the environment and returns Options: every setting typed, in
// base units and checked, alone and against the others. All here is pure: no file is read, no name resolved, no process ended; only
// WritePortFile writes. Debian's memcached 1.6.18 is the oracle: the tests start it with the same arguments and compare what is accepted,
// and every line of `stats settings`.
//
// Options that have no meaning for an engine without slabs are checked as memcached checks them, kept in Options.Kept for `stats settings`
// and named in Options.Ignored with a sentence each.
//
// # Whose command line
//
// Looks decides before anything is parsed whether the arguments are memcached's or everup's.
//
// # Deliberate differences from memcached 1.6.18
//
// Refused here, taken there:
//   - what is no number where one belongs (`-p abc` there means port 0 and so no listener; `-b abc`, `-a xyz`, `-o idle_timeout=x`), and negative
//     numbers that mean nothing (`-m -1`, `-R -1`, `-n -1`, `-o idle_timeout=-1`). A number with a tail (`-m 100m`) is taken as far as it
//     is one, as there, and the tail is named in Ignored.
//   - ports above 65535 after -U and in -l (there they wrap around), an empty -l (there: no listener at all), words between `]` and the port,
//     an unknown `proto[…]`, file modes beyond 0777, sizes and counts beyond any machine, `-f inf`, `-f nan`.
//   - a listener that goes around the authentication asked for: -S with `proto[ascii]`, -Y with `proto[binary]` or `proto[negotiating]`.
//   - -S without MEMCACHED_SASL_PWDB: Debian's memcached is built for Cyrus SASL's own databases and without that file, upstream's may be built with it.
//   - ext_path with a size that is none (`:64x`), and names of files that are empty.
//
// Taken here, refused there:
//   - any -I from 1 KiB to 1 GiB within half of -m: there it must fit a chunk size of slabs, too (`-I 600k`), and hashpower the number of threads.
//   - `-l mtls:…`, prefixes of a listener in any order, `hashexpand`, `relaxed_privileges`, `no_track_sizes`, all buckets of ext_path: newer versions' words.
//   - what depends on the machine (users, addresses, files, limits of the kernel): whoever acts on the Options finds out.
//
// A repeated -l that is a part of an earlier one (`-l 127.0.0.11 -l 127.0.0.1`) is lost there and kept here.
package mcflags

import (
	"fmt"
	"strings"
)

// Environment variables that memcached reads.
const (
	EnvPortFile     = "MEMCACHED_PORT_FILENAME"
	EnvSASLDatabase = "MEMCACHED_SASL_PWDB"
	envPosix        = "POSIXLY_CORRECT" // the C library's getopt
)

// Bounds. The kernel bounds the argument vector to some megabytes; these bound what is kept of it.
const (
	maxListeners = 1024
	maxWords     = 8 // words that are no option, in Ignored
)

// Parse reads the arguments of a memcached, without the program's name. getenv, which may be nil, gives the environment. The error is an
// *Error. Options are taken in their order, so that -h ends the reading but not an error before it; what several options say together is
// checked at the end.
func Parse(args []string, getenv func(string) string) (*Options, error) {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	p := &parser{Options: Defaults()}
	p.PortFile, p.SASLDatabase = getenv(EnvPortFile), getenv(EnvSASLDatabase)
	s := scanner{table: table(), args: args, posix: getenv(envPosix) != ""}
	for {
		o, value, err := s.next()
		if err != nil {
			return nil, err
		}
		if o == nil {
			break
		}
		if err := p.apply(o, value); err != nil {
			return nil, err
		}
		if p.Action != Serve {
			return p.Options, nil
		}
	}
	p.noteWords(s.words)
	if err := p.settle(); err != nil {
		return nil, err
	}
	return p.Options, nil
}

// parser holds what is known while the arguments are read.
type parser struct {
	*Options
	at        string // the option being read, for messages
	portGiven bool
	udpGiven  bool
	protocol  bool // -B was given
	tlsGiven  bool // an ssl_ option was given
	tempTTL   bool
	noted     map[string]bool
}

func (p *parser) apply(o *option, value string) error {
	p.at = o.String()
	return o.set(p, value)
}

// note remembers that option does nothing, or not all; once an option.
func (p *parser) note(option, format string, args ...any) {
	if p.noted[option] {
		return
	}
	if p.noted == nil {
		p.noted = map[string]bool{}
	}
	p.noted[option] = true
	p.Ignored = append(p.Ignored, Note{option, fmt.Sprintf(format, args...)})
}

func (p *parser) noteWords(words []string) {
	for _, w := range words[:min(len(words), maxWords)] {
		p.note(quote(w), "is no option; memcached ignores such words, too")
	}
	if len(words) > maxWords {
		p.note("the other arguments", "are no options either")
	}
}

// text refuses an empty value where memcached would fail on it or silently do without.
func (p *parser) text(to *string, value string) error {
	if value == "" {
		return wrong(p.at, "its argument is empty")
	}
	if strings.IndexByte(value, 0) >= 0 {
		return wrong(p.at, "its argument holds a zero byte")
	}
	*to = value
	return nil
}
