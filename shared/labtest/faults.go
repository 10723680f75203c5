package labtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// faults is what is broken on the switch, by the names of its ports.
type faults struct {
	drop map[[2]string]bool // frames from the first port to the second vanish
	dead map[string]bool    // all frames from and to the port vanish
	loss map[string]int     // so many of 10 000 frames from and to the port vanish
}

func newFaults() faults {
	return faults{drop: map[[2]string]bool{}, dead: map[string]bool{}, loss: map[string]int{}}
}

// ruleset returns the faults as one nft(8) transaction that replaces what stood before.
func (f faults) ruleset() string {
	var b strings.Builder
	b.WriteString("table bridge lab\ndelete table bridge lab\ntable bridge lab {\n\tchain forward {\n")
	b.WriteString("\t\ttype filter hook forward priority 0; policy accept;\n")
	for _, p := range slices.Sorted(maps.Keys(f.dead)) {
		fmt.Fprintf(&b, "\t\tiifname %q drop\n\t\toifname %q drop\n", p, p)
	}
	pairs := slices.SortedFunc(maps.Keys(f.drop), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	for _, p := range pairs {
		fmt.Fprintf(&b, "\t\tiifname %q oifname %q drop\n", p[0], p[1])
	}
	for _, p := range slices.Sorted(maps.Keys(f.loss)) {
		for _, dir := range []string{"iifname", "oifname"} {
			fmt.Fprintf(&b, "\t\t%s %q numgen random mod 10000 <= %d drop\n", dir, p, f.loss[p]-1)
		}
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// fault changes the faults and puts them in force, all at one instant.
func (l *Lab) fault(change func(f faults)) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l.faults)
	args := []string{"--net=" + netnsDir + "/" + l.sw.ns.name, "--", "nft", "-f", "-"}
	if err := runTool(l.faults.ruleset(), "nsenter", args...); err != nil {
		l.t.Fatalf("labtest: faults: %v", err)
	}
}

// Cut makes frames between a and b vanish, both ways, on every network they share. Their links stay up: neither is
// told, as with a fault beyond the first switch.
func (l *Lab) Cut(a, b *Host) {
	l.t.Helper()
	l.fault(func(f faults) { setPairs(f, a, b, true); setPairs(f, b, a, true) })
}

// DropOneWay makes frames from one host to another vanish while the other direction works.
func (l *Lab) DropOneWay(from, to *Host) {
	l.t.Helper()
	l.fault(func(f faults) { setPairs(f, from, to, true) })
}

// Heal undoes Cut, DropOneWay and Partition between a and b.
func (l *Lab) Heal(a, b *Host) {
	l.t.Helper()
	l.fault(func(f faults) { setPairs(f, a, b, false); setPairs(f, b, a, false) })
}

// Partition cuts every host of a group from every host of the other groups. Hosts in no group reach all.
func (l *Lab) Partition(groups ...[]*Host) {
	l.t.Helper()
	l.fault(func(f faults) {
		for i, g := range groups {
			for _, other := range slices.Concat(groups[i+1:]...) {
				for _, h := range g {
					setPairs(f, h, other, true)
					setPairs(f, other, h, true)
				}
			}
		}
	})
}

// Isolate makes every frame from and to the host vanish; its links stay up.
func (l *Lab) Isolate(h *Host) {
	l.t.Helper()
	l.fault(func(f faults) {
		for _, c := range h.cards {
			f.dead[c.port] = true
		}
	})
}

// Loss makes a share of the frames from and to the host vanish at random, 0 to 1 in steps of 0.0001. It is applied
// once per direction.
func (l *Lab) Loss(h *Host, share float64) {
	l.t.Helper()
	if share < 0 || share > 1 {
		l.t.Fatalf("labtest: loss of %v is not within 0 and 1", share)
	}
	l.fault(func(f faults) {
		for _, c := range h.cards {
			delete(f.loss, c.port)
			if n := int(share*10000 + 0.5); n > 0 {
				f.loss[c.port] = n
			}
		}
	})
}

// Rejoin undoes Isolate and Loss of the host.
func (l *Lab) Rejoin(h *Host) {
	l.t.Helper()
	l.fault(func(f faults) {
		for _, c := range h.cards {
			delete(f.dead, c.port)
			delete(f.loss, c.port)
		}
	})
}

// HealAll undoes every Cut, DropOneWay, Partition, Isolate and Loss. Unplug and Delay it leaves.
func (l *Lab) HealAll() {
	l.t.Helper()
	l.fault(func(f faults) { clear(f.drop); clear(f.dead); clear(f.loss) })
}

// setPairs sets or clears the drop from each port of a host to each of another on the same network.
func setPairs(f faults, from, to *Host, drop bool) {
	for _, a := range from.cards {
		for _, b := range to.cards {
			if a.network != b.network || a.port == b.port {
				continue
			}
			delete(f.drop, [2]string{a.port, b.port})
			if drop {
				f.drop[[2]string{a.port, b.port}] = true
			}
		}
	}
}

// Unplug takes the carrier from all of the host's interfaces, as when a cable is pulled: the host's kernel notices.
func (l *Lab) Unplug(h *Host) { l.t.Helper(); l.setPorts(h, "down") }

// Plug gives the carrier back.
func (l *Lab) Plug(h *Host) { l.t.Helper(); l.setPorts(h, "up") }

// Flap unplugs and plugs the host so many times, unplugged for down and plugged for up each time. It ends plugged.
func (l *Lab) Flap(h *Host, times int, down, up time.Duration) {
	l.t.Helper()
	for range times {
		l.Unplug(h)
		time.Sleep(down)
		l.Plug(h)
		time.Sleep(up)
	}
}

func (l *Lab) setPorts(h *Host, state string) {
	l.t.Helper()
	var lines []string
	for _, c := range h.cards {
		lines = append(lines, "link set "+c.port+" "+state)
	}
	if err := ipBatch(l.sw.ns.name, lines...); err != nil {
		l.t.Fatalf("labtest: %s %s: %v", h.Name, state, err)
	}
}

// Delay holds frames to the host back by d, by netem; 0 ends it. It skips the test where the kernel has no sch_netem.
func (l *Lab) Delay(h *Host, d time.Duration) {
	l.t.Helper()
	Needs(l.t, "tc", Netem)
	for _, c := range h.cards {
		args := []string{"qdisc", "replace", "dev", c.port, "root", "netem", "delay", fmt.Sprintf("%dus", d.Microseconds())}
		if d == 0 {
			args = []string{"qdisc", "del", "dev", c.port, "root"}
		}
		l.sw.Run("tc", args...)
	}
}
