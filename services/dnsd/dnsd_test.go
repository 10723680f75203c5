package dnsd

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/dnsd/internal/config"
	"github.com/everup/everup/services/dnsd/internal/forward"
	"github.com/everup/everup/services/dnsd/internal/serve"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

func TestConfigStruct(t *testing.T) {
	if err := conf.CheckStruct(&config.Config{}); err != nil {
		t.Error(err)
	}
}

const siteZone = `$TTL 60
@ IN SOA ns1 host %d 1 1 1 30
@ IN NS ns1
ns1 IN A 127.0.0.1
www IN A 192.0.2.80
big IN TXT "%s"
`

// instance is a running dnsd.
type instance struct {
	*daemon.Instance[Config]
	addr string
	dir  string
}

// start runs dnsd in this process with the given tail of a configuration until the test ends.
func start(t *testing.T, tail string) *instance {
	t.Helper()
	dir := t.TempDir()
	writeZone(t, dir, 1)
	addr := labtest.FreeAddr(t)
	text := fmt.Sprintf("node: n1\nstate: %[1]s/state\nadmin: {socket: %[1]s/sock}\nlisten: ['%[2]s']\nzones: [{name: site.test, file: %[1]s/site.zone}]\n%[3]s", dir, addr, tail)
	file := filepath.Join(dir, "dnsd.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (daemon.Loaded[Config], error) {
		c := new(Config)
		doc, err := conf.Load(file, c, conf.Options{})
		return daemon.Loaded[Config]{Config: c, Doc: doc}, err
	}
	l, err := load()
	if err != nil {
		t.Fatal(err)
	}
	in, err := daemon.New(Spec(), l, load, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("dnsd ended with: %v", err)
		}
	})
	return &instance{in, addr, dir}
}

func writeZone(t *testing.T, dir string, serial int) {
	t.Helper()
	big := strings.Repeat("x", 250) + `" "` + strings.Repeat("y", 250) + `" "` + strings.Repeat("z", 250)
	if err := os.WriteFile(filepath.Join(dir, "site.zone"), fmt.Appendf(nil, siteZone, serial, big), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dig asks by Debian's dig and returns its short answer and the line of flags.
func (in *instance) dig(t *testing.T, args ...string) (short, header string) {
	t.Helper()
	labtest.Needs(t, "dig")
	host, port, _ := net.SplitHostPort(in.addr)
	out, err := exec.Command("dig", append([]string{"@" + host, "-p", port, "+tries=1", "+time=3"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig %v: %v\n%s", args, err, out)
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, ";; ->>HEADER<<-"), strings.HasPrefix(line, ";; flags:"):
			header += line + " "
		case line != "" && line[0] != ';':
			f := strings.Fields(line)
			short += strings.Join(f[3:], " ") + "\n"
		}
	}
	return short, header
}

func TestDig(t *testing.T) {
	in := start(t, "")
	f := func(wantShort, wantHeader string, args ...string) {
		t.Helper()
		short, header := in.dig(t, args...)
		if !strings.HasPrefix(short, wantShort) || !strings.Contains(header, wantHeader) {
			t.Errorf("dig %v: %q, header %s; want %q, %q", args, short, header, wantShort, wantHeader)
		}
	}
	f("A 192.0.2.80\n", "flags: qr aa rd;", "www.site.test", "A")
	f("A 192.0.2.80\n", "flags: qr aa rd;", "+tcp", "www.site.test", "A")
	f("SOA ns1.site.test.", "status: NXDOMAIN", "nope.site.test", "A")
	f("", "status: REFUSED", "www.elsewhere.test", "A")
	f("", "status: REFUSED", "site.test", "AXFR", "+noall", "+comments")
	f("", "status: REFUSED", "www.site.test", "A", "-c", "CH")
	f("", "status: BADVERS", "www.site.test", "A", "+edns=1", "+noednsneg")
	f("TXT", "flags: qr aa rd;", "big.site.test", "TXT")                       // EDNS has room
	f("", "flags: qr aa tc rd;", "big.site.test", "TXT", "+noedns", "+ignore") // 512 bytes do not
	f("TXT", "flags: qr aa rd;", "big.site.test", "TXT", "+noedns")            // dig asks again over TCP
	f("SOA dnsd.everup.internal.", "status: NXDOMAIN", "web.service.everup.internal", "A")
	f("A 127.0.0.1\n", "flags: qr aa rd;", "dnsd.service.everup.internal", "A") // itself
	f("SRV 0 100", "flags: qr aa rd;", "_dns._udp.dnsd.service.everup.internal", "SRV")
}

func TestForward(t *testing.T) {
	up := start(t, "fleet: {domain: other.internal}\n")
	in := start(t, fmt.Sprintf("forward: {upstreams: ['%s', '%s'], timeout: 500ms}\n", labtest.FreeAddr(t), up.addr))
	for range 2 { // the first upstream is dead: whichever comes first, there is an answer, and then it is in the cache
		short, header := in.dig(t, "dnsd.service.other.internal", "A")
		if short != "A 127.0.0.1\n" || !strings.Contains(header, "flags: qr rd ra;") {
			t.Errorf("forwarded: %q, %s", short, header)
		}
	}
	if _, header := in.dig(t, "www.elsewhere.test", "A"); !strings.Contains(header, "status: REFUSED") {
		t.Errorf("what the upstream refuses: %s", header)
	}
	if _, header := in.dig(t, "+norecurse", "dnsd.service.other.internal", "A"); !strings.Contains(header, "status: REFUSED") {
		t.Errorf("a question that asks for no recursion: %s", header)
	}
}

func TestReloadSwapsZones(t *testing.T) {
	in := start(t, "")
	serial := func() string {
		t.Helper()
		short, _ := in.dig(t, "site.test", "SOA")
		return strings.Fields(short)[3]
	}
	if got := serial(); got != "1" {
		t.Fatalf("serial %s", got)
	}
	writeZone(t, in.dir, 2)
	if _, err := in.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != "2" {
		t.Errorf("serial %s after the reload", got)
	}
	if err := os.WriteFile(filepath.Join(in.dir, "site.zone"), []byte("garbage here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Reload(t.Context()); fault.Of(err) != fault.Config {
		t.Errorf("a broken zone: %v", err)
	}
	if got := serial(); got != "2" {
		t.Errorf("serial %s after a refused reload", got)
	}
	var kinds []string
	for _, e := range in.Env().Bus.Recent(10) {
		kinds = append(kinds, e.Kind)
	}
	slices.Sort(kinds) // the alert and the refusal come from two goroutines
	kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "daemon-ready" || k == "alert-raised" })
	if d := cmp.Diff([]string{"config-applied", "config-rejected", "zone-changed"}, kinds); d != "" {
		t.Errorf("events: -want +got\n%s", d)
	}
}

func TestNewRefuses(t *testing.T) {
	c := new(Config)
	conf.SetDefaults(c)
	dir := t.TempDir()
	c.Node, c.State, c.Admin.Socket = "n1", filepath.Join(dir, "state"), filepath.Join(dir, "sock")
	c.Listen = []conf.Addr{"127.0.0.1:0"}
	c.Zones = []config.Zone{{Name: "x.test", File: filepath.Join(dir, "no.zone")}}
	if _, err := daemon.New(Spec(), daemon.Loaded[Config]{Config: c}, nil, io.Discard); fault.Of(err) != fault.Config {
		t.Errorf("a zone file that is not there: %v", err)
	}
	c.Zones = nil
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c.Listen = []conf.Addr{conf.Addr(taken.LocalAddr().String())}
	_, err = daemon.New(Spec(), daemon.Loaded[Config]{Config: c}, nil, io.Discard)
	if fault.Of(err) != fault.Conflict || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a port in use: %v", err)
	}
}

