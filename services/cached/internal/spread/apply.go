package spread

import (
	"bytes"
	"context"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/shared/fault"
)

// Request is the body of an invalidation. Exactly one of its fields is set.
type Request struct {
	Keys   []string `json:"keys,omitempty"`
	Base64 [][]byte `json:"keys_base64,omitempty"` // keys that are no UTF-8
	Prefix *string  `json:"prefix,omitempty"`      // "" is every key
}

// Result says what an invalidation did on one cache.
type Result struct {
	Deleted int `json:"deleted"`
}

// scanStep is how many items are looked at between two looks at the context.
const scanStep = 1024

// Apply deletes what r names from s, at Unix second now. It fails with fault.Invalid for a request that names nothing or what can be no
// key, and with fault.Timeout when ctx ends first; what was deleted until then is in the result.
func Apply(ctx context.Context, s *engine.Store, r Request, now int64) (Result, error) {
	keys := r.Base64
	for _, k := range r.Keys {
		keys = append(keys, []byte(k))
	}
	switch {
	case r.Prefix != nil && len(keys) == 0:
		return byPrefix(ctx, s, []byte(*r.Prefix), now)
	case r.Prefix != nil:
		return Result{}, fault.New(fault.Invalid, "cached: invalidate: keys and prefix together")
	case len(keys) == 0:
		return Result{}, fault.New(fault.Invalid, "cached: invalidate: neither keys nor prefix")
	}
	for i, k := range keys {
		if len(k) == 0 || len(k) > engine.MaxKey {
			return Result{}, fault.New(fault.Invalid, "cached: invalidate: key %d has %d bytes; 1 to %d are allowed", i+1, len(k), engine.MaxKey)
		}
	}
	var res Result
	for i, k := range keys {
		if i%scanStep == 0 && ctx.Err() != nil {
			return res, fault.Wrap(fault.Timeout, ctx.Err(), "cached: invalidate keys")
		}
		res.Deleted += remove(s, k, now)
	}
	return res, nil
}

func remove(s *engine.Store, key []byte, now int64) int {
	r := s.Lock(key, now)
	defer r.Unlock()
	if !r.Found() {
		return 0
	}
	r.Delete()
	return 1
}

// byPrefix walks the whole store, a step at a time, so that clients have their turn in between.
func byPrefix(ctx context.Context, s *engine.Store, prefix []byte, now int64) (Result, error) {
	if len(prefix) > engine.MaxKey {
		return Result{}, fault.New(fault.Invalid, "cached: invalidate: the prefix is longer than a key")
	}
	var res Result
	var found []byte // keys of one step, one after the other
	var ends []int
	for cursor := uint64(0); ; {
		if ctx.Err() != nil {
			return res, fault.Wrap(fault.Timeout, ctx.Err(), "cached: invalidate prefix")
		}
		found, ends = found[:0], ends[:0]
		cursor = s.Scan(cursor, scanStep, now, func(r *engine.Ref) {
			if bytes.HasPrefix(r.Key(), prefix) {
				found = append(found, r.Key()...)
				ends = append(ends, len(found))
			}
		})
		start := 0
		for _, end := range ends {
			res.Deleted += remove(s, found[start:end], now)
			start = end
		}
		if cursor == 0 {
			return res, nil
		}
	}
}
