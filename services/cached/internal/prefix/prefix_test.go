package prefix

import (
	"fmt"
	"testing"
)

func TestTable(t *testing.T) {
	var p Table
	if p.On() {
		t.Error("a new table counts")
	}
	p.Enable(true)
	p.Get([]byte("a:1"), true)
	p.Get([]byte("a:2"), false)
	p.Set([]byte("a:b:c"))
	p.Delete([]byte("b:"))
	p.Get([]byte("none"), true)
	want := "PREFIX a get 2 hit 1 set 1 del 0\r\nPREFIX b get 0 hit 0 set 0 del 1\r\nEND\r\n"
	if got := string(p.AppendDump(nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.Enable(false)
	if got := string(p.AppendDump(nil)); p.On() || got != want {
		t.Errorf("off: on %v, %q", p.On(), got)
	}
	p.Reset()
	if got := string(p.AppendDump(nil)); got != "END\r\n" {
		t.Errorf("after a reset: %q", got)
	}
}

func TestDelimiter(t *testing.T) {
	p := Table{Delimiter: '/'}
	p.Set([]byte("a:b/c"))
	if got, want := string(p.AppendDump(nil)), "PREFIX a:b get 0 hit 0 set 1 del 0\r\nEND\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableIsBounded(t *testing.T) {
	var p Table
	for i := range Max + 5 {
		p.Set(fmt.Appendf(nil, "%d:", i))
	}
	p.Set([]byte("0:"))
	if len(p.counts) != Max || p.Dropped() != 5 || p.counts["0"].set != 2 {
		t.Errorf("%d prefixes, %d dropped, the first with %d; want %d, 5, 2", len(p.counts), p.Dropped(), p.counts["0"].set, Max)
	}
}
