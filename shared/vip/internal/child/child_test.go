package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

const childEnv = "EVERUP_TEST_VIP_CHILD"

// TestMain turns the test binary into a child when childEnv is set.
func TestMain(m *testing.M) {
	mode := os.Getenv(childEnv)
	if mode == "" {
		os.Exit(m.Run())
	}
	os.Exit(childMain(mode))
}

// childMain answers each Do with a Done, until the end of the socket; how depends on the mode.
func childMain(mode string) int {
	ctl, parent, err := Inherit()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	switch mode {
	case "garbage":
		fmt.Fprint(ctl, "\x00\x00\x00\x01x")
	case "close":
		ctl.Close()
		select {}
	case "words":
		fmt.Fprintf(os.Stderr, "one\n\ntw\x1b[31mo\n%s\nlast", strings.Repeat("x", 2*maxLine))
		return 0
	case "flood":
		fmt.Fprint(os.Stderr, strings.Repeat("line\n", 2*lineBurst))
		return 0
	}
	say(ctl, &wire.Message{Tell: &wire.Tell{Detail: describe(parent)}})
	var r wire.Reader
	buf := make([]byte, 4096)
	for {
		n, err := ctl.Read(buf)
		if err != nil {
			return 0
		}
		if err := r.Feed(buf[:n], func(m *wire.Message) error {
			if m.Do != nil {
				say(ctl, &wire.Message{Done: &wire.Done{ID: m.Do.ID}})
			}
			return nil
		}); err != nil {
			return 4
		}
	}
}

func say(w io.Writer, m *wire.Message) {
	b, err := wire.Append(nil, m)
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil {
		os.Exit(5)
	}
}

// describe says what the child has inherited.
func describe(parent int) string {
	pgid, _ := unix.Getpgid(0)
	var open []string
	for fd := 3; fd < 64; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			open = append(open, fmt.Sprint(fd))
		}
	}
	_, secret := os.LookupEnv("EVERUP_TEST_SECRET")
	alive := unix.PidfdSendSignal(parent, 0, nil, 0) == nil
	return fmt.Sprintf("group of its own %v, open %v, secret %v, parent %v", pgid == os.Getpid(), open, secret, alive)
}

// rig is a Process and what it said.
type rig struct {
	*Process
	got chan *wire.Message
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, mode string) *rig {
	t.Helper()
	r := &rig{got: make(chan *wire.Message, 1000), log: new(lockedBuffer)}
	p, err := Start(Options{
		Args: []string{"everup-test", "vrrp"}, Env: []string{childEnv + "=" + mode}, Log: zerolog.New(r.log),
		Got: func(m *wire.Message) { r.got <- m },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Process = p
	t.Cleanup(func() { p.Kill(errors.New("the test is over")); <-p.Done() })
	return r
}

// next returns the next message, or fails the test.
func (r *rig) next(t *testing.T) *wire.Message {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-r.Done():
		t.Fatalf("the child ended: %v %s", r.Err(), r.log)
	}
	return nil
}

// ends waits for the end and checks what Err says.
func (r *rig) ends(t *testing.T, class fault.Class, want string) {
	t.Helper()
	<-r.Done()
	err := r.Err()
	if want == "" && err == nil {
		return
	}
	if err == nil || fault.Of(err) != class || want == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("ended by %v, want %v %q", err, class, want)
	}
}

func TestConversation(t *testing.T) {
	labtest.LeakCheck(t)
	t.Setenv("EVERUP_TEST_SECRET", "x")
	stray, err := unix.Dup(int(os.Stderr.Fd())) // without CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stray)
	r := start(t, "echo")
	if d := r.next(t).Tell.Detail; d != "group of its own true, open [], secret false, parent true" {
		t.Error(d)
	}
	for id := range uint64(500) {
		if err := r.Send(&wire.Message{Beat: &wire.Beat{}}, &wire.Message{Do: &wire.Do{ID: id}}); err != nil {
			t.Fatal(err)
		}
		if m := r.next(t); m.Done == nil || m.Done.ID != id {
			t.Fatalf("answer %+v", m)
		}
	}
	r.Hangup()
	r.ends(t, 0, "")
	if err := r.Send(&wire.Message{Beat: &wire.Beat{}}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("send after the end: %v", err)
	}
	r.Kill(nil)
}

