package holder_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/holder"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

const (
	ms       = time.Millisecond
	interval = 50 * ms
	patience = 10 * time.Second
	roleVar  = "EVERUP_TEST_HOLDER"
)

// TestMain makes this binary its own child: the holder, or a daemon between the holder and the test.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "holder":
		os.Exit(beHolder())
	case "daemon":
		os.Exit(beDaemon())
	}
}

// beHolder is what `<daemon> vrrp` does.
func beHolder() int {
	pidfd, err := unix.PidfdOpen(os.Getppid(), 0)
	if err == nil {
		err = holder.Run(os.NewFile(3, "daemon"), pidfd)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// beDaemon starts a holder and carries messages between it and the test, until it is killed. It uses as many bytes of memory
// as EVERUP_TEST_MEMORY says.
func beDaemon() int {
	size, _ := strconv.Atoi(os.Getenv("EVERUP_TEST_MEMORY"))
	memory := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		memory[i] = 1
	}
	conn, cmd := holderCommand()
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("holder", cmd.Process.Pid)
	upper, err := net.FileConn(os.NewFile(3, "test"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go io.Copy(conn, upper)
	io.Copy(upper, conn)
	return len(memory) & 1
}

// holderCommand returns the command of a holder, and the socket to it.
func holderCommand() (net.Conn, *exec.Cmd) {
	own, other := socketpair()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"=holder")
	cmd.ExtraFiles = []*os.File{other}
	return own, cmd
}

func socketpair() (net.Conn, *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	f := os.NewFile(uintptr(fds[0]), "own end")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		panic(err)
	}
	return conn, os.NewFile(uintptr(fds[1]), "other end")
}

// node is a host with a holder, driven by the test as its daemon.
type node struct {
	t    testing.TB
	host *labtest.Host
	proc *labtest.Proc // the holder, or the daemon between
	conn net.Conn
	ends chan struct{}

	mu    sync.Mutex
	hello *wire.Hello
	tells []wire.Tell
	snap  wire.Snapshot
	done  map[uint64]string
	asked uint64
}

// start starts a holder on a host.
func start(t testing.TB, h *labtest.Host) *node {
	t.Helper()
	conn, cmd := holderCommand()
	return startCmd(t, h, conn, cmd)
}

// startBehindDaemon starts a holder whose daemon is a process of its own, with so much memory.
func startBehindDaemon(t testing.TB, h *labtest.Host, memory int) *node {
	t.Helper()
	conn, cmd := holderCommand()
	cmd.Env = append(os.Environ(), roleVar+"=daemon", fmt.Sprint("EVERUP_TEST_MEMORY=", memory))
	n := startCmd(t, h, conn, cmd)
	n.proc.WaitLine("holder", patience)
	return n
}

func startCmd(t testing.TB, h *labtest.Host, conn net.Conn, cmd *exec.Cmd) *node {
	t.Helper()
	n := &node{t: t, host: h, conn: conn, ends: make(chan struct{}), done: map[uint64]string{}}
	n.proc = h.StartCmd("holder", cmd)
	cmd.ExtraFiles[0].Close()
	go n.listen()
	t.Cleanup(func() {
		conn.Close()
		<-n.ends
	})
	return n
}

func (n *node) listen() {
	defer close(n.ends)
	var r wire.Reader
	b := make([]byte, 64<<10)
	for {
		k, err := n.conn.Read(b)
		if err != nil {
			return
		}
		if err := r.Feed(b[:k], n.take); err != nil {
			n.t.Errorf("%s: %v", n.host.Name, err)
			return
		}
	}
}

func (n *node) take(m *wire.Message) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case m.Hello != nil:
		n.hello = m.Hello
	case m.Tell != nil:
		n.tells = append(n.tells, *m.Tell)
	case m.Snapshot != nil:
		n.snap = *m.Snapshot
	case m.Done != nil:
		n.done[m.Done.ID] = m.Done.Error
	}
	return nil
}

func (n *node) say(m wire.Message) {
	n.t.Helper()
	b, err := wire.Append(nil, &m)
	if err == nil {
		_, err = n.conn.Write(b)
	}
	if err != nil {
		n.t.Fatalf("%s: %v", n.host.Name, err)
	}
}

