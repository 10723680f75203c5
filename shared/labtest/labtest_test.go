package labtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hears says whether a UDP datagram from one host reaches the other, without an answer.
func hears(t *testing.T, from, to *Host) bool {
	t.Helper()
	in, err := to.ListenPacket("udp4", to.AddrPort(0))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := from.DialContext(t.Context(), "udp4", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	in.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, _, err = in.ReadFrom(make([]byte, 1))
	return err == nil
}

// mustHear is hears with time for a busy machine.
func mustHear(t *testing.T, from, to *Host) {
	t.Helper()
	Eventually(t, 10*time.Second, from.Name+" reaches "+to.Name, func() error {
		if !hears(t, from, to) {
			return errors.New("silence")
		}
		return nil
	})
}

func mustNotHear(t *testing.T, from, to *Host) {
	t.Helper()
	if hears(t, from, to) {
		t.Errorf("%s reaches %s", from.Name, to.Name)
	}
}

func TestHostsReachEachOther(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	for _, addr := range []string{b.Addr().String(), b.Addr6().String()} {
		Eventually(t, 10*time.Second, "ping "+addr, func() error {
			_, err := a.Output("ping", "-n", "-c", "1", "-W", "1", addr)
			return err
		})
	}
	if got := b.Addr(); got != netip.MustParseAddr("10.77.0.2") {
		t.Errorf("second host's address is %v", got)
	}
	if got := b.Addr6(); got != netip.MustParseAddr("fd77::2") {
		t.Errorf("second host's address is %v", got)
	}
	if a.Ping("10.77.0.99") {
		t.Error("an address of no host answers")
	}
}

func TestCutAndHeal(t *testing.T) {
	lab := New(t)
	a, b, c := lab.Host("a"), lab.Host("b"), lab.Host("c")
	mustHear(t, a, b)
	lab.Cut(a, b)
	mustNotHear(t, a, b)
	mustNotHear(t, b, a)
	mustHear(t, a, c)
	lab.Heal(a, b)
	mustHear(t, a, b)
	mustHear(t, b, a)
}

func TestDropOneWay(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	mustHear(t, a, b) // addresses are resolved before the answers to resolution get lost
	mustHear(t, b, a)
	lab.DropOneWay(a, b)
	mustNotHear(t, a, b)
	mustHear(t, b, a)
	lab.HealAll()
	mustHear(t, a, b)
}

func TestPartition(t *testing.T) {
	lab := New(t)
	a, b, c, d := lab.Host("a"), lab.Host("b"), lab.Host("c"), lab.Host("d")
	lab.Partition([]*Host{a, b}, []*Host{c})
	mustHear(t, a, b)
	mustNotHear(t, a, c)
	mustNotHear(t, c, b)
	mustHear(t, c, d)
	lab.HealAll()
	mustHear(t, c, b)
}

func TestIsolateAndLoss(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	lab.Isolate(a)
	mustNotHear(t, a, b)
	lab.Rejoin(a)
	mustHear(t, a, b)
	lab.Loss(a, 1)
	mustNotHear(t, b, a)
	lab.Rejoin(a)
	mustHear(t, b, a)
}

// A share of loss is close to what is asked: 2 000 datagrams at 0.3 lose 600, with a deviation of 20.5.
func TestLossShare(t *testing.T) {
	const sent, share = 2000, 0.3
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	mustHear(t, a, b)
	in, err := b.ListenPacket("udp4", b.AddrPort(0))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := a.DialContext(t.Context(), "udp4", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	lab.Loss(a, share)
	got := 0
	for range sent / 100 { // by so many that the socket's buffer holds them
		for range 100 {
			out.Write([]byte("x"))
		}
		for buf := make([]byte, 1); ; got++ {
			in.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, _, err := in.ReadFrom(buf); err != nil {
				break
			}
		}
	}
	if lost := sent - got; lost < 480 || lost > 720 {
		t.Errorf("%d of %d lost at share %v", lost, sent, share)
	}
}

func TestUnplugTakesCarrier(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	carrier := func(want string) {
		t.Helper()
		Eventually(t, 10*time.Second, "carrier", func() error {
			if out := a.Run("ip", "-o", "link", "show", "eth0"); !strings.Contains(out, want) {
				return errors.New(out)
			}
			return nil
		})
	}
	carrier("state UP")
	lab.Unplug(a)
	carrier("NO-CARRIER")
	lab.Plug(a)
	carrier("state UP")
	mustHear(t, a, b)
	lab.Flap(a, 2, 5*time.Millisecond, 5*time.Millisecond)
	mustHear(t, b, a)
}

func TestDelay(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	lab.Delay(b, 200*time.Millisecond)
	start := time.Now()
	mustHear(t, a, b)
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("a datagram took %v", d)
	}
	lab.Delay(b, 0)
}

func TestRouterBetweenNetworks(t *testing.T) {
	lab := New(t)
	inside := lab.Network()
	client, router, server := lab.Host("client"), lab.Host("router", lab.Default(), inside), lab.Host("server", inside)
	router.Forward()
	v4, v6 := router.AddrOn(inside)
	server.Route(lab.Default().Prefix4(), v4)
	server.Route(lab.Default().Prefix6(), v6)
	client.Route(inside.Prefix4(), router.Addr())
	client.Route(inside.Prefix6(), router.Addr6())
	mustHear(t, client, server)
	if got := server.Addr().String(); got != "10.77.1.2" {
		t.Errorf("server has %s", got)
	}
	Eventually(t, 10*time.Second, "ping through the router", func() error {
		_, err := client.Output("ping", "-n", "-c", "1", "-W", "1", server.Addr6().String())
		return err
	})
}

func TestSpareAddressCanBeTaken(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	vip, vip6 := lab.Default().Spare()
	b.Run("ip", "addr", "add", vip.String()+"/32", "dev", b.Device(lab.Default()))
	b.Run("ip", "addr", "add", vip6.String()+"/128", "dev", "eth0", "nodad")
	Eventually(t, 10*time.Second, "ping", func() error {
		_, err := a.Output("ping", "-n", "-c", "1", "-W", "1", vip.String())
		return err
	})
	if next, _ := lab.Default().Spare(); next == vip {
		t.Error("an address is given twice")
	}
}

func TestTxOff(t *testing.T) {
	Needs(t, Root, "ethtool")
	lab := New(t)
	a := lab.Host("a")
	a.TxOff()
	if out := a.Run("ethtool", "-k", "eth0"); !strings.Contains(out, "tx-checksumming: off") {
		t.Error(out)
	}
	if out := lab.Switch().Run("ethtool", "-k", a.Port(lab.Default())); !strings.Contains(out, "tx-checksumming: off") {
		t.Error(out)
	}
}

// shell starts a script that says its own pid first.
func shell(h *Host, script string) *Proc {
	return h.Start("sh", "sh", "-c", "echo pid $$; "+script)
}

func TestProcess(t *testing.T) {
	lab := New(t)
	a := lab.Host("a")
	p := shell(a, "ip -o -4 addr; echo on-stderr >&2; read x; echo never")
	if got, want := p.WaitLine(`^pid`, 10*time.Second), fmt.Sprint("pid ", p.Pid()); got != want {
		t.Errorf("it calls itself %q, we %q", got, want)
	}
	p.WaitLine(a.Addr().String(), 10*time.Second)
	p.WaitLine("on-stderr", 10*time.Second)
	if code := p.Wait(10 * time.Second); code != 0 { // its input is empty
		t.Errorf("exit code %d\n%s", code, p.Output())
	}
	if p.Running() || !strings.Contains(p.Output(), "never") {
		t.Errorf("state %s, output %q", p.state(), p.Output())
	}
}

func TestKilledProcessIsNoticed(t *testing.T) {
	lab := New(t)
	p := shell(lab.Host("a"), "exec sleep 1000")
	p.WaitLine("pid", 10*time.Second)
	p.Kill()
	if p.Running() || p.cmd.ProcessState.ExitCode() != -1 || !strings.Contains(p.state(), "killed") {
		t.Errorf("state is %q", p.state())
	}
	p.Signal(os.Interrupt) // a dead process is no fault of the test
}

func TestFrozenProcess(t *testing.T) {
	lab := New(t)
	p := shell(lab.Host("a"), "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
	p.WaitLine("ready", 10*time.Second)
	mark := p.Mark()
	p.Stop()
	Eventually(t, 10*time.Second, "frozen", func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
		if err == nil && !strings.Contains(string(b), ") T ") {
			err = errors.New(string(b))
		}
		return err
	})
	p.Cont()
	if code := p.Terminate(10 * time.Second); code != 7 {
		t.Errorf("exit code %d", code)
	}
	p.WaitLineFrom(mark, "got it", time.Second)
}

func TestHTTPAcrossHosts(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a"), lab.Host("b")
	l, err := b.Listen("tcp", b.AddrPort(80))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	defer func() { srv.Close(); <-done }()
	a.WaitTCP(b.AddrPort(80), 10*time.Second)
	a.WaitHTTP("http://"+b.AddrPort(80), 200, 10*time.Second)
	resp, err := a.Client().Get("http://" + b.AddrPort(80))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if host, _, _ := net.SplitHostPort(string(body)); host != a.Addr().String() {
		t.Errorf("the server saw %s", body)
	}
}

// A function that ends its goroutine, as t.FailNow does, must not hang In, and the thread must come home.
func TestInComesHome(t *testing.T) {
	lab := New(t)
	a := lab.Host("a")
	home, _ := inodeOf("/proc/self/ns/net")
	for range 50 {
		err := a.In(func() error {
			if here, _ := inodeOf("/proc/thread-self/ns/net"); here != a.ns.inode {
				return errors.New("not in the namespace")
			}
			return nil
		})
		if here, _ := inodeOf("/proc/thread-self/ns/net"); err != nil || here != home {
			t.Fatalf("error %v, home %d, here %d", err, home, here)
		}
	}
	if err := a.In(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("no error")
	}
}

// visible returns the names of the links that can be seen from the test's own namespace.
func visible(t *testing.T) []string {
	t.Helper()
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range ifs {
		names = append(names, i.Name)
	}
	return names
}

func TestCleanUpLeavesNothing(t *testing.T) {
	Needs(t, Root, NetNS)
	LeakCheck(t)
	before := visible(t)
	var prefix string
	var stray int
	t.Run("lab", func(t *testing.T) {
		lab := New(t)
		prefix = lab.prefix
		a, b := lab.Host("a"), lab.Host("b")
		p := shell(a, "sleep 1000 & echo stray $!; wait")
		fmt.Sscanf(p.WaitLine("stray", 10*time.Second), "stray %d", &stray)
		p.Kill() // its child lives
		cmd := b.Command(t.Context(), "true")
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		if got := visible(t); !slices.Equal(got, before) {
			t.Errorf("the lab shows outside: %v, was %v", got, before)
		}
	})
	names, err := namespaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			t.Errorf("namespace %s is left", n)
		}
	}
	if got := visible(t); !slices.Equal(got, before) {
		t.Errorf("links are %v, were %v", got, before)
	}
	if _, err := startTime(stray); stray == 0 || err == nil {
		t.Errorf("process %d is left", stray)
	}
}

