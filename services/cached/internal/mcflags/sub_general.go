package mcflags

import (
	"math"
	"time"
)

// number is a sub-option that memcached reads with atoi, kept at of, or nowhere.
func number(of func(*Kept) *int64, s span) func(*parser, string) error {
	return func(p *parser, v string) error {
		n, err := p.atoi(v, s)
		if of != nil {
			*of(&p.Kept) = n
		}
		return err
	}
}

// sized is a sub-option that memcached takes only as a whole number, in units.
func sized(of func(*Kept) *int64, unit int64) func(*parser, string) error {
	return func(p *parser, v string) error {
		n, err := p.strict(v, span{0, math.MaxUint32, "is not a number of 32 bits"})
		if of != nil {
			*of(&p.Kept) = n * unit
		}
		return err
	}
}

func (p *parser) idleTimeout(v string) error {
	n, err := p.atoi(v, span{0, math.MaxInt32, "is not a number of seconds"})
	p.IdleTimeout = time.Duration(n) * time.Second
	return err
}

// noModern sets what memcached 1.4 had.
func (p *parser) noModern(string) error {
	p.MaxConnsFast = false
	k := &p.Kept
	k.SlabReassign, k.SlabAutomove = false, 0
	k.LRUCrawler, k.LRUMaintainer, k.LRUSegmented = false, false, false
	k.HashAlgorithm = "jenkins"
	k.InlineASCII = false
	return nil
}

func (p *parser) hashAlgorithm(v string) error {
	switch v {
	case "jenkins", "murmur3", "xxh3":
		p.Kept.HashAlgorithm = v
		return nil
	}
	return wrong(p.at, "%s is not one of jenkins, murmur3 and xxh3", quote(v))
}

func (p *parser) noProxy(string) error {
	return wrong(p.at, "there is no proxy in this server: keys would be kept here instead of being routed")
}