// plan puts a plan in force and judges its groups as well.
func (n *node) plan(p wire.Plan) {
	n.t.Helper()
	n.say(wire.Message{Plan: &p})
	for _, g := range p.Groups {
		n.say(wire.Message{Verdict: &wire.Verdict{Group: g.Name}})
	}
}

// ask sends a request and returns its answer.
func (n *node) ask(verb wire.Verb, group string) string {
	n.t.Helper()
	n.asked++
	id := n.asked
	n.say(wire.Message{Do: &wire.Do{ID: id, Verb: verb, Group: group}})
	var answer string
	labtest.Eventually(n.t, patience, fmt.Sprint("an answer to ", verb), func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		why, ok := n.done[id]
		if answer = why; !ok {
			return fmt.Errorf("none of %s", n.host.Name)
		}
		return nil
	})
	return answer
}

// wait waits until the snapshot shows all routers in a state.
func (n *node) wait(state string) {
	n.t.Helper()
	labtest.Eventually(n.t, patience, n.host.Name+" is "+state, func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.snap.Groups) == 0 {
			return fmt.Errorf("no snapshot; hello %+v", n.hello)
		}
		for _, g := range n.snap.Groups {
			for _, r := range g.Routers {
				if r.State != state {
					return fmt.Errorf("%s of %s is %s by %s; faults %v, told %+v", r.Vip, n.host.Name, r.State, r.Cause, g.Faults, n.tells)
				}
			}
		}
		return nil
	})
}

// heard waits until something of a kind was told that has the word in it, and returns it.
func (n *node) heard(kind wire.TellKind, word string) (found wire.Tell) {
	n.t.Helper()
	labtest.Eventually(n.t, patience, fmt.Sprintf("%s tells %s %q", n.host.Name, kind, word), func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, t := range n.tells {
			if t.Kind == kind && strings.Contains(fmt.Sprint(t.State, t.Cause, t.Conflict, t.Detail), word) {
				found = t
				return nil
			}
		}
		return fmt.Errorf("told: %+v", n.tells)
	})
	return found
}

// router returns a router's status as last told.
func (n *node) router(i int) wire.RouterStatus {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.snap.Groups) == 0 {
		n.t.Fatalf("%s has sent no snapshot", n.host.Name)
	}
	return n.snap.Groups[0].Routers[i]
}

// forget drops what was told.
func (n *node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tells = nil
}

// holderPid returns the holder's process id, also behind a daemon.
func (n *node) holderPid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hello.PID
}

// spec is a router of the tests' interval.
func spec(vrid vrrp.VRID, priority vrrp.Priority, addrs ...string) wire.Router {
	cfg := vrrp.DefaultConfig()
	cfg.VRID, cfg.Priority, cfg.Interval = vrid, priority, interval
	cfg.Announce = vrrp.Announce{Rounds: 3, Gap: 5 * ms, Again: 100 * ms}
	s := wire.Router{Vip: fmt.Sprint("v", vrid), Interface: "eth0", Config: cfg}
	for _, a := range addrs {
		s.Addresses = append(s.Addresses, netip.MustParsePrefix(a))
	}
	return s
}

// planOf returns a plan of one group.
func planOf(id uint64, routers ...wire.Router) wire.Plan {
	return wire.Plan{
		ID: id, Groups: []wire.Group{{Name: "g", Routers: routers}}, Sender: id,
		Epoch: uint64(time.Now().UnixNano()), //nolint:gosec // it is after 1970
	}
}

// observer notes when an address comes and goes on hosts.
type observer struct {
	mu     sync.Mutex
	events []sighting
	stop   int
	done   sync.WaitGroup
}

// sighting is a change of an address on a host.
type sighting struct {
	host string
	has  bool
	at   time.Time
}

// observe watches an address on hosts until the test ends.
func observe(t testing.TB, vip string, hosts ...*labtest.Host) *observer {
	t.Helper()
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{stop: stop}
	for _, h := range hosts {
		var w *nl.Watch
		if err := h.In(func() (err error) { w, err = nl.OpenWatch(nl.WatchOptions{}); return err }); err != nil {
			t.Fatal(err)
		}
		o.done.Add(1)
		go o.watch(h.Name, netip.MustParsePrefix(vip), w)
	}
	t.Cleanup(func() {
		unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		o.done.Wait()
		unix.Close(stop)
	})
	return o
}

