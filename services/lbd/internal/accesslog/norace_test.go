//go:build !race

package accesslog

// raced says that the race detector runs.
const raced = false
