// Package fault is used by all.
package fault
