package examples

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// patience bounds waits for what takes a moment.
const patience = 20 * time.Second

// node is a host of a pair with its daemon.
type node struct {
	t      *testing.T
	host   *labtest.Host
	daemon string
	dir    string
	proc   *labtest.Proc
}

func newNode(t *testing.T, h *labtest.Host, daemon, from string) *node {
	t.Helper()
	return &node{t: t, host: h, daemon: daemon, dir: etc(t, from)}
}

func (n *node) start() {
	n.t.Helper()
	n.proc = n.host.Start(n.daemon, program(n.t, n.daemon), "run", "-c", filepath.Join(n.dir, n.daemon+".yaml"))
}

// command runs a verb of the daemon's.
func (n *node) command(args ...string) string {
	n.t.Helper()
	return n.host.Run(program(n.t, n.daemon), append(args, "-c", filepath.Join(n.dir, n.daemon+".yaml"))...)
}

func (n *node) has(addr string) bool {
	n.t.Helper()
	return strings.Contains(n.host.Run("ip", "-br", "addr", "show", "dev", "eth0"), " "+addr+"/")
}

// holds waits until n, and none of others, has the address.
func (n *node) holds(addr string, others ...*node) {
	n.t.Helper()
	labtest.Eventually(n.t, patience, n.host.Name+" alone has "+addr, func() error {
		for _, o := range others {
			if o.has(addr) {
				return errors.New(o.host.Name + " has it")
			}
		}
		if !n.has(addr) {
			return errors.New("it does not have it")
		}
		return nil
	})
}

// traffic is what clients of a virtual address saw.
type traffic struct {
	mu      sync.Mutex
	asked   int
	again   []string      // why a question was asked again
	failed  []string      // why it failed the second time, too
	longest time.Duration // between two answers
	last    time.Time
}

// pace is the time between the questions of a client.
const pace = 2 * time.Millisecond

// drive asks until the returned function is called, one question after the other.
func drive(t *testing.T, ask func() error) (end func() *traffic) {
	var tr traffic
	stop, done := make(chan struct{}), make(chan struct{})
	tr.last = time.Now()
	go func() {
		defer close(done)
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for {
			tr.one(ask)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() *traffic {
		t.Helper()
		enough := tr.count() + after
		labtest.Eventually(t, patience, "answers go on", func() error {
			if n := tr.count(); n < enough {
				return fmt.Errorf("%d of %d asked", n, enough)
			}
			return nil
		})
		close(stop)
		<-done
		return &tr
	}
}

// after is how many questions are asked after what is tried.
const after = 50

func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.asked
}

// one asks, and once more if there is no answer.
func (tr *traffic) one(ask func() error) {
	var failures []string
	for range 2 {
		err := ask()
		if err == nil {
			break
		}
		failures = append(failures, err.Error())
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.asked++
	if len(failures) > 0 {
		tr.again = append(tr.again, failures[0])
	}
	if len(failures) > 1 {
		tr.failed = append(tr.failed, failures[1])
		return
	}
	now := time.Now()
	tr.longest, tr.last = max(tr.longest, now.Sub(tr.last)), now
}

// String says what was seen.
func (tr *traffic) String() string {
	return fmt.Sprintf("%d asked, %d asked again %q, %d failed, longest time without an answer %v",
		tr.asked, len(tr.again), tr.again[:min(len(tr.again), 2)], len(tr.failed), tr.longest.Round(time.Millisecond))
}

// answerTime is how long a client waits for an answer once it is connected: one whose server has died under it would wait for ever.
const answerTime = 500 * time.Millisecond

// httpAt asks for the page at a virtual address, on a connection of its own.
func httpAt(h *labtest.Host, addr string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		c, err := h.DialContext(ctx, "tcp", net.JoinHostPort(addr, "80"))
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(answerTime))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"); err != nil {
			return err
		}
		b, err := io.ReadAll(c)
		if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
			err = fmt.Errorf("the answer is %.40q", b)
		}
		return err
	}
}

// web serves the application of the pair on a host.
func web(t *testing.T, h *labtest.Host) {
	t.Helper()
	l, err := h.Listen("tcp", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, h.Name) })}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); wg.Wait() })
}

