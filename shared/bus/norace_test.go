//go:build !race

package bus_test

const slowdown = 1
