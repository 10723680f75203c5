package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	in := `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:12: SKIP-NEEDS: root\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:3: got 1\n"}
{"Action":"fail","Package":"p","Test":"TestC","Elapsed":2}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p","Elapsed":2.5}
{"Action":"build-output","ImportPath":"q","Output":"q.go:1: wrong\n"}
{"Action":"build-fail","ImportPath":"q"}
go: words of go itself
`
	var out bytes.Buffer
	s := newSummary(&out)
	if err := s.read(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	s.print()
	want := `--- FAIL p TestC (2.0s)
    c_test.go:3: got 1
FAIL  p                                           2.5s
FAIL
q.go:1: wrong
go: words of go itself
skipped (SKIP-NEEDS: root): p.TestB
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if s.passed != 1 || s.failed != 1 || s.skipped != 1 {
		t.Errorf("counted %d, %d, %d", s.passed, s.failed, s.skipped)
	}
}
