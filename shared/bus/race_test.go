//go:build race

package bus_test

// slowdown widens the bar on real time: the race detector makes TLS and the server several times slower.
const slowdown = 4
