// Package engine carries HTTP/1.1 between clients and members of pools on event loops: no goroutine, no buffer and no head is
// kept for a connection that has no request under way.
package engine
