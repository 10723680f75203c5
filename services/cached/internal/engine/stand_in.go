package engine

import "time"

// Recovery says what became of the items of the run before.
type Recovery struct {
	Items  int64
	Reason string
	Took   time.Duration
}

// Recovery tells how the store began.
func (s *Store) Recovery() Recovery { return Recovery{} }

// Policy names what decides who leaves.
func (s *Store) Policy() string { return "" }
