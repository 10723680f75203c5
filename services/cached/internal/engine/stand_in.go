package engine

import "time"

type Recovery struct {
	Items  int64
	Reason string
	Took   time.Duration
}

func (s *Store) Recovery() Recovery                { return Recovery{} }
func (s *Store) Sample(below uint64, every uint32) {}
func (s *Store) Policy() string                    { return "lru" }
