package certs

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkLook looks at 1000 certificates of a directory that have not changed.
func BenchmarkLook(b *testing.B) {
	a, d, k := newAuthority(b, "ca"), newDir(b), newKeep(b)
	for i := range 1000 {
		d.write(fmt.Sprintf("all/%d.pem", i), a.issue(kindECDSA, []string{fmt.Sprintf("%d.test", i)}).both())
	}
	k.put(defaults(sources(d.at("all"))...))
	later := time.Now().Add(time.Minute)
	k.Look(later)
	for b.Loop() {
		k.Look(later)
	}
}

// BenchmarkHandshake is a full handshake of both sides, ECDSA P-256.
func BenchmarkHandshake(b *testing.B) {
	a, d, k := newAuthority(b, "ca"), newDir(b), newKeep(b)
	front := k.put(defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...))
	c := trusting(a, "a.test")
	for b.Loop() {
		if m := meet(front.Config(false), c); m.err != nil {
			b.Fatal(m.err)
		}
	}
}
