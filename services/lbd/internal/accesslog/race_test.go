//go:build race

package accesslog

// raced says that the race detector runs, under which pools lose what they hold.
const raced = true
