package trailer

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/vrrp"
)

var (
	a4, b4, c4 = netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("10.77.0.3")
	a6, b6     = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
)

// secret returns a secret of 32 bytes that begins with n.
func secret(n byte) []byte {
	s := make([]byte, 32)
	for i := range s {
		s[i] = n + byte(i)
	}
	return s
}

// advert returns a packet as it is sent from src.
func advert(t testing.TB, v vrrp.Version, id vrrp.VRID, src, dst netip.Addr) []byte {
	t.Helper()
	p := vrrp.Packet{Version: v, VRID: id, Priority: 150, Interval: time.Second, Addrs: []netip.Addr{netip.MustParseAddr("10.77.0.100")}}
	if src.Is6() {
		p.Addrs = []netip.Addr{netip.MustParseAddr("fe80::61"), netip.MustParseAddr("fd77::100")}
	}
	b, err := p.Append(nil, src, dst)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var someClaim = Claim{
	Sender: 7, Epoch: 3, Seq: 9, At: time.UnixMilli(1795392000123), NoPreempt: true, Tenure: vrrp.Appointed,
}

// TestGolden: these bytes were computed by Python's hmac from the layout in the package's comment.
func TestGolden(t *testing.T) {
	f := func(packet string, c Claim, src, dst netip.Addr, want string) {
		t.Helper()
		b, err := hex.DecodeString(packet)
		if err != nil {
			t.Fatal(err)
		}
		k := NewKeys([][]byte{secret(0)})
		signed := k.Append(bytes.Clone(b), c, src, dst)
		if got := hex.EncodeToString(signed); got != packet+want {
			t.Errorf("appended %s, want %s", got[len(packet):], want)
		}
		inner, got, v := k.Open(signed, src, dst)
		if v != Accepted || !bytes.Equal(inner, b) {
			t.Errorf("opened: %v, %x", v, inner)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Errorf("claim: -want +got:\n%s", diff)
		}
	}
	f("31339601006442d90a4d0064",
		Claim{
			Sender: 0x0102030405060708, Epoch: 0x1112131415161718, Seq: 42, At: time.UnixMilli(1795392000123),
			NoPreempt: true, Tenure: vrrp.Incumbent,
		}, a4, b4,
		"45560103"+"0102030405060708"+"1112131415161718"+"000000000000002a"+"000001a205b3d07b"+"9e937c115b9ffa90c3c9cc8c98655fee")
	f("313d64020064535ffe800000000000000000000000000061fd770000000000000000000000000100",
		Claim{Sender: 7, Epoch: 9, Seq: 1, At: time.UnixMilli(-1), Tenure: vrrp.Appointed}, a6, b6,
		"45560104"+"0000000000000007"+"0000000000000009"+"0000000000000001"+"ffffffffffffffff"+"50dd15e53b62d3f6d21858ebc9288af6")
}

// TestShapes: the packet's length is found for each version and family as vrrp writes them.
func TestShapes(t *testing.T) {
	k := NewKeys([][]byte{secret(0)})
	f := func(v vrrp.Version, src, dst netip.Addr) {
		t.Helper()
		p := advert(t, v, 51, src, dst)
		if inner, _, got := k.Open(p, src, dst); got != Missing || !bytes.Equal(inner, p) {
			t.Errorf("without a trailer: %v, %x", got, inner)
		}
		b := k.Append(bytes.Clone(p), someClaim, src, dst)
		if len(b) != len(p)+Len {
			t.Errorf("the trailer has %d bytes, not %d", len(b)-len(p), Len)
		}
		inner, c, got := k.Open(b, src, dst)
		if got != Accepted || !bytes.Equal(inner, p) || !cmp.Equal(c, someClaim) {
			t.Errorf("%v, %x, %+v", got, inner, c)
		}
		var packet vrrp.Packet
		if r := packet.Parse(inner, vrrp.Envelope{Src: src, Dst: dst, TTL: 255}); r != vrrp.Accepted {
			t.Errorf("the packet cut off is refused: %v", r)
		}
		if cap(inner) != len(inner) {
			t.Error("an append to the packet would write over the trailer")
		}
	}
	f(vrrp.V3, a4, b4)
	f(vrrp.V2, a4, b4)
	f(vrrp.V3, a6, b6)
}

// TestChanged: each bit of packet and trailer counts, and none of what is not theirs is taken.
func TestChanged(t *testing.T) {
	k := NewKeys([][]byte{secret(0)})
	p := advert(t, vrrp.V3, 51, a4, b4)
	b := k.Append(p, someClaim, a4, b4)
	for i := range b {
		for bit := range 8 {
			forged := bytes.Clone(b)
			forged[i] ^= 1 << bit
			if inner, _, v := k.Open(forged, a4, b4); v == Accepted || v == Missing || inner != nil {
				t.Errorf("with bit %d of byte %d changed: %v", bit, i, v)
			}
		}
	}
	for n := range b {
		want := Malformed
		switch {
		case n < len(p):
			want = Short
		case n == len(p):
			want = Missing
		}
		if _, _, v := k.Open(b[:n], a4, b4); v != want {
			t.Errorf("the first %d bytes: %v, want %v", n, v, want)
		}
	}
	if _, _, v := k.Open(append(bytes.Clone(b), 0), a4, b4); v != Malformed {
		t.Errorf("with a byte more: %v", v)
	}
}

// TestElsewhere: a trailer is worth something for its packet, sender and receiver alone.
func TestElsewhere(t *testing.T) {
	k := NewKeys([][]byte{secret(0)})
	p := advert(t, vrrp.V3, 51, a4, b4)
	b := k.Append(bytes.Clone(p), someClaim, a4, b4)
	f := func(name string, b []byte, src, dst netip.Addr, want Verdict) {
		t.Helper()
		if _, _, v := k.Open(b, src, dst); v != want {
			t.Errorf("%s: %v, want %v", name, v, want)
		}
	}
	f("as sent", b, a4, b4, Accepted)
	f("back at its sender", b, b4, a4, Forged)
	f("at another receiver", b, a4, c4, Forged)
	f("from another source", b, c4, b4, Forged)

	other := append(advert(t, vrrp.V3, 52, a4, b4), b[len(p):]...)
	f("behind an advert of another VRID", other, a4, b4, Forged)
	changed := bytes.Clone(b)
	changed[2] = 0 // the priority
	f("with priority 0", changed, a4, b4, Forged)

	six := advert(t, vrrp.V3, 51, a6, b6)
	f("behind an advert of the other family", append(six, b[len(p):]...), a6, b6, Forged)
}

// TestUnknownTrailer: a genuine MAC does not make a form known that is not.
func TestUnknownTrailer(t *testing.T) {
	k := NewKeys([][]byte{secret(0)})
	p := advert(t, vrrp.V3, 51, a4, b4)
	f := func(name string, change func(t []byte)) {
		t.Helper()
		b := k.Append(bytes.Clone(p), someClaim, a4, b4)
		change(b[len(p):])
		k.setAddrs(a4, b4)
		copy(b[len(p)+claimLen:], k.mac(k.macs[0], p, b[len(p):len(p)+claimLen]))
		if _, _, v := k.Open(b, a4, b4); v != Malformed {
			t.Errorf("%s: %v", name, v)
		}
	}
	f("magic", func(t []byte) { t[0] = 'e' })
	f("magic", func(t []byte) { t[1] = 'v' })
	f("format 2", func(t []byte) { t[2] = 2 })
	f("a flag", func(t []byte) { t[3] |= 1 << 3 })
	f("the last flag", func(t []byte) { t[3] |= 1 << 7 })
	f("tenure 3", func(t []byte) { t[3] |= tenureMask })
}

// TestRotation goes through a change of the secret: at each step nodes that have made it and nodes that have not
// understand each other.
func TestRotation(t *testing.T) {
	older, newer := secret(0), secret(100)
	steps := [][][]byte{{older}, {older, newer}, {newer, older}, {newer}}
	p := advert(t, vrrp.V3, 51, a4, b4)
	f := func(from, to int, want Verdict) {
		t.Helper()
		b := NewKeys(steps[from]).Append(bytes.Clone(p), someClaim, a4, b4)
		if _, _, v := NewKeys(steps[to]).Open(b, a4, b4); v != want {
			t.Errorf("sent at step %d, received at step %d: %v, want %v", from, to, v, want)
		}
	}
	for i := range steps {
		f(i, i, Accepted)
		if i > 0 {
			f(i-1, i, Accepted)
			f(i, i-1, Accepted)
		}
	}
	f(0, 3, Forged)
	f(3, 0, Forged)
	f(2, 0, Forged) // a step left out
}

// TestNoSecret: nothing is authentic without a secret, nor with one that is too short to be one.
func TestNoSecret(t *testing.T) {
	p := advert(t, vrrp.V3, 51, a4, b4)
	signed := NewKeys([][]byte{secret(0)}).Append(bytes.Clone(p), someClaim, a4, b4)
	for _, secrets := range [][][]byte{nil, {nil}, {{}}, {secret(0)[:MinSecret-1]}} {
		k := NewKeys(secrets)
		if got := k.Append(bytes.Clone(p), someClaim, a4, b4); !bytes.Equal(got, p) {
			t.Errorf("%x: something was appended: %x", secrets, got)
		}
		if _, _, v := k.Open(signed, a4, b4); v != Forged {
			t.Errorf("%x: %v", secrets, v)
		}
	}
	if k := NewKeys([][]byte{{1, 2, 3}, secret(0)}); !bytes.Equal(k.Append(bytes.Clone(p), someClaim, a4, b4), signed) {
		t.Error("a short secret before a long one is not passed over")
	}
}

func TestNoAllocation(t *testing.T) {
	k := NewKeys([][]byte{secret(0), secret(1)})
	second := NewKeys([][]byte{secret(1)})
	p := advert(t, vrrp.V3, 51, a6, b6)
	buf := make([]byte, len(p), len(p)+Len)
	copy(buf, p)
	theirs := second.Append(bytes.Clone(p), someClaim, a6, b6)
	var w Window
	n := testing.AllocsPerRun(1000, func() {
		k.Append(buf, someClaim, a6, b6)
		if _, c, v := k.Open(theirs, a6, b6); v != Accepted || w.Take(c, c.At) > Replayed {
			t.Fatal(v)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for an advert sent and one received", n)
	}
}

// TestNames: every verdict has a name of its own, and none that is a vrrp.Reason's of another meaning.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range Verdicts {
		seen[v.String()] = true
	}
	for r := vrrp.Accepted + 1; r < vrrp.Reasons; r++ {
		if seen[r.String()] && r != vrrp.ReasonShort {
			t.Errorf("%v is a reason too", r)
		}
	}
	if len(seen) != int(Verdicts) || seen[""] || fmt.Sprint(Verdicts) != "verdict_7" {
		t.Errorf("%v", seen)
	}
}

// FuzzOpen: whatever comes, only what Append makes is accepted.
func FuzzOpen(f *testing.F) {
	k := NewKeys([][]byte{secret(0)})
	f.Add(k.Append(advert(f, vrrp.V3, 51, a4, b4), someClaim, a4, b4), true)
	f.Add(k.Append(advert(f, vrrp.V2, 51, a4, b4), someClaim, a4, b4), true)
	f.Add(k.Append(advert(f, vrrp.V3, 51, a6, b6), someClaim, a6, b6), false)
	f.Add(advert(f, vrrp.V3, 51, a4, b4), true)
	f.Fuzz(func(t *testing.T, b []byte, four bool) {
		src, dst := a6, b6
		if four {
			src, dst = a4, b4
		}
		packet, c, v := k.Open(b, src, dst)
		switch v {
		case Accepted:
			if again := k.Append(bytes.Clone(packet), c, src, dst); !bytes.Equal(again, b) {
				t.Errorf("accepted %x, which is written %x", b, again)
			}
		case Missing:
			if !bytes.Equal(packet, b) {
				t.Errorf("of %x without a trailer %x is the packet", b, packet)
			}
		case Short, Malformed, Forged:
			if packet != nil || c != (Claim{}) {
				t.Errorf("%v gives %x and %+v", v, packet, c)
			}
		default:
			t.Errorf("%v is not Open's to say", v)
		}
		// Signed, it is accepted if it is one packet, and never if it is anything else.
		want := v == Missing
		if _, _, v := k.Open(k.Append(bytes.Clone(b), someClaim, src, dst), src, dst); (v == Accepted) != want {
			t.Errorf("signed, %x is %v", b, v)
		}
	})
}

// BenchmarkAdvert is what an advert costs both ends.
func BenchmarkAdvert(b *testing.B) {
	k := NewKeys([][]byte{secret(0)})
	p := advert(b, vrrp.V3, 51, a4, b4)
	buf := make([]byte, len(p), len(p)+Len)
	copy(buf, p)
	for b.Loop() {
		if _, _, v := k.Open(k.Append(buf, someClaim, a4, b4), a4, b4); v != Accepted {
			b.Fatal(v)
		}
	}
}