func (o *observer) watch(host string, vip netip.Prefix, w *nl.Watch) {
	defer o.done.Done()
	defer w.Close()
	for {
		fds := []unix.PollFd{{Fd: int32(w.Fd()), Events: unix.POLLIN}, {Fd: int32(o.stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR || fds[1].Revents != 0 {
			return
		}
		now := time.Now()
		w.Read(func(e nl.Event) {
			if (e.Kind == nl.AddrAdded || e.Kind == nl.AddrGone) && e.Addr.Prefix == vip {
				o.mu.Lock()
				o.events = append(o.events, sighting{host, e.Kind == nl.AddrAdded, now})
				o.mu.Unlock()
			}
		})
	}
}

// since returns when a host first had, or no longer had, the address after a time.
func (o *observer) since(after time.Time, host string, has bool) (time.Time, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.events, func(s sighting) bool { return s.host == host && s.has == has && s.at.After(after) })
	if i < 0 {
		return time.Time{}, false
	}
	return o.events[i].at, true
}

// within fails the test unless a host has, or has no more, the address so long after a time.
func (o *observer) within(t testing.TB, limit time.Duration, after time.Time, host string, has bool) time.Duration {
	t.Helper()
	var took time.Duration
	labtest.Eventually(t, limit+patience, fmt.Sprintf("%s: address there: %v", host, has), func() error {
		at, ok := o.since(after, host, has)
		if took = at.Sub(after); !ok {
			return fmt.Errorf("not seen")
		}
		return nil
	})
	if took > limit {
		t.Errorf("%s: address there: %v after %v, more than %v", host, has, took, limit)
	}
	return took
}

// has reports whether a host has an address.
func has(h *labtest.Host, vip string) bool {
	return strings.Contains(h.Run("ip", "-o", "addr", "show"), " "+vip)
}

// hasEventually waits until a host has an address, or has it no more.
func hasEventually(t testing.TB, h *labtest.Host, vip string, want bool) {
	t.Helper()
	labtest.Eventually(t, patience, fmt.Sprintf("%s has %s: %v", h.Name, vip, want), func() error {
		if has(h, vip) != want {
			return fmt.Errorf("has it: %v", !want)
		}
		return nil
	})
}

// neighbour fails unless a host's neighbour table has the MAC for an address.
func neighbour(t testing.TB, h *labtest.Host, vip, mac string) {
	t.Helper()
	labtest.Eventually(t, patience, fmt.Sprintf("%s knows %s at %s", h.Name, vip, mac), func() error {
		out := h.Run("ip", "neigh", "show", vip)
		if !strings.Contains(out, mac) {
			return fmt.Errorf("it knows %q", out)
		}
		return nil
	})
}

func macOf(h *labtest.Host, device string) string {
	fields := strings.Fields(h.Run("ip", "-o", "link", "show", device))
	return fields[slices.Index(fields, "link/ether")+1]
}

// echo sends an ICMP echo each 2 ms from a host for as long as f runs.
type echo struct {
	sent, received int
	gap            time.Duration // the longest time without an answer
}

var (
	echoLine = regexp.MustCompile(`^\[(\d+\.\d+)\] .*icmp_seq=\d+ .*time=`)
	echoSum  = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)
)

func echoes(t testing.TB, h *labtest.Host, vip string, f func()) echo {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := h.Command(ctx, "ping", "-n", "-D", "-i", "0.002", "-W", "1", vip)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f()
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait() // a lost echo is no error of ours
	var e echo
	last := 0.0
	for line := range strings.Lines(out.String()) {
		if m := echoLine.FindStringSubmatch(line); m != nil {
			at, _ := strconv.ParseFloat(m[1], 64)
			if last > 0 {
				e.gap = max(e.gap, time.Duration((at-last)*1e9))
			}
			last = at
		}
		if m := echoSum.FindStringSubmatch(line); m != nil {
			e.sent, _ = strconv.Atoi(m[1])
			e.received, _ = strconv.Atoi(m[2])
		}
	}
	if e.received == 0 {
		t.Fatalf("no echo came back: %s", out.String())
	}
	return e
}

// pass lets time pass in which nothing is to happen: until a host has had so many answers to pings, one a 10 ms.
func pass(t testing.TB, h *labtest.Host, d time.Duration) {
	t.Helper()
	h.Run("ping", "-n", "-q", "-i", "0.01", "-c", strconv.Itoa(int(d/(10*ms))), "127.0.0.1")
}
