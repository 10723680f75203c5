package accesslog

import (
	"sync/atomic"
	"time"
)

// Sample says which requests are written. The zero value writes all.
type Sample struct {
	Success, Redirect, Client int           // one in so many answers 1xx and 2xx, 3xx, 4xx; 0 and 1: all
	Slow                      time.Duration // what lasts so long is always written; 0: nothing is for that
}

// sampler counts what it lets through. Answers 5xx and those that broke off are always written.
type sampler struct {
	Sample
	seen [5]atomic.Uint64 // by class of status
}

// takes reports whether e is written, and of how many requests of its kind one is.
func (s *sampler) takes(e *Entry) (of int, ok bool) {
	class := e.Status / 100
	switch class {
	case 1, 2:
		of = s.Success
	case 3:
		of = s.Redirect
	case 4:
		of = s.Client
	}
	if of <= 1 || e.Broken || s.Slow > 0 && e.Duration >= s.Slow {
		return 1, true
	}
	return of, s.seen[class].Add(1)%uint64(of) == 1
}
