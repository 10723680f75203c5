package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// sample is a request of the corpus, with content where it promises some.
type sample struct {
	want, sent, about string
}

func corpus(t *testing.T) []sample {
	t.Helper()
	file, err := os.ReadFile("../internal/http1/testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []sample
	for line := range strings.Lines(string(file)) {
		part := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(part) != 3 {
			continue
		}
		sent, err := strconv.Unquote(part[1])
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(sent, "CONNECT") {
			continue // no proxy of the three forwards it
		}
		if n, ok := strings.CutPrefix(part[0], "length "); ok {
			head, _, _ := strings.Cut(sent, "\r\n\r\n")
			length, err := strconv.Atoi(n)
			if err != nil || length > 1000 {
				continue // nobody waits for that
			}
			sent = head + "\r\n\r\n" + strings.Repeat("x", length)
		}
		if part[0] == "chunked" {
			head, _, _ := strings.Cut(sent, "\r\n\r\n")
			sent = head + "\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		}
		out = append(out, sample{part[0], sent, part[2]})
	}
	return out
}

// laxer are requests that lbd takes and both others refuse, by what they are about, with why it is right to take them.
func laxer() map[string]string {
	return map[string]string{}
}

// TestSmugglingDifferential sends the corpus of requests to lbd, nginx and HAProxy. What both others refuse lbd refuses, unless laxer says why not;
// what it refuses and another forwards is in the golden file, which is read when it changes. Each line of that names what the three made of it.
func TestSmugglingDifferential(t *testing.T) {
	labtest.Needs(t, "nginx", "haproxy")
	lbd, nginx, haproxy := startLBD(t), startNginx(t), startHAProxy(t)
	var golden strings.Builder
	fmt.Fprintf(&golden, "%s; %s\n", version(t, "nginx", "-v"), version(t, "haproxy", "-v"))
	refused, known := 0, laxer()
	for _, s := range corpus(t) {
		got := askAll(t, s.sent, lbd, nginx, haproxy)
		ours, a, b := got[0], got[1], got[2]
		if !ours.taken() {
			refused++
		}
		if ours.taken() && !a.taken() && !b.taken() && known[s.about] == "" {
			t.Errorf("%s: %q is forwarded, and refused by nginx (%s) and HAProxy (%s)", s.about, s.sent, a.status, b.status)
		}
		if ours.taken() && strings.Count(ours.forwarded, "HTTP/1.1\r\n") != 1 {
			t.Errorf("%s: %q reaches the member as %q", s.about, s.sent, ours.forwarded)
		}
		if !ours.taken() && (a.taken() || b.taken()) {
			fmt.Fprintf(&golden, "%s: lbd answers %s (%s), nginx %s, HAProxy %s\n", s.about, ours.status, s.want, a, b)
		}
	}
	if refused < 150 {
		t.Errorf("only %d requests are refused", refused)
	}
	labtest.Golden(t, "differences", golden.String())
}

// askAll asks all at once.
func askAll(t *testing.T, sent string, peers ...*peer) []verdict {
	t.Helper()
	out := make([]verdict, len(peers))
	errs := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() { out[i], errs[i] = p.ask(sent) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return out
}

// version returns the first line of what a program says of itself, without build dates.
func version(t *testing.T, name, arg string) string {
	t.Helper()
	out, err := exec.Command(name, arg).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	line, _, _ = strings.Cut(line, " 20")
	return line
}
