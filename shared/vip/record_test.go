package vip

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/vip/internal/wire"
)

func place(iface, prefix string) wire.Place {
	return wire.Place{Interface: iface, Prefix: netip.MustParsePrefix(prefix)}
}

// TestEpoch: greater than all before, whatever becomes of the clock.
func TestEpoch(t *testing.T) {
	dir := openState(t, t.TempDir())
	defer dir.Close()
	f := func(unix int64, want uint64) {
		t.Helper()
		k := openKeeper(dir, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
		if got := k.begin(time.Unix(unix, 0)); got != want {
			t.Errorf("at %d: epoch %d, want %d", unix, got, want)
		}
	}
	f(-5, 1) // a machine without a clock
	f(1000, 1000)
	f(1000, 1001)
	f(1, 1002)
	f(2000, 2000)
}

// TestDamagedRecord: it is told, and the daemon goes on.
func TestDamagedRecord(t *testing.T) {
	path := t.TempDir()
	dir := openState(t, path)
	defer dir.Close()
	if err := os.WriteFile(filepath.Join(path, recordFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var told []string
	k := openKeeper(dir, func(err error) {
		if err == nil {
			told = append(told, "well")
		} else {
			told = append(told, err.Error())
		}
	})
	k.planned([]wire.Place{place("eth0", "10.0.0.5/24")})
	if len(told) != 2 || !strings.Contains(told[0], "load vips.json") || told[1] != "well" {
		t.Errorf("%q", told)
	}
}

// TestUnwritableRecord: a change holds even if it cannot be written.
func TestUnwritableRecord(t *testing.T) {
	dir := openState(t, t.TempDir())
	failures := 0
	k := openKeeper(dir, func(err error) {
		if err != nil {
			failures++
		}
	})
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	k.release([]string{"web"}, "ada", time.Now())
	if _, is := k.released()["web"]; !is || failures != 1 || k.begin(time.Unix(5, 0)) != 5 || failures != 2 {
		t.Errorf("%d failures, %v", failures, k.released())
	}
}

func TestPlaces(t *testing.T) {
	dir := openState(t, t.TempDir())
	defer dir.Close()
	writes := 0
	k := openKeeper(dir, func(error) { writes++ })
	f := func(wantWrites int, want ...wire.Place) {
		t.Helper()
		if got := k.places(); !slices.Equal(got, want) || writes != wantWrites {
			t.Errorf("%d writes, want %d; places %v, want %v", writes, wantWrites, got, want)
		}
	}
	a, b, c := place("eth0", "10.0.0.1/24"), place("eth1", "10.0.0.1/24"), place("eth0", "fe80::1/64")
	k.planned([]wire.Place{a, b})
	f(1, a, b)
	k.planned([]wire.Place{b, a})
	f(1, a, b)
	k.planned([]wire.Place{c, a})
	f(2, a, b, c)
	k.only([]wire.Place{c, b, a})
	f(2, a, b, c)
	k.only([]wire.Place{c})
	f(3, c)
	k.only(nil)
	f(4)
	var many []wire.Place
	ip := netip.MustParseAddr("10.0.0.1")
	for range maxPlaces + 2 {
		many, ip = append(many, wire.Place{Interface: "eth0", Prefix: netip.PrefixFrom(ip, 32)}), ip.Next()
	}
	k.planned(many)
	f(5, many[2:]...)
	again := openKeeper(dir, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	if n := len(again.places()); n != maxPlaces {
		t.Errorf("%d places read back", n)
	}
}
