package vrrp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Config is what a Machine is told of its virtual router. DefaultConfig fills what has a default.
type Config struct {
	Version  Version
	VRID     VRID
	Priority Priority // 1 to 254, or PriorityOwner
	// Interval is the Advertisement_Interval: 10 ms to 40.95 s in steps of 10 ms in V3, whole seconds to 255 s in V2.
	Interval time.Duration
	// Addrs are the virtual addresses as they are advertised, of one family; IPv6's first is link-local.
	Addrs []netip.Addr
	// Primary is the address that adverts are sent from: it breaks ties, and an advert that comes from it is our own.
	Primary netip.Addr

	// Preempt lets a router of higher priority take the addresses from one of lower. Without it the holder stays;
	// towards peers that say the same of themselves (Advert.NoPreempt) also where RFC 9568 would have it yield to a
	// higher priority. The owner of the addresses always preempts.
	Preempt      bool
	PreemptDelay time.Duration // how long a lower router is heard before it is preempted; 0 to 1000 s
	StartDelay   time.Duration // how much longer than Active_Down_Interval is listened after a start; 0 to 1000 s

	// Accept lets an Active router that does not own the addresses take packets to them: Accept_Mode, which RFC 9568
	// has off by default, and which a service needs.
	Accept bool

	AuthType AuthType // V2
	Auth     [8]byte  // V2 with AuthText

	Announce Announce
}

// Announce is the schedule of gratuitous ARPs and unsolicited neighbour advertisements. A round is one for each
// address, a burst some rounds.
type Announce struct {
	Rounds  int           // of a burst, 1 to 100
	Gap     time.Duration // between the rounds of a burst, 1 ms to 10 s
	Again   time.Duration // from the end of the first burst to a second; 0: none
	Refresh time.Duration // from a burst's end to a single round, and so on; 0: none
}

// maxDelay bounds the delays of a configuration.
const maxDelay = 1000 * time.Second

// DefaultConfig returns a configuration that lacks VRID, Addrs and Primary only.
func DefaultConfig() Config {
	return Config{
		Version:  V3,
		Priority: PriorityDefault,
		Interval: time.Second,
		Preempt:  true,
		Accept:   true,
		Announce: Announce{Rounds: 5, Gap: 100 * time.Millisecond, Again: 5 * time.Second, Refresh: time.Minute},
	}
}

// Check says what is wrong with the configuration: fault.Invalid.
func (c *Config) Check() error {
	if err := checkInterval(c.Version, c.Interval); err != nil {
		return fault.Wrap(fault.Invalid, err, "vrrp: VRID %d", c.VRID)
	}
	switch {
	case c.VRID == 0:
		return fault.New(fault.Invalid, "vrrp: VRID 0 is not 1 to 255")
	case c.Priority == 0:
		return fault.New(fault.Invalid, "vrrp: VRID %d: priority 0 is not 1 to 255", c.VRID)
	case c.PreemptDelay < 0 || c.PreemptDelay > maxDelay || c.StartDelay < 0 || c.StartDelay > maxDelay:
		return fault.New(fault.Invalid, "vrrp: VRID %d: delays of %v and %v are not 0s to %v", c.VRID, c.PreemptDelay, c.StartDelay, maxDelay)
	case c.AuthType > AuthText || c.AuthType == AuthNone && c.Auth != [8]byte{} || c.Version == V3 && c.AuthType != AuthNone:
		return fault.New(fault.Invalid, "vrrp: VRID %d: authentication type %d in version %d", c.VRID, c.AuthType, c.Version)
	}
	if err := c.Announce.check(); err != nil {
		return fault.Wrap(fault.Invalid, err, "vrrp: VRID %d", c.VRID)
	}
	return c.checkAddrs()
}

func (c *Config) checkAddrs() error {
	four := c.Primary.Is4()
	switch {
	case !virtual(c.Primary):
		return fault.New(fault.Invalid, "vrrp: VRID %d: %v is no primary address", c.VRID, c.Primary)
	case c.Version == V2 && !four:
		return fault.New(fault.Invalid, "vrrp: VRID %d: version 2 has no IPv6", c.VRID)
	case !four && !c.Primary.IsLinkLocalUnicast():
		return fault.New(fault.Invalid, "vrrp: VRID %d: IPv6 adverts are sent from a link-local address, not %v", c.VRID, c.Primary)
	case len(c.Addrs) == 0 || len(c.Addrs) > MaxAddrs:
		return fault.New(fault.Invalid, "vrrp: VRID %d: %d addresses, not 1 to %d", c.VRID, len(c.Addrs), MaxAddrs)
	case !four && !c.Addrs[0].IsLinkLocalUnicast():
		return fault.New(fault.Invalid, "vrrp: VRID %d: the first IPv6 address is to be link-local (RFC 9568 section 5.2.9), not %v", c.VRID, c.Addrs[0])
	}
	for i, a := range c.Addrs {
		if !virtual(a) || a.Is4() != four {
			return fault.New(fault.Invalid, "vrrp: VRID %d: %v is no virtual address beside %v", c.VRID, a, c.Primary)
		}
		if slices.Contains(c.Addrs[:i], a) {
			return fault.New(fault.Invalid, "vrrp: VRID %d: %v is listed twice", c.VRID, a)
		}
	}
	return nil
}

func (a *Announce) check() error {
	switch {
	case a.Rounds < 1 || a.Rounds > 100:
		return fault.New(fault.Invalid, "%d rounds of a burst are not 1 to 100", a.Rounds)
	case a.Gap < time.Millisecond || a.Gap > 10*time.Second:
		return fault.New(fault.Invalid, "a gap of %v between rounds is not 1ms to 10s", a.Gap)
	case a.Again < 0 || a.Again > maxDelay || a.Refresh < 0 || a.Refresh > 24*time.Hour:
		return fault.New(fault.Invalid, "announcements again after %v, refreshed each %v, are out of bounds", a.Again, a.Refresh)
	}
	return nil
}
