// Package watch spreads log lines to the connections that asked for them by `watch`, in memcached's format.
//
// A Hub owns no goroutine: each watcher's Run is called by the goroutine that serves its connection, and owns one more that
// notices when the client goes; Run waits for it. Whoever has something to tell calls Send, which appends the line to the
// buffers of those who listen and never waits. A buffer is bounded: a line that finds no room is skipped for that
// watcher, who is told of the number as soon as there is room again. The number of watchers is bounded.
//
// Hub implements session.Hub: its topics are a bit set that is read by one load while nobody listens. Safe for concurrent use.
package watch
