package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/cached/internal/oracletest"
)

func TestGomemcache(t *testing.T) {
	forEach(t, func(t *testing.T, p program) {
		host, port := p.tcp(t, oracletest.Text)
		c := memcache.New(host + ":" + port)
		c.Timeout = 20 * time.Second
		defer c.Close()
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		is := func(err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		get := func(key, want string, flags uint32) *memcache.Item {
			t.Helper()
			it, err := c.Get(key)
			ok(err)
			if string(it.Value) != want || it.Flags != flags {
				t.Errorf("%s: %q with flags %d, want %q with %d", key, it.Value, it.Flags, want, flags)
			}
			return it
		}
		ok(c.Ping())
		ok(c.Set(&memcache.Item{Key: "a", Value: []byte("1"), Flags: 1<<32 - 1, Expiration: 100}))
		first := get("a", "1", 1<<32-1)
		first.Value = []byte("2")
		ok(c.CompareAndSwap(first))
		is(c.CompareAndSwap(first), memcache.ErrCASConflict)
		is(c.CompareAndSwap(&memcache.Item{Key: "absent", Value: []byte("x"), CasID: 1}), memcache.ErrCacheMiss)
		is(c.Add(&memcache.Item{Key: "a", Value: []byte("x")}), memcache.ErrNotStored)
		is(c.Replace(&memcache.Item{Key: "absent", Value: []byte("x")}), memcache.ErrNotStored)
		is(c.Append(&memcache.Item{Key: "absent", Value: []byte("x")}), memcache.ErrNotStored)
		ok(c.Append(&memcache.Item{Key: "a", Value: []byte("0")}))
		ok(c.Prepend(&memcache.Item{Key: "a", Value: []byte("1")}))
		get("a", "120", 1<<32-1)
		for _, f := range []struct {
			count func(string, uint64) (uint64, error)
			delta uint64
			want  uint64
		}{{c.Increment, 5, 125}, {c.Decrement, 100, 25}, {c.Decrement, 100, 0}, {c.Increment, 1<<64 - 1, 1<<64 - 1}, {c.Increment, 1, 0}} {
			if n, err := f.count("a", f.delta); n != f.want || err != nil {
				t.Errorf("by %d: %d, %v; want %d", f.delta, n, err, f.want)
			}
		}
		_, err := c.Increment("absent", 1)
		is(err, memcache.ErrCacheMiss)
		ok(c.Touch("a", 1000))
		is(c.Touch("absent", 1000), memcache.ErrCacheMiss)
		_, err = c.GetAndTouch("a", 1000)
		ok(err)

		var keys []string
		want := map[string]string{}
		for i := range 300 {
			key := fmt.Sprintf("k%d", i)
			keys = append(keys, key)
			if i%3 != 0 {
				want[key] = fmt.Sprintf("value %d", i)
				ok(c.Set(&memcache.Item{Key: key, Value: []byte(want[key])}))
			}
		}
		many, err := c.GetMulti(keys)
		ok(err)
		got := map[string]string{}
		for key, it := range many {
			got[key] = string(it.Value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("multi: %s", diff)
		}
		large := bytes.Repeat([]byte("\x00\r\n\xffxyz"), 140_000)
		ok(c.Set(&memcache.Item{Key: "large", Value: large}))
		if it, err := c.Get("large"); err != nil || !bytes.Equal(it.Value, large) {
			t.Errorf("large: %v", err)
		}
		ok(c.Set(&memcache.Item{Key: "gone", Value: []byte("x"), Expiration: -1}))
		_, err = c.Get("gone")
		is(err, memcache.ErrCacheMiss)
		ok(c.Delete("a"))
		is(c.Delete("a"), memcache.ErrCacheMiss)
		ok(c.DeleteAll())
		_, err = c.Get("k1")
		is(err, memcache.ErrCacheMiss)
	})
}
