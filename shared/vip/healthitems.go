package vip

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/shared/health"
)

// The ids of the health items that are there once.
const (
	childItem  = "vip.child"
	recordItem = "vip.record"
)

// childShown is how long no child may run before it shows: one that died is replaced in less.
const childShown = time.Second

// item ids of a VIP.
func faultItem(vip string) string    { return "vip." + vip + ".fault" }
func conflictItem(vip string) string { return "vip." + vip + ".conflict" }
func releasedItem(vip string) string { return "vip." + vip + ".released" }
func readdedItem(vip string) string  { return "vip." + vip + ".readded" }
func systemItem(vip string) string   { return "vip." + vip + ".system" }

func itemsOf(vip string) []string {
	return []string{faultItem(vip), conflictItem(vip), releasedItem(vip), readdedItem(vip), systemItem(vip)}
}

// set sets an item, which is made when there is something to say.
func (m *Manager) set(id, title string, l health.Level, detail, hint string) {
	m.env.Health.Item(id, health.Options{Title: title}).Set(l, detail, hint)
}

// say sets an item by whether there is something to say.
func (m *Manager) say(id, title string, l health.Level, detail, hint string) {
	if detail == "" {
		l, hint = health.OK, ""
	}
	m.set(id, title, l, detail, hint)
}

// healthOf sets the items of a VIP.
func (m *Manager) healthOf(name string) {
	m.healthMu.Lock()
	defer m.healthMu.Unlock()
	released, is := m.keeper.released()[name]
	m.mu.Lock()
	v := m.vips[name]
	if v == nil {
		m.mu.Unlock()
		return
	}
	faults, conflicts := strings.Join(v.faults, "; "), strings.Join(v.conflicts, "; ")
	var failing []string
	for _, family := range slices.Sorted(maps.Keys(v.failing)) {
		failing = append(failing, fmt.Sprintf("IPv%d: %s", family, v.failing[family]))
	}
	readded := ""
	if !v.readdedAt.IsZero() {
		readded = v.readded + " at " + v.readdedAt.Format(time.RFC3339)
	}
	m.mu.Unlock()

	m.say(faultItem(name), "this host cannot hold the virtual addresses", health.Fail, faults, "they are at another host if there is one; this one takes part again when the cause is mended")
	m.say(conflictItem(name), "a peer's configuration contradicts this host's", health.Warn, conflicts, "make vips."+name+" the same on all hosts that share its addresses")
	m.say(readdedItem(name), "something else removes virtual addresses", health.Warn, readded, "with systemd-networkd set KeepConfiguration=yes for the interface; tell other managers to leave it alone")
	m.say(systemItem(name), "the system refuses what the virtual addresses need", health.Fail, strings.Join(failing, "; "), "")
	text := ""
	if is {
		text = fmt.Sprintf("by %s, since %s: this host takes no part", orUnknown(released.By), released.Since.Format(time.RFC3339))
	}
	m.say(releasedItem(name), "the virtual addresses are released", health.Warn, text, m.env.Service+" vip resume "+name)
}

func orUnknown(s string) string {
	if s == "" {
		return "somebody"
	}
	return s
}

// healthOfChild sets the item of the child.
func (m *Manager) healthOfChild() {
	m.healthMu.Lock()
	defer m.healthMu.Unlock()
	wanted := m.wanted()
	m.mu.Lock()
	running, hello, err, left := m.proc != nil, m.hello, m.lastErr, m.left
	m.mu.Unlock()
	i := m.env.Health.Item(childItem, health.Options{Title: "the VRRP process", Visible: childShown})
	switch {
	case !wanted || left:
		i.OK()
	case !running && err != nil:
		i.Fail("it does not run: "+err.Error(), "virtual addresses are not held; the log has its last words")
	case !running || hello == nil:
		i.Fail("it does not run yet", "")
	case len(hello.Missing) > 0:
		i.Fail("it may not do its work: "+m.lacks(hello.Missing)+detailOf(hello.Error), m.grant())
	case !hello.Realtime || !hello.Locked:
		i.Warn("it has "+strings.Join(soft(hello.Realtime, hello.Locked), " and ")+": on a busy machine adverts may be late"+detailOf(hello.Error), m.grant())
	default:
		i.OK()
	}
}

func (m *Manager) lacks(missing []string) string {
	return "it lacks " + strings.Join(missing, " and ")
}

func detailOf(err string) string {
	if err == "" {
		return ""
	}
	return " (" + err + ")"
}

// soft names what the process has not, and can do without.
func soft(realtime, locked bool) (out []string) {
	if !realtime {
		out = append(out, "no real-time scheduling (CAP_SYS_NICE)")
	}
	if !locked {
		out = append(out, "no locked memory (CAP_IPC_LOCK)")
	}
	return out
}

// grant says how to give the daemon the capabilities.
func (m *Manager) grant() string {
	return fmt.Sprintf("in the systemd unit: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_NICE CAP_IPC_LOCK; by hand: "+
		"setcap cap_net_admin,cap_net_raw,cap_sys_nice,cap_ipc_lock+ep on the program %s; then restart it", m.env.Service)
}

// recordFailed takes how a write of the record, or its reading, ended.
func (m *Manager) recordFailed(err error) {
	i := m.env.Health.Item(recordItem, health.Options{Title: "the record of virtual addresses"})
	if err == nil {
		i.OK()
		return
	}
	i.Warn(err.Error(), "after a crash addresses may be left on interfaces, and a release by hand is forgotten by the next start")
}

// refresh sets all items anew.
func (m *Manager) refresh() {
	m.mu.Lock()
	names := m.namesLocked()
	m.mu.Unlock()
	for _, name := range names {
		m.healthOf(name)
	}
	m.healthOfChild()
}
