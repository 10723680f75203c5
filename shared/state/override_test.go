package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func overrides(t *testing.T, d *Dir) *Overrides {
	t.Helper()
	o, err := OpenOverrides(d)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func set(t *testing.T, o *Overrides, vs ...Override) {
	t.Helper()
	for _, v := range vs {
		if err := o.Set(v); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOverridesSurviveAndExpire(t *testing.T) {
	d := open(t)
	o := overrides(t, d)
	drain := Override{Object: "pool/web/member/b", Field: "state", Value: "drain", Reason: "disk", By: "ann", Since: t0, Expires: t0.Add(time.Hour)}
	weight := Override{Object: "pool/web/member/a", Field: "weight", Value: "5", Since: t0}
	state := Override{Object: "pool/web/member/a", Field: "state", Value: "maint", Since: t0}
	set(t, o, drain, weight, state)
	o = overrides(t, d)
	if diff := cmp.Diff([]Override{state, weight, drain}, o.List(t0.Add(time.Hour-1))); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if v, ok := o.Get(t0, drain.Object, "state"); v != "drain" || !ok {
		t.Errorf("Get = %q, %t", v, ok)
	}
	if v, ok := o.Get(t0.Add(time.Hour), drain.Object, "state"); ok {
		t.Errorf("Get of an expired one = %q", v)
	}
	if diff := cmp.Diff([]Override{state, weight}, o.List(t0.Add(time.Hour))); diff != "" {
		t.Errorf("at the expiry (-want +got):\n%s", diff)
	}
	if got := o.List(t0); len(got) != 2 {
		t.Errorf("an expired override came back: %v", got)
	}
	weight.Value = "7"
	set(t, o, weight)
	if err := o.Clear(state.Object, state.Field); err != nil {
		t.Fatal(err)
	}
	if err := o.Clear(state.Object, state.Field); !errors.Is(err, fault.NotFound) {
		t.Errorf("second Clear = %v, want fault.NotFound", err)
	}
	if diff := cmp.Diff([]Override{weight}, overrides(t, d).List(t0)); diff != "" {
		t.Errorf("on disk (-want +got):\n%s", diff)
	}
}

func TestOverridesAreBounded(t *testing.T) {
	o := overrides(t, open(t))
	all := make(map[overrideKey]Override)
	for i := range MaxOverrides {
		v := Override{Object: fmt.Sprint("o", i), Field: "f", Value: "v", Since: t0}
		if i < 2 {
			v.Expires = t0.Add(time.Minute)
		}
		all[v.key()] = v
	}
	o.all = all
	more := Override{Object: "more", Field: "f", Value: "v", Since: t0}
	if err := o.Set(more); !errors.Is(err, fault.Full) {
		t.Errorf("Set of one too many = %v, want fault.Full", err)
	}
	same := Override{Object: "o5", Field: "f", Value: "w", Since: t0}
	if err := o.Set(same); err != nil {
		t.Errorf("replacing one of a full set = %v", err)
	}
	more.Since = t0.Add(time.Minute)
	if err := o.Set(more); err != nil {
		t.Errorf("Set after two have expired = %v", err)
	}
	if got := len(o.List(more.Since)); got != MaxOverrides-1 {
		t.Errorf("%d overrides, want %d", got, MaxOverrides-1)
	}
}

func TestOverridesRefused(t *testing.T) {
	o := overrides(t, open(t))
	for _, v := range []Override{
		{Field: "f", Since: t0},
		{Object: "o", Since: t0},
		{Object: "o", Field: "f"},
		{Object: "o", Field: "f", Since: t0, Expires: t0},
		{Object: "o", Field: "f", Since: t0, Reason: strings.Repeat("x", maxOverrideText+1)},
	} {
		if err := o.Set(v); !errors.Is(err, fault.Invalid) {
			t.Errorf("Set(%.60v) = %v, want fault.Invalid", v, err)
		}
	}
}

func TestOverridesOfADamagedFile(t *testing.T) {
	d := open(t)
	set(t, overrides(t, d), Override{Object: "o", Field: "f", Since: t0})
	os.Truncate(filepath.Join(d.Path(), overridesFile), 20)
	o, err := OpenOverrides(d)
	if !errors.Is(err, fault.Corrupt) || o == nil {
		t.Fatalf("OpenOverrides = %v, %v; want a usable set and fault.Corrupt", o, err)
	}
	set(t, o, Override{Object: "p", Field: "f", Since: t0})
	if got := overrides(t, d).List(t0); len(got) != 1 || got[0].Object != "p" {
		t.Errorf("after a new start: %v", got)
	}
}

func TestOverridesUnchangedWhenTheDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	err := inTmpfs(t, dir, "64k", func() error {
		d, err := Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		o, err := OpenOverrides(d)
		if err != nil {
			return err
		}
		var failed error
		count := 0
		for ; failed == nil && count < MaxOverrides; count++ {
			failed = o.Set(Override{Object: fmt.Sprint("o", count), Field: "f", Reason: strings.Repeat("x", 1000), Since: t0})
		}
		if !errors.Is(failed, fault.Full) {
			return fmt.Errorf("Set on a full disk = %v, want fault.Full", failed)
		}
		again, err := OpenOverrides(d)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(o.List(t0), again.List(t0)); diff != "" || len(o.List(t0)) != count-1 {
			return fmt.Errorf("memory and disk differ, or not %d (-memory +disk):\n%s", count-1, diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