// TestByHand: the command without a daemon says so.
func TestByHand(t *testing.T) {
	labtest.LeakCheck(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for what, files := range map[string][]*os.File{"no descriptor": nil, "no socket": {null}} {
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.ExtraFiles = append(os.Environ(), childEnv+"=echo"), files
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "is run by the daemon, not by hand") {
			t.Errorf("%s: %v %s", what, err, out)
		}
	}
}

func TestKill(t *testing.T) {
	labtest.LeakCheck(t)
	r := start(t, "echo")
	r.next(t)
	r.Kill(fault.New(fault.Timeout, "first"))
	r.Kill(fault.New(fault.Full, "second"))
	r.ends(t, fault.Timeout, "first")
}

func TestDiesByItself(t *testing.T) {
	labtest.LeakCheck(t)
	r := start(t, "echo")
	r.next(t)
	if err := syscall.Kill(r.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.ends(t, fault.Unavailable, "the VRRP process ended: signal: killed")
}

// TestFrozen: a child that does not read is killed about a second after the first message that it left.
func TestFrozen(t *testing.T) {
	labtest.LeakCheck(t)
	r := start(t, "echo")
	r.next(t)
	if err := syscall.Kill(r.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := r.Send(&wire.Message{Beat: &wire.Beat{}}); err != nil {
		t.Fatal(err)
	}
	r.ends(t, fault.Timeout, "has not read for 1s")
	if took := time.Since(begin); took < time.Second || took > 5*time.Second {
		t.Errorf("killed after %v", took)
	}
}

// TestFull: what a frozen child makes us keep is bounded, and costs it its life.
func TestFull(t *testing.T) {
	labtest.LeakCheck(t)
	r := start(t, "echo")
	r.next(t)
	if err := syscall.Kill(r.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	large := &wire.Message{Verdict: &wire.Verdict{Faults: []string{strings.Repeat("x", 100<<10)}}}
	var err error
	for range 10 * queueLen {
		if err = r.Send(large); err != nil {
			break
		}
	}
	if !errors.Is(err, fault.Full) {
		t.Errorf("error %v", err)
	}
	r.ends(t, fault.Full, "64 messages wait")
}

func TestTooLarge(t *testing.T) {
	labtest.LeakCheck(t)
	r := start(t, "echo")
	err := r.Send(&wire.Message{Done: &wire.Done{Error: strings.Repeat("x", wire.MaxFrame)}})
	if !errors.Is(err, fault.Full) {
		t.Error(err)
	}
	r.next(t)
	if err := r.Send(&wire.Message{Do: &wire.Do{ID: 1}}); err != nil { // it still lives
		t.Error(err)
	}
	r.next(t)
}

func TestGarbage(t *testing.T) {
	labtest.LeakCheck(t)
	start(t, "garbage").ends(t, fault.Invalid, "said something that is no message")
}

func TestClosesAndStays(t *testing.T) {
	labtest.LeakCheck(t)
	start(t, "close").ends(t, fault.Unavailable, "closed its socket and did not end")
}

func TestStderr(t *testing.T) {
	labtest.LeakCheck(t)
	r := start(t, "words")
	r.ends(t, 0, "")
	var want strings.Builder
	for _, line := range []string{"one", `tw\u001b[31mo`, strings.Repeat("x", maxLine), "last"} {
		fmt.Fprintf(&want, "{\"level\":\"warn\",\"line\":\"%s\",\"message\":\"the VRRP process says\"}\n", line)
	}
	if got := r.log.String(); got != want.String() {
		t.Errorf("log:\n%s\nwant:\n%s", got, want.String())
	}
	r = start(t, "flood")
	r.ends(t, 0, "")
	if n := strings.Count(r.log.String(), "says"); n < lineBurst || n > lineBurst+lineRate*10 || !strings.Contains(r.log.String(), "wrote more than is logged") {
		t.Errorf("%d lines of %d", n, 2*lineBurst)
	}
}
