package blob

import (
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

func sampleMeta() Meta {
	return Meta{
		Name: "a/\"ü\".txt", Size: 5, SHA256: sha256.Sum256([]byte("hello")), Modified: time.Date(2026, 11, 22, 13, 40, 0, 123e6, time.UTC),
		Header: map[string]string{"Content-Type": "text/plain; charset=utf-8"},
	}
}

// TestHeadIsStable compares with a file on disk: objects written by an earlier version must stay readable.
func TestHeadIsStable(t *testing.T) {
	m := sampleMeta()
	head, err := EncodeHead(&m)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/head1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(head)); diff != "" {
		t.Error(diff)
	}
	got, err := DecodeHead(want, HeadSize+5)
	if diff := cmp.Diff(m, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestEveryBitOfTheHeadCounts flips each bit: none may go unnoticed.
func TestEveryBitOfTheHeadCounts(t *testing.T) {
	m := sampleMeta()
	head, err := EncodeHead(&m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(head) * 8 {
		head[i/8] ^= 1 << (i % 8)
		if _, err := DecodeHead(head, HeadSize+5); err == nil {
			t.Fatalf("bit %d flipped and not noticed", i)
		}
		head[i/8] ^= 1 << (i % 8)
	}
	f := func(b []byte, size int64, want fault.Class) {
		t.Helper()
		if _, err := DecodeHead(b, size); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	f(head, HeadSize+4, fault.Corrupt)
	f(head, HeadSize+6, fault.Corrupt)
	f(head[:len(head)-1], HeadSize+5, fault.Corrupt)
	f(head[:10], HeadSize+5, fault.Corrupt)
	f(nil, 0, fault.Corrupt)
	head[7] = '2'
	f(head, HeadSize+5, fault.Unsupported)
}

func TestLargestMetadata(t *testing.T) {
	m := Meta{Name: strings.Repeat("\"", names.MaxLen)}
	if !m.Fits() {
		t.Error("a legal name does not fit")
	}
	m.Header = map[string]string{"Content-Type": strings.Repeat("x", maxMeta)}
	if m.Fits() {
		t.Error("metadata larger than the head fit")
	}
	if _, err := EncodeHead(&m); !errors.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

func FuzzDecodeHead(f *testing.F) {
	m := sampleMeta()
	head, err := EncodeHead(&m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head, int64(HeadSize+5))
	f.Add(head[:metaOffset], int64(HeadSize))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		m, err := DecodeHead(b, size)
		if err == nil && (m.Size < 0 || m.Size != size-HeadSize) {
			t.Fatalf("%+v", m)
		}
	})
}
