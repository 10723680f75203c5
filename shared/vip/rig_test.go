package vip

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/state"
	"github.com/everup/everup/shared/vip/internal/notify"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// recorder keeps events as "kind object from→state cause", and commands.
type recorder struct {
	mu   sync.Mutex
	said []string
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Emit(kind, object string, data any) {
	e := data.(Event)
	text := fmt.Sprintf("%s %s %s→%s %s", kind, object, e.From, e.State, e.Cause)
	if kind == "vip-conflict" {
		text = fmt.Sprintf("%s %s %s %s %v", kind, object, e.Conflict, e.Detail, e.Gone)
	}
	if e.Peer != "" {
		text += " peer " + e.Peer
	}
	r.note("%s", text)
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.said
	r.said = nil
	return out
}

// rig is a Manager whose children are fakes.
type rig struct {
	*Manager
	recorder // of events
	commands recorder
	t        *testing.T
	dir      *state.Dir
	env      Env
	peer     bool                                           // of the next child
	starter  func(got func(*wire.Message)) (process, error) // nil: a fakeProcess
	end      func()
	log      *lockedLog

	mu    sync.Mutex
	procs []*fakeProcess
}

type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newEnv returns an Env with everything that a daemon has.
func newEnv(t testing.TB, dir *state.Dir, events Emitter, log zerolog.Logger) Env {
	t.Helper()
	keys, err := pki.New("fleet", "0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	reg, items := metric.NewRegistry("everup_lbd"), health.NewRegistry()
	return Env{
		Service: "lbd", Node: "n1", Log: log, Metrics: reg, Health: items, Bus: events, Keys: keys, State: dir,
		Admin: admin.New("lbd", reg, items, zerolog.Nop()),
	}
}

func openState(t testing.TB, path string) *state.Dir {
	t.Helper()
	dir, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// inBubble runs f with a Manager in a bubble; change may alter the Env, and dir is the state directory.
func inBubble(t *testing.T, dir string, cfg Config, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir, cfg)
		r.run()
		f(r)
		r.close()
	})
}

func newRig(t *testing.T, dir string, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, dir: openState(t, dir), log: &lockedLog{}}
	r.env = newEnv(t, r.dir, &r.recorder, zerolog.New(r.log))
	r.make(cfg)
	return r
}

func (r *rig) make(cfg Config) {
	r.t.Helper()
	m, err := New(cfg, r.env)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Manager = m
	m.start = func(got func(*wire.Message)) (process, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.starter != nil {
			return r.starter(got)
		}
		p := startFake(got, r.peer)
		p.onPlan = r.recorded
		r.procs = append(r.procs, p)
		return p, nil
	}
	m.notifier = notify.New(notify.Options{
		Log: zerolog.Nop(), Ran: m.met.notifyRan, Failed: m.met.notifyFailed, Dropped: m.met.notifyDropped,
		Exec: func(_ context.Context, c notify.Command) (string, error) {
			r.commands.note("%s", strings.Join(append(c.Args, c.Env...), " "))
			return "", nil
		},
	})
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	m := r.Manager
	go func() { done <- m.Run(ctx) }()
	r.end = func() {
		r.t.Helper()
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}
	synctest.Wait()
}

// recorded fails the test if a plan is sent with a place that is not on disk yet.
func (r *rig) recorded(p *wire.Plan) {
	known := setOf(r.record().Places)
	for _, place := range placesOf(p) {
		if !known[place] {
			r.t.Errorf("%v is in a plan and not in the record", place)
		}
	}
}

// close ends the Manager and what it stands on.
func (r *rig) close() {
	r.t.Helper()
	if r.end != nil {
		r.end()
	}
	for _, p := range r.children() {
		p.Hangup()
		<-p.done
	}
	if err := r.dir.Close(); err != nil {
		r.t.Error(err)
	}
}

// starting says how children are started from now on.
func (r *rig) starting(f func(got func(*wire.Message)) (process, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starter = f
}

func (r *rig) children() []*fakeProcess {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.procs)
}

// child returns the last child.
func (r *rig) child() *fakeProcess {
	all := r.children()
	return all[len(all)-1]
}

// as has the child's goroutine do something.
func (r *rig) as(f func(h *fakeHolder)) {
	done := make(chan struct{})
	r.child().do <- func(h *fakeHolder) { f(h); close(done) }
	<-done
}

// says lets d pass and compares what was said since.
func (r *rig) says(d time.Duration, want ...string) {
	r.t.Helper()
	waitInBubble(d)
	if diff := cmp.Diff(want, r.take()); diff != "" {
		r.t.Errorf("said: -want +got:\n%s", diff)
	}
}

// ran compares the commands that ran since.
func (r *rig) ran(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.commands.take()); diff != "" {
		r.t.Errorf("ran: -want +got:\n%s", diff)
	}
}

// shows compares the health items that are not well, as "id level detail".
func (r *rig) shows(want ...string) {
	r.t.Helper()
	waitInBubble(0)
	var got []string
	for _, s := range r.env.Health.Snapshot() {
		if s.Level != health.OK {
			got = append(got, fmt.Sprintf("%s %v %s", s.ID, s.Level, s.Detail))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("health: -want +got:\n%s", diff)
	}
}

// states compares the VIPs' states.
func (r *rig) states(want string) {
	r.t.Helper()
	waitInBubble(0)
	var got []string
	for _, v := range r.Status().VIPs {
		got = append(got, v.Name+" "+v.text())
	}
	if g := strings.Join(got, "; "); g != want {
		r.t.Errorf("states %q, want %q", g, want)
	}
}

// metric returns a metric's lines, those of a name that begin so.
func (r *rig) metric(begin string) string {
	r.t.Helper()
	var b strings.Builder
	if err := r.env.Metrics.WriteText(&b); err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "everup_lbd_"+begin) {
			out = append(out, strings.TrimSpace(strings.TrimPrefix(line, "everup_lbd_")))
		}
	}
	return strings.Join(out, "; ")
}

// record returns the saved record.
func (r *rig) record() (rec record) {
	r.t.Helper()
	if err := r.dir.Load(recordFile, recordKind, recordVersion, &rec); err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) placesOnDisk() string {
	r.t.Helper()
	var out []string
	for _, p := range r.record().Places {
		out = append(out, p.Interface+" "+p.Prefix.String())
	}
	return strings.Join(out, ", ")
}

// call makes a call of the admin API.
func (r *rig) call(method, path string, into any) int {
	r.t.Helper()
	status, body := r.env.Admin.Call(r.t.Context(), method, path, nil, "ada")
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			r.t.Fatalf("%s: %v", body, err)
		}
	}
	return status
}

func waitInBubble(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