func TestJudge(t *testing.T) {
	a, b := forward.New(forward.Config{}), forward.New(forward.Config{})
	f := func(before, now outcome, want health.Level, wantOK bool) {
		t.Helper()
		if got, _, ok := judge(before, now); got != want || ok != wantOK {
			t.Errorf("%+v to %+v: %v, %v", before, now, got, ok)
		}
	}
	f(outcome{}, outcome{}, health.OK, true)                     // no forwarder
	f(outcome{a, 5, 5}, outcome{a, 5, 5}, health.OK, false)      // nothing new: what is shown stays
	f(outcome{a, 5, 0}, outcome{a, 8, 3}, health.Fail, true)     // all failed
	f(outcome{a, 5, 5}, outcome{a, 9, 7}, health.Warn, true)     // half
	f(outcome{a, 5, 5}, outcome{a, 9, 6}, health.OK, true)       // one of four
	f(outcome{a, 500, 500}, outcome{b, 2, 2}, health.Fail, true) // a new forwarder counts anew
	f(outcome{a, 500, 500}, outcome{}, health.OK, true)          // forwarding was taken away
}

// Upstreams that do not answer are shown, and so is that they are back.
func TestDeadUpstreamsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := health.NewRegistry()
		told := map[string]int{}
		s := &Service{ups: reg.Item("dnsd.forward", health.Options{}), tell: func(value string, n int) { told[value] = n }}
		s.cfg.Store(&Config{})
		fw := forward.New(forward.Config{})
		s.data.Store(&serve.Data{Forward: fw})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.watchUpstreams(ctx); close(done) }()
		fw.Failures.Add(3)
		time.Sleep(upstreamsEvery + time.Second)
		if reg.Worst() != health.Fail {
			t.Error("dead upstreams are not shown")
		}
		synctest.Wait()
		if n, ok := told["upstreams"]; n != 0 || !ok {
			t.Errorf("told of dead upstreams: %v", told)
		}
		fw.Answered.Add(3)
		time.Sleep(upstreamsEvery)
		if reg.Worst() != health.OK {
			t.Error("upstreams that answer again are still shown as dead")
		}
		synctest.Wait()
		if told["upstreams"] != 1 {
			t.Errorf("told of upstreams that answer: %v", told)
		}
		cancel()
		<-done
	})
}

func TestForwardingToItselfIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dnsd.yaml")
	if err := os.WriteFile(file, []byte("listen: ['127.0.0.1:5300']\nforward: {upstreams: ['192.0.2.1:53', '127.0.0.1:5300']}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := conf.Load(file, new(Config), conf.Options{}); err == nil || !strings.Contains(err.Error(), "forward.upstreams[1]: ") {
		t.Errorf("an upstream that is this server: %v", err)
	}
}
