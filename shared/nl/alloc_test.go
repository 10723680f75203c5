package nl

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestAllocs bounds what the holder of addresses does again and again: it runs without garbage collection.
func TestAllocs(t *testing.T) {
	c, w := bare(t, WatchOptions{})
	ok(t, c.SetUp(1, true))
	ok(t, allocs(t, c, w))
}

func allocs(t *testing.T, c *Conn, w *Watch) error {
	var errs []error
	f := func(what string, most float64, do func() error) {
		if n := testing.AllocsPerRun(20, func() { errs = append(errs, do()) }); n > most {
			t.Errorf("%s: %v allocations, more than %v", what, n, most)
		}
	}
	errs = make([]error, 0, 1000)
	room := make([]Addr, 0, 16)
	f("list addresses", 0, func() error {
		got, err := c.AppendAddrs(room, 1)
		if len(got) == 0 {
			return errors.New("nothing is listed")
		}
		return err
	})
	f("look at a link", 1, func() error { // its name
		_, err := c.LinkByIndex(1)
		return err
	})
	events := 0
	for _, p := range []netip.Prefix{netip.MustParsePrefix("10.77.0.100/32"), netip.MustParsePrefix("fd77::100/128")} {
		f("add, remove and hear of "+p.String(), 0, func() error {
			if err := c.AddAddr(1, p); err != nil {
				return err
			}
			if err := c.RemoveAddr(1, p); err != nil {
				return err
			}
			return w.Read(func(Event) { events++ })
		})
	}
	if events < 42 { // those of IPv6 come later
		t.Errorf("%d events of 21 additions and removals of an IPv4 address", events)
	}
	return errors.Join(errs...)
}

func BenchmarkRequests(b *testing.B) {
	labtest.Needs(b, labtest.Root)
	c, err := Open()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p := netip.MustParsePrefix("127.255.77.77/32") // harmless on lo, wherever this runs
	b.Run("add+remove", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := errors.Join(c.AddAddr(1, p), c.RemoveAddr(1, p)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		var room []Addr
		for b.Loop() {
			if room, err = c.AppendAddrs(room[:0], 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("link", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.LinkByIndex(1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
