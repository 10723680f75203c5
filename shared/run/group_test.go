package run

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
)

func untilEnd(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestGroupFirstErrorWinsAndEndsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context())
		g.Go("idle", untilEnd)
		g.Go("late", func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Minute)
			return errors.New("late")
		})
		g.Go("reader", func(context.Context) error { time.Sleep(time.Second); return io.ErrUnexpectedEOF })
		start := time.Now()
		err := g.Wait()
		if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "reader: unexpected EOF" {
			t.Errorf("Wait() = %v, want the reader's", err)
		}
		if got := time.Since(start); got != time.Second+time.Minute {
			t.Errorf("Wait returned after %v, before the slowest had ended", got)
		}
	})
}

func TestGroupPanicIsAnErrorWithStack(t *testing.T) {
	g := NewGroup(t.Context())
	g.Go("idle", untilEnd)
	g.Go("bad", func(context.Context) error { panic("boom") })
	err := g.Wait()
	if !errors.Is(err, fault.Internal) || !strings.Contains(err.Error(), "boom") ||
		!strings.Contains(err.Error(), "TestGroupPanicIsAnErrorWithStack") {
		t.Errorf("Wait() = %v, want fault.Internal with the value and the stack", err)
	}
}

func TestGroupEnds(t *testing.T) {
	quiet := func(context.Context) error { return nil }
	tests := []struct {
		name  string
		start func(g *Group)
		want  string
	}{
		{"a nil return leaves the others", func(g *Group) {
			g.Go("quiet", quiet)
			g.Go("canceler", func(context.Context) error { g.Cancel(); return nil })
			g.Go("idle", untilEnd)
		}, ""},
		{"a critical nil return is an error", func(g *Group) {
			g.Critical("loop", quiet)
			g.Go("idle", untilEnd)
		}, "loop: ended unasked"},
		{"a critical return after the end is none", func(g *Group) {
			g.Critical("loop", func(ctx context.Context) error { <-ctx.Done(); return nil })
			g.Cancel()
		}, ""},
		{"an error after the end still counts", func(g *Group) {
			g.Go("flush", func(ctx context.Context) error { <-ctx.Done(); return errors.New("disk full") })
			g.Cancel()
		}, "flush: disk full"},
		{"a cancel of its own that is not the group's is an error", func(g *Group) {
			g.Go("call", func(context.Context) error { return context.Canceled })
		}, "call: context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := NewGroup(t.Context())
			tt.start(g)
			got := ""
			if err := g.Wait(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Wait() = %q, want %q", got, tt.want)
			}
		})
	}
}