// TestPairOfLbd runs the pair and does to it what its README tells of.
func TestPairOfLbd(t *testing.T) {
	lab := labtest.New(t)
	lb1, lb2 := newNode(t, lab.Host("lb1"), "lbd", "lbd-pair/lb1"), newNode(t, lab.Host("lb2"), "lbd", "lbd-pair/lb2")
	web1, web2, client := lab.Host("web1"), lab.Host("web2"), lab.Host("client")
	web(t, web1)
	web(t, web2)
	const four, six = "10.77.0.200", "fd77::200"
	lb1.start()
	lb2.start()
	lb1.holds(four, lb2)
	lb1.holds(six, lb2)

	f := func(what string, move func(), from, to *node, atMost time.Duration, failures bool) {
		t.Helper()
		end4, end6 := drive(t, httpAt(client, four)), drive(t, httpAt(client, six))
		move()
		to.holds(four, from)
		to.holds(six, from)
		for _, tr := range []*traffic{end4(), end6()} {
			t.Logf("%s: %v", what, tr)
			if len(tr.failed) > 0 && !failures || tr.longest > atMost {
				t.Errorf("%s: %v; want an answer within %v, none failed, or failures %v", what, tr, atMost, failures)
			}
		}
	}
	// A connection that is being opened while the address moves waits for TCP's first retransmission, a second; one that is open is
	// reset, or waits answerTime. Nothing else is to be noticed.
	const planned, crash = 1500 * time.Millisecond, 2 * time.Second
	f("switch-over", func() { lb1.command("vip", "switch-over", "web") }, lb1, lb2, planned, false)
	f("reload", func() { lb2.command("reload") }, lb1, lb2, planned, false)
	f("stop", func() { lb2.proc.Terminate(patience) }, lb2, lb1, planned, false)
	lb2.start()
	lb2.host.WaitTCP("10.77.0.2:80", patience)
	f("crash", func() { lb1.proc.Kill() }, lb1, lb2, crash, false)
	f("the better one is back", lb1.start, lb2, lb1, planned, false)
	f("frozen", lb1.proc.Stop, lb1, lb2, 5*time.Second, true)
	f("thawed", lb1.proc.Cont, lb2, lb1, planned, false)
	f("no server", func() { lab.Cut(lb1.host, web1); lab.Cut(lb1.host, web2) }, lb1, lb2, 3*time.Second, true)
	f("servers again", func() { lab.HealAll() }, lb2, lb1, planned, false)
	f("release", func() { lb1.command("vip", "release", "web") }, lb1, lb2, planned, false)
	f("resume", func() { lb1.command("vip", "resume", "web") }, lb2, lb1, planned, false)
}

// question is what is asked of the name servers: www.shop.test A, with the id 7.
const question = "\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04shop\x04test\x00\x00\x01\x00\x01"

// dnsAt asks at a virtual address over UDP.
func dnsAt(h *labtest.Host, addr string) func() error {
	return func() error {
		c, err := h.DialContext(context.Background(), "udp", net.JoinHostPort(addr, "53"))
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(250 * time.Millisecond))
		if _, err := io.WriteString(c, question); err != nil {
			return err
		}
		b := make([]byte, 512)
		n, err := c.Read(b)
		if err == nil && (n < len(question) || string(b[:2]) != question[:2] || b[3]&15 != 0 || b[7] != 1) {
			err = fmt.Errorf("the answer is %q", b[:n])
		}
		return err
	}
}

// TestPairOfDnsd runs the pair and does to it what its README tells of.
func TestPairOfDnsd(t *testing.T) {
	labtest.Needs(t, "dig")
	lab := labtest.New(t)
	ns1, ns2 := newNode(t, lab.Host("ns1"), "dnsd", "dnsd-pair/ns1"), newNode(t, lab.Host("ns2"), "dnsd", "dnsd-pair/ns2")
	lab.Host("web1") // the addresses of the other pair's hosts
	lab.Host("web2")
	client := lab.Host("client")
	const first, second = "10.77.0.201", "10.77.0.202"
	ns1.start()
	ns2.start()
	ns1.holds(first, ns2)
	ns2.holds(second, ns1)
	for _, at := range []string{first, second} {
		for _, how := range []string{"+notcp", "+tcp"} {
			if out := client.Run("dig", "@"+at, how, "+short", "+tries=1", "+time=2", "www.shop.test"); out != "10.77.0.200\n" {
				t.Errorf("dig @%s %s: %q", at, how, out)
			}
		}
	}

	f := func(what string, move func(), from, to *node, atMost time.Duration, failures bool) {
		t.Helper()
		end1, end2 := drive(t, dnsAt(client, first)), drive(t, dnsAt(client, second))
		move()
		to.holds(first, from)
		for i, tr := range []*traffic{end1(), end2()} {
			t.Logf("%s, address %d: %v", what, i+1, tr)
			if len(tr.failed) > 0 && !failures || tr.longest > atMost {
				t.Errorf("%s, address %d: %v; want an answer within %v, none failed, or failures %v", what, i+1, tr, atMost, failures)
			}
		}
	}
	// A question whose answer was just being written when the address went is asked again after a quarter of a second.
	const planned, crash = 600 * time.Millisecond, 900 * time.Millisecond
	f("switch-over", func() { ns1.command("vip", "switch-over", "first") }, ns1, ns2, planned, false)
	f("back", func() { ns1.command("vip", "take-over", "first") }, ns2, ns1, planned, false)
	f("stop", func() { ns1.proc.Terminate(patience) }, ns1, ns2, planned, false)
	f("the better one is back", ns1.start, ns2, ns1, planned, false)
	f("crash", func() { ns1.proc.Kill() }, ns1, ns2, crash, true)
	f("back again", ns1.start, ns2, ns1, planned, false)
	// It runs, and nobody hears what it says over TCP, not even itself: a packet filter that was meant for something else.
	f("TCP is dead", func() {
		ns1.host.Run("nft", "add table inet f; add chain inet f in { type filter hook input priority 0 ; }; add rule inet f in tcp dport 53 reject with tcp reset")
	}, ns1, ns2, planned, false)
	f("TCP works", func() { ns1.host.Run("nft", "delete table inet f") }, ns2, ns1, planned, false)
	f("no answer", func() {
		ns1.host.Run("nft", "add table inet f; add chain inet f in { type filter hook input priority 0 ; }; add rule inet f in udp dport 53 drop")
	}, ns1, ns2, 6*time.Second, true)
}
