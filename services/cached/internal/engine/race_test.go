//go:build race

package engine

// raced says that the race detector watches: it makes a single goroutine's tests slow and finds nothing in them.
const raced = true
