package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// toyConfig is the configuration of a service that does next to nothing.
type toyConfig struct {
	Common `yaml:",inline"`
	Word   string `yaml:"word" default:"hello" enum:"hello|bye|refused|unmade" doc:"What the toy says."`
}

// toy is that service. It notes in which order it is called.
type toy struct {
	fail chan struct{} // closed: Run fails
	hold chan struct{} // not nil: Reload waits for it

	mu     sync.Mutex
	word   string
	called []string
}

func (t *toy) note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.called = append(t.called, what)
}

func (t *toy) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-t.fail:
		return fault.New(fault.Unavailable, "toy: broken")
	}
	t.note("ended")
	return nil
}

func (t *toy) Reload(_ context.Context, c *toyConfig) error {
	if t.hold != nil {
		t.hold <- struct{}{}
		<-t.hold
		t.note("reloaded")
	}
	if c.Word == "refused" {
		return fault.New(fault.Config, "toy: that word is refused")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.word = c.Word
	return nil
}

func (t *toy) Drain(context.Context) error { t.note("drained"); return nil }

func (t *toy) Status() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return map[string]string{"word": t.word}
}

func toySpec(name string) Spec[toyConfig] {
	return Spec[toyConfig]{
		Name: name, Short: "A toy.", Common: func(c *toyConfig) *Common { return &c.Common },
		New: func(c *toyConfig, env *Env) (Service[toyConfig], error) {
			if fifo := os.Getenv("TOY_FIFO"); fifo != "" {
				os.ReadFile(fifo) // until the test closes its end
			}
			if c.Word == "unmade" {
				return nil, fault.New(fault.Config, "toy: nothing can be made of that word")
			}
			return &toy{word: c.Word, fail: make(chan struct{})}, nil
		},
	}
}

// host is a place for daemons: a directory and a shared configuration.
type host struct {
	dir    string
	common string // YAML put before each daemon's own
	admin  string // more of the section admin: ", key: value"
}

func newHost(t *testing.T, common string) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "everup") // short: unix sockets have 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &host{dir: dir, common: common}
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(t *testing.T, name, tail string) string {
	t.Helper()
	text := fmt.Sprintf("node: n1\nstate: %s\nadmin: {socket: %s%s}\n%s%s", h.path(name+".state"), h.path(name+".sock"), h.admin, h.common, tail)
	file := h.path(name + ".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// start runs an instance until the test ends or stop is called; stop drains as a signal would.
func (h *host) start(t *testing.T, name, tail string) (in *Instance[toyConfig], stop func()) {
	t.Helper()
	file := h.write(t, name, tail)
	load := func() (Loaded[toyConfig], error) { return readConfig[toyConfig](file, conf.Options{}) }
	l, err := load()
	if err != nil {
		t.Fatal(err)
	}
	in, err = New(toySpec(name), l, load, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		for _, s := range in.StopSteps() {
			if err := s.Do(ctx); err != nil {
				t.Errorf("%s: stop step %s: %v", name, s.Name, err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	t.Cleanup(stop)
	return in, stop
}

func ask[T any](t *testing.T, h *host, name, method, path string) (out T, err error) {
	t.Helper()
	c := admin.Dial(h.path(name + ".sock"))
	defer c.Close()
	return out, c.Do(t.Context(), method, path, nil, &out)
}
