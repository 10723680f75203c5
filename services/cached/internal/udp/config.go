package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/limit"
)

// Config says who is served. The zero Config serves loopback in full and strangers by the rules of the package documentation.
type Config struct {
	Trusted   []netip.Prefix // served in full; nil: loopback
	Deny      bool           // do not answer strangers
	Rate      int            // requests of strangers and datagrams to them, per second and network; 0: 1000
	Burst     int            // the most of them at once; 0: twice the rate
	Networks  int            // how many networks are limited separately; 0: 4096. Beyond, several share one limit.
	MaxAnswer int            // longest answer in bytes; 0: 4 MiB
}

// Options are what a server needs besides.
type Options struct {
	Config
	Env *session.Env
	New session.Factory
	// Secret keys the cookies: all servers behind one address must have the same. nil: a random one.
	Secret []byte
}

const (
	defaultRate      = 1000
	defaultNetworks  = 4096
	defaultMaxAnswer = 4 << 20
	// mostDatagrams is the most that a message can be cut into, for they are numbered by two bytes.
	mostDatagrams = 1<<16 - 1
)

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// complete fills in what is not said and refuses what cannot be.
func (o *Options) complete() error {
	if o.Env.SASL || o.Env.TextAuth {
		return errors.New("udp: cannot be served where clients must authenticate: datagrams have no connection")
	}
	if o.Trusted == nil {
		o.Trusted = loopback()
	}
	if min(o.Rate, o.Burst, o.Networks, o.MaxAnswer) < 0 {
		return fmt.Errorf("udp: rate %d, burst %d, networks %d or max_answer %d is below 0", o.Rate, o.Burst, o.Networks, o.MaxAnswer)
	}
	o.Rate, o.Networks, o.MaxAnswer = or(o.Rate, defaultRate), or(o.Networks, defaultNetworks), or(o.MaxAnswer, defaultMaxAnswer)
	o.Burst = or(o.Burst, 2*o.Rate)
	o.MaxAnswer = min(o.MaxAnswer, mostDatagrams*payload)
	return nil
}

func or(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// limiter makes the limit of strangers.
func (o *Options) limiter() (*limit.Keyed, error) {
	rate, err := limit.NewRate(int64(o.Rate), time.Second, int64(o.Burst))
	if err != nil {
		return nil, fmt.Errorf("udp: rate of strangers: %w", err)
	}
	k, err := limit.NewKeyed(rate, o.Networks)
	if err != nil {
		return nil, fmt.Errorf("udp: networks: %w", err)
	}
	return k, nil
}
