package viptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// Neighbour returns the link-layer address and the states that a host's neighbour table has for an address, "" if there
// is no entry.
func Neighbour(h *labtest.Host, addr netip.Addr) (mac, state string, err error) {
	out, err := h.Output("ip", "-j", "neigh", "show", addr.String())
	if err != nil {
		return "", "", err
	}
	var entries []struct {
		LLAddr string   `json:"lladdr"`
		State  []string `json:"state"`
	}
	if err := json.Unmarshal([]byte(out), &entries); err != nil || len(entries) == 0 {
		return "", "", err
	}
	return entries[0].LLAddr, strings.Join(entries[0].State, " "), nil
}

// link is what ip(8) says of an interface.
type link struct {
	Name    string `json:"ifname"`
	Address string `json:"address"`
	Info    struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
	Addrs []struct {
		Local string `json:"local"`
		Scope string `json:"scope"`
	} `json:"addr_info"`
}

func links(t testing.TB, h *labtest.Host) []link {
	t.Helper()
	var all []link
	if err := json.Unmarshal([]byte(h.Run("ip", "-d", "-j", "addr", "show")), &all); err != nil {
		t.Fatalf("viptest: links of %s: %v", h.Name, err)
	}
	return all
}

// macvlans returns the names of the host's macvlan interfaces.
func macvlans(t testing.TB, h *labtest.Host) (names []string) {
	t.Helper()
	for _, l := range links(t, h) {
		if l.Info.Kind == "macvlan" {
			names = append(names, l.Name)
		}
	}
	return names
}

// linkLocal returns the host's own link-local address, once the kernel has made it.
func linkLocal(t testing.TB, h *labtest.Host, device string) (addr netip.Addr) {
	t.Helper()
	labtest.Eventually(t, 5*time.Second, "a link-local address of "+h.Name, func() error {
		for _, l := range links(t, h) {
			for _, a := range l.Addrs {
				if got, err := netip.ParseAddr(a.Local); err == nil && l.Name == device && a.Scope == "link" && got.Is6() {
					addr = got
					return nil
				}
			}
		}
		return errors.New("there is none")
	})
	return addr
}

// MACs returns the link-layer addresses that neighbours may know while the host has the address: the virtual one of RFC
// 9568 section 7.3, or the interface's. Where keepalived uses the virtual MAC the parent interface answers too, so that
// both are seen until it announces the addresses again.
func (r *Rig) MACs(h *labtest.Host) []string {
	r.T.Helper()
	if r.Setting.VMAC && r.kinds[h.Name] != Foreign {
		return []string{r.virtualMAC()}
	}
	for _, l := range links(r.T, h) {
		switch {
		case l.Name != r.Device(h):
		case r.Setting.VMAC:
			return []string{r.virtualMAC(), l.Address}
		default:
			return []string{l.Address}
		}
	}
	r.T.Fatalf("viptest: %s has no %s", h.Name, r.Device(h))
	return nil
}

func (r *Rig) virtualMAC() string {
	if r.Setting.Six {
		return fmt.Sprintf("00:00:5e:00:02:%02x", VRID)
	}
	return fmt.Sprintf("00:00:5e:00:01:%02x", VRID)
}

// Port returns the port of the switch behind which it believes a link-layer address to be, "" if it does not know.
func (r *Rig) Port(mac string) string {
	r.T.Helper()
	var entries []struct {
		MAC   string   `json:"mac"`
		Port  string   `json:"ifname"`
		Flags []string `json:"flags"`
		State string   `json:"state"`
	}
	if err := json.Unmarshal([]byte(r.Lab.Switch().Run("bridge", "-j", "fdb", "show")), &entries); err != nil {
		r.T.Fatalf("viptest: the switch's addresses: %v", err)
	}
	for _, e := range entries {
		if e.MAC == mac && e.State != "permanent" {
			return e.Port
		}
	}
	return ""
}

// Reaches waits until the third host and the switch send what is for the address to this host, and it is answered.
func (r *Rig) Reaches(h *labtest.Host, timeout time.Duration) {
	r.T.Helper()
	labtest.Eventually(r.T, timeout, fmt.Sprintf("%s reaches %s on %s", r.C.Name, r.addr, h.Name), func() error { return r.Astray(h) })
}

// Astray says why the third host does not reach the address on this host, nil if it does.
func (r *Rig) Astray(h *labtest.Host) error {
	r.T.Helper()
	want, port := r.MACs(h), h.Port(r.Lab.Default())
	_, silent := r.C.Output("ping", "-n", "-c", "1", "-W", "0.2", r.addr.String())
	mac, state, err := Neighbour(r.C, r.addr)
	if err != nil {
		return err
	}
	if got := r.Port(mac); silent != nil || !slices.Contains(want, mac) || got != port {
		return fmt.Errorf("echo: %v; neighbour %s (%s) is to be of %v; the switch has it on %s, not %s", silent, mac, state, want, got, port)
	}
	return nil
}