// A namespace whose owner is dead goes with the processes in it; one whose owner lives stays.
func TestSweep(t *testing.T) {
	Needs(t, Root, "ip", NetNS)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf("%s-%d-1-sweep-h0", marker, dead.Process.Pid)
	kept := newPrefix("keep") + "-h0"
	for _, name := range []string{left, kept} {
		if err := ipCommand("netns", "add", name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
	}
	stray := exec.Command("nsenter", "--net="+netnsDir+"/"+left, "--", "sleep", "1000")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	s, err := openSpace(left)
	if err != nil {
		t.Fatal(err)
	}
	defer s.file.Close()
	Eventually(t, 10*time.Second, "the stray enters", func() error {
		if len(s.pids()) == 0 {
			return errors.New("nobody there")
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- stray.Wait() }() // a zombie of ours is not in the namespace any more, but let it not stay
	if err := Sweep(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(grace):
		t.Error("the stray was not killed")
		stray.Process.Kill()
		<-ended
	}
	names, err := namespaces()
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(names, left) {
		t.Errorf("%s is left", left)
	}
	if !slices.Contains(names, kept) {
		t.Errorf("%s is gone", kept)
	}
}

// crashEnv makes the test binary play the run that crashes.
const crashEnv = "LABTEST_CRASH"

// A test process that is killed takes its processes with it at once, and the next run sweeps its namespaces.
func TestCrashedRun(t *testing.T) {
	if os.Getenv(crashEnv) != "" {
		crash(t)
	}
	Needs(t, Root, "ip", "nft", NetNS)
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashedRun$")
	cmd.Env = append(os.Environ(), crashEnv+"=1")
	out, err := cmd.Output()
	var prefix string
	var pid int
	if n, _ := fmt.Sscanf(string(out), "%s %d", &prefix, &pid); n != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	Eventually(t, 10*time.Second, "its process dies", func() error {
		if _, err := startTime(pid); err == nil {
			return fmt.Errorf("%d lives", pid)
		}
		return nil
	})
	if err := Sweep(); err != nil {
		t.Error(err)
	}
	names, err := namespaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			t.Errorf("%s is left", n)
		}
	}
}

// crash makes a lab with a process, says which, and dies.
func crash(t *testing.T) {
	lab := New(t)
	p := lab.Host("a").Start("sleep", "sleep", "1000")
	fmt.Println(lab.prefix, p.Pid())
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	<-p.Done() // not reached
}

func TestOwner(t *testing.T) {
	f := func(name string, pid int, start uint64, ok bool) {
		t.Helper()
		gotPid, gotStart, gotOK := owner(name)
		if gotOK != ok || ok && (gotPid != pid || gotStart != start) {
			t.Errorf("owner(%q) = %d, %d, %v", name, gotPid, gotStart, gotOK)
		}
	}
	f("evl-12-345-abc-h0-a", 12, 345, true)
	f("evl-12-345-abc-switch", 12, 345, true)
	f("evl-12-345", 0, 0, false)
	f("evl-x-345-abc-h0", 0, 0, false)
	f("evl-0-345-abc-h0", 0, 0, false)
	f("other-12-345-abc", 0, 0, false)
	if stale(newPrefix("me") + "-h0") {
		t.Error("our own namespace counts as stale")
	}
	if stale("blue") {
		t.Error("a foreign namespace counts as stale")
	}
}

func TestRuleset(t *testing.T) {
	f := newFaults()
	Golden(t, "ruleset-none.txt", f.ruleset())
	f.drop[[2]string{"h1e0", "h0e0"}] = true
	f.drop[[2]string{"h0e0", "h1e0"}] = true
	f.dead["h2e0"] = true
	f.loss["h3e0"] = 2500
	Golden(t, "ruleset.txt", f.ruleset())
}
