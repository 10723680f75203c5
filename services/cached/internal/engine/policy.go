package engine

import "github.com/everup/everup/services/cached/internal/evict"

// Policy tells how items are chosen for eviction now: the mode that suits the traffic, and how it was found.
func (s *Store) Policy() evict.Status { return s.advisor.Status() }
